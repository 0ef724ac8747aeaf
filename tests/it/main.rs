//! One binary for all integration tests.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod choices;
mod document;
mod generate;
mod properties;
mod request;
mod spellings;
mod texts;
mod vectors;
