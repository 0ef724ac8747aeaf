//! One program for the tests of the command line, the sidecar, the registry, the audits and the structure. The tests of the
//! engine are in `tests/engine`.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a helper of tests fails as a test does"
)]

mod cli;
mod compare;
mod exposure;
mod forecast;
mod gateway_services;
mod layers;
mod lint;
mod lint_fixes;
mod named_sources;
#[cfg(unix)]
mod postgres;
mod quoting;
mod registry;
mod report;
mod server;
mod suggest;

// The generators and the upstream that the tests of the engine define.
#[expect(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../engine/choices.rs"]
mod choices;
#[path = "../engine/document.rs"]
mod document;
#[expect(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../engine/engine.rs"]
mod engine;
#[path = "../engine/generate.rs"]
mod generate;
#[path = "../engine/haproxy.rs"]
mod haproxy;
#[expect(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../engine/request.rs"]
mod request;
#[expect(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../engine/texts.rs"]
mod texts;
#[expect(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../engine/upstream.rs"]
mod upstream;

/// Returns the root of the repository. The package of this binary is `crates/cli`.
fn repository() -> &'static std::path::Path {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
