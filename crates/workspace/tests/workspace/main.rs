//! The endpoints of the workspace, over HTTP.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper of tests fails as a test does"
)]

mod cases;
mod conditions;
mod connections;
mod fake_provider;
mod forms;
mod limits;
mod oauth;
mod on_postgres;
mod once;
mod openapi;
mod pages;
#[path = "../../../../tests/it/postgres.rs"]
#[expect(dead_code, clippy::print_stderr, reason = "the tests of the registry use the rest, and say what is skipped")]
mod postgres;
mod rights;
mod secrets;
mod server;
mod sessions;
mod sign_in;
mod slow_bodies;
mod spa;
mod timing;
