//! The sidecar.

mod binary;
mod crash;
mod decision_log;
mod edits;
mod gateways;
mod grpc;
mod listening;
mod metrics;
mod narrow;
mod operations;
mod policy;
mod programs;
mod replay;
mod running;
mod shadow;
mod soak;
mod state;
mod tls;
mod util;
