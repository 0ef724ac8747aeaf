//! The sidecar.

mod axum_gateway;
mod binary;
mod crash;
mod decision_log;
mod edits;
#[cfg(target_os = "linux")]
mod faults;
mod gateways;
mod grpc;
mod http2;
mod layer;
mod listening;
mod metrics;
mod narrow;
mod nulls;
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
