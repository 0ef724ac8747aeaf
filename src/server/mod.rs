//! The sidecar: policies that change while requests are decided, and what operators see of it.

pub mod policy;
