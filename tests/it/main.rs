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
mod carried;
mod cases;
mod choices;
mod cli;
mod compare;
mod compiled;
mod document;
mod edits;
mod engine;
mod exposure;
mod forecast;
mod fuzzed;
mod gateway;
mod gateway_services;
mod generate;
mod haproxy;
mod layers;
mod lint;
mod lint_fixes;
mod nulls;
mod order;
mod plain;
#[cfg(unix)]
mod postgres;
mod properties;
mod quoting;
mod referer_urls;
mod registry;
mod regressions;
mod report;
mod request;
mod server;
mod sizes;
mod small_worlds;
mod spellings;
mod spop;
mod suggest;
mod swap;
mod texts;
mod tower;
mod vectors;

/// Returns the root of the repository. The package of this binary is `crates/cli`.
fn repository() -> &'static std::path::Path {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
