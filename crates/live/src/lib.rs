//! Policies that run inside a gateway: read from a file, and replaced whenever the file changes.
//!
//! - [`load`]: policies from bytes and files.
//! - [`Shared`] and [`Watched`]: a policy that follows a file, with its counters. Decisions never wait for a reload.
//!
//! The C API and the Envoy module use this crate. The sidecar follows files by itself, because it also follows a
//! registry.
#![forbid(unsafe_code)]

mod counters;
pub mod load;
mod watched;

pub use counters::Counters;
pub use watched::{INTERNAL, Shared, State, Watched};
