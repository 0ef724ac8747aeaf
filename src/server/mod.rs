//! The sidecar: policies that change while requests are decided, and what operators see of it.

mod decided;
pub mod decision_log;
pub mod metrics;
pub mod operations;
pub mod policy;
pub mod shadow;
pub mod usage;

pub use decided::Decided;
