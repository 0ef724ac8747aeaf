//! Requests and decisions as JSON, one object each, for the command line and the sidecar.
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
//! | `id` | any value; the decision repeats it |
//! | `token` | the secret; missing or empty decides `token_missing` |
//! | `api` | the name of the API |
//! | `operation` | under `sql` only: `query` (the default) or `model` |
//! | `connection` | the name of the connection; not needed under `lds` |
//! | `resource`, `query`, `named_source` | the source, one of them; not needed under `lds` |
//! | `sources` | instead, for several sources: a list of objects with one of these keys each |
//! | `referer` | the `Referer` header |
//! | `now` | the time of the decision: RFC 3339, or a date |
//!
//! Reading is strict: a request that could be read in two ways could be decided in two ways. Unknown and duplicate
//! keys, `null`, and values of the wrong type are errors. Errors repeat no values except those of `operation` and
//! `now`.
//!
//! The owner of a policy may decide without the secret of a token: [`ReplayRequest`] also reads `token_id`, and lines
//! of a decision log.

mod body;
mod decision;
mod replay;
mod request;
#[cfg(test)]
mod tests;

pub use decision::{ErrorLine, SkippedLine, WireDecision};
pub use replay::{Logged, ReplayRequest, Replayed, unknown_token};
pub use request::{WireError, WireRequest};
