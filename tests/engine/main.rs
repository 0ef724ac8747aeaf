//! The tests of the engine and of the crates that read its documents and requests.
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
mod compiled;
mod document;
mod edits;
mod engine;
mod fuzzed;
mod gateway;
mod generate;
#[expect(dead_code, reason = "the tests of the sidecar use the rest")]
mod haproxy;
mod nulls;
mod order;
mod plain;
mod properties;
mod referer_urls;
mod regressions;
mod request;
mod sizes;
mod small_worlds;
mod spellings;
mod spop;
mod swap;
mod texts;
mod tower;
mod upstream;
mod vectors;

/// Returns the root of the repository, which is the package of this program.
fn repository() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
