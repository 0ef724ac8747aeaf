//! The sidecar.

mod authzen;
mod axum_gateway;
mod binary;
#[cfg(target_os = "linux")]
mod certificates;
mod crash;
mod decision_log;
mod edits;
#[cfg(unix)]
mod expiry;
mod exposition;
#[cfg(target_os = "linux")]
mod faulty;
mod gateways;
mod grpc;
mod http2;
mod ingress;
mod layer;
mod listening;
mod metrics;
mod narrow;
mod nulls;
mod operations;
mod operators;
#[cfg(target_os = "linux")]
mod overload_faults;
mod policy;
#[cfg(target_os = "linux")]
mod policy_faults;
#[cfg(unix)]
mod postgres;
#[cfg(target_os = "linux")]
mod process_faults;
mod programs;
mod registry_files;
mod reloads;
mod replay;
mod running;
mod shadow;
mod sign_in_options;
mod soak;
mod sockets;
mod spoe;
mod state;
#[cfg(target_os = "linux")]
mod state_faults;
mod state_files;
#[cfg(target_os = "linux")]
mod system_words;
mod tls;
mod unread;
mod usage;
mod util;
mod workspace;
mod workspace_catalog;
mod workspace_crash;
mod wrong_members;
mod wrong_options;
