//! One binary for all integration tests.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a helper of tests fails as a test does"
)]

mod api;
mod cases;
mod choices;
#[cfg(feature = "cli")]
mod cli;
#[cfg(feature = "audit")]
mod compare;
mod compiled;
mod document;
mod edits;
mod engine;
#[cfg(feature = "audit")]
mod exposure;
#[cfg(feature = "audit")]
mod forecast;
mod fuzzed;
mod gateway;
mod generate;
mod layers;
#[cfg(feature = "audit")]
mod lint;
mod plain;
mod properties;
#[cfg(feature = "cli")]
mod registry;
mod regressions;
#[cfg(feature = "audit")]
mod report;
mod request;
#[cfg(feature = "server")]
mod server;
mod sizes;
mod small_worlds;
mod spellings;
#[cfg(feature = "audit")]
mod suggest;
mod swap;
mod texts;
#[cfg(feature = "tower")]
mod tower;
mod vectors;
