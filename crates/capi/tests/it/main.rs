//! One binary for all tests of the C API.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    reason = "a helper of tests fails as a test does"
)]

mod allocations;
mod built;
mod conformance;
#[cfg(target_os = "linux")]
mod examples;
mod header;
mod invalid;
mod live;
mod surface;
