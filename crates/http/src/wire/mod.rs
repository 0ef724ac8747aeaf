//! Requests and decisions as JSON, one object each: what the command line streams and a server answers.
//!
//! ```
//! use portcullis::decision::decide;
//! use portcullis::snapshot::Snapshot;
//! use portcullis_http::wire::{WireDecision, WireRequest};
//!
//! let line = br#"{"id": 7, "token": "s3cret", "api": "maps", "connection": "carto_dw", "resource": "carto.shared.t"}"#;
//! let request = WireRequest::read(line)?;
//! let nothing = Snapshot::default();
//! let decision = decide(&nothing, &request.with(&request.sources()), "2026-11-22".parse()?);
//! assert_eq!(
//!     serde_json::to_string(&WireDecision::new(request.id(), &decision))?,
//!     r#"{"id":7,"decision":"deny","reason":"token_unknown","status":401}"#,
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | key | what |
//! | --- | --- |
//! | `id` | anything; comes back in the answer as it was written |
//! | `token` | the secret; missing or empty decides `token_missing` |
//! | `api` | the name of the API |
//! | `operation` | under `sql` only: `query` (unless said otherwise) or `model` |
//! | `connection` | the name of the connection; not needed under `lds` |
//! | `resource`, `query`, `named_source` | what is read or written, one of them; not needed under `lds` |
//! | `sources` | in their stead: a list of objects with one of them each |
//! | `referer` | the `Referer` header |
//! | `now` | the instant to decide at: RFC 3339, or a date |
//!
//! Reading is strict, since a request that is read in two ways is decided in two ways: a key that is unknown or given
//! twice, `null`, and a value of the wrong kind are errors. No error repeats a value but those of `operation` and `now`.
//!
//! Whoever holds the policy may decide for a token without its secret: [`ReplayRequest`] also reads `token_id`, and lines of
//! a decision log.

mod body;
mod decision;
mod replay;
mod request;
#[cfg(test)]
mod tests;

pub use decision::{ErrorLine, SkippedLine, WireDecision};
pub use replay::{Logged, ReplayRequest, Replayed};
pub use request::{WireError, WireRequest};
