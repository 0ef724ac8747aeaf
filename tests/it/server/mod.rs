//! The sidecar.

mod axum_gateway;
mod binary;
mod crash;
mod decision_log;
mod edits;
#[cfg(target_os = "linux")]
mod faulty;
mod gateways;
mod grpc;
mod http2;
mod layer;
mod listening;
mod metrics;
mod narrow;
mod operations;
mod policy;
#[cfg(target_os = "linux")]
mod policy_faults;
#[cfg(target_os = "linux")]
mod process_faults;
mod programs;
mod registry_files;
mod reloads;
mod replay;
mod running;
mod shadow;
mod soak;
mod sockets;
mod state;
#[cfg(target_os = "linux")]
mod state_faults;
mod state_files;
mod tls;
mod usage;
mod util;
