//! The sidecar.

mod decision_log;
mod metrics;
mod policy;
mod replay;
mod shadow;
mod soak;
mod state;
mod util;
