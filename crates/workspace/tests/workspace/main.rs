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
mod oauth;
mod once;
mod openapi;
mod pages;
mod rights;
mod secrets;
mod server;
mod sessions;
mod sign_in;
