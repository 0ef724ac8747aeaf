//! One binary for all integration tests.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod choices;
mod document;
mod engine;
mod generate;
mod layers;
mod properties;
mod request;
mod sizes;
mod small_worlds;
mod spellings;
mod texts;
mod vectors;
