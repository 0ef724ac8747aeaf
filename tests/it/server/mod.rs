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
#[cfg(feature = "tower")]
mod layer;
mod listening;
mod metrics;
mod narrow;
mod operations;
mod policy;
mod programs;
mod reloads;
mod replay;
mod running;
mod shadow;
mod soak;
mod state;
mod tls;
mod util;
