//! The sidecar.

mod crash;
mod decision_log;
mod edits;
mod metrics;
mod operations;
mod policy;
mod replay;
mod shadow;
mod soak;
mod state;
mod util;
