//! One binary for all integration tests.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod document;
mod generate;
mod properties;
mod request;
mod small_worlds;
mod spellings;
mod vectors;
