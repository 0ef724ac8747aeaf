//! The sidecar.

#[cfg(feature = "tower")]
mod axum_gateway;
mod binary;
mod crash;
mod decision_log;
mod edits;
#[cfg(all(target_os = "linux", feature = "cli"))]
mod faults;
mod gateways;
mod grpc;
mod http2;
#[cfg(feature = "tower")]
mod layer;
mod listening;
mod metrics;
mod narrow;
mod operations;
mod policy;
mod programs;
mod registry_files;
mod reloads;
mod replay;
mod running;
mod shadow;
mod soak;
mod sockets;
mod state;
mod state_files;
mod tls;
mod usage;
mod util;
