//! Policies that run inside a gateway: read from a file or a registry, and replaced whenever it changes.
//!
//! - [`load`]: policies from bytes and files.
//! - [`Source`]: a file, or with the feature `registry` also a registry.
//! - [`Shared`] and [`Watched`]: a policy that follows its source, with its counters. Decisions never wait for a reload.
//!
//! The C API and the Envoy module use this crate. The sidecar follows its sources by itself: it edits large policies in
//! place, and saves them.
#![forbid(unsafe_code)]

mod counters;
mod freshness;
pub mod load;
mod source;
mod watched;

pub use counters::Counters;
pub use freshness::Freshness;
pub use source::{Source, Version};
pub use watched::{INTERNAL, Shared, State, Watched};
