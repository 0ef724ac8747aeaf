//! Portcullis is a local authorization policy engine. It compiles definitions of API access tokens into an immutable
//! snapshot and decides each request: *allow or deny, and why*. A decision takes no lock and allocates no memory. Its
//! cost does not grow with the number of tokens.
//!
//! The data flow in four types:
//!
//! ```text
//! document ──▶ Policy ──compile──▶ Snapshot ──decide(request, now)──▶ Decision
//! (JSON text)   (valid)            (immutable)                        (allow | deny + reason)
//! ```
//!
//! ```
//! use portcullis::{Authorizer, Decision, Options, Reason, Request, Snapshot, Source};
//!
//! // 1. Read a document. An error lists every problem, each with its line and column.
//! let policy = portcullis_document::read_policy(r#"{
//!     "tokens": [{
//!         "id": "public-map",
//!         "token": "s3cret",
//!         "allowed_apis": ["maps"],
//!         "grants": [{"connection_name": "carto_dw", "source": "carto.shared.CARTO_*"}],
//!         "referers": ["https://app.example.com/"],
//!         "expiration_date": "2027-01-01"
//!     }]
//! }"#)?;
//!
//! // 2. Compile the policy. The snapshot stores digests of secrets, never a secret.
//! let snapshot = Snapshot::compile(&policy, &Options::default())?;
//!
//! // 3. Create a handle that can swap the snapshot while requests are being decided.
//! let authorizer = Authorizer::new(snapshot);
//!
//! // 4. Decide. The request borrows its text, and the time is an argument.
//! let now = "2026-11-22T12:00:00Z".parse()?;
//! let request = Request::new("maps", "carto_dw")
//!     .secret("s3cret")
//!     .referer("https://app.example.com/");
//! let current = authorizer.current();
//! match current.decide(&request.source(Source::Resource("carto.shared.CARTO_roads")), now) {
//!     Decision::Allow(allow) => assert_eq!((allow.token(), allow.grants()), ("public-map", [0].as_slice())),
//!     Decision::Deny(reason) => panic!("{reason}"),
//! }
//! let denied = current.decide(&request.source(Source::Resource("carto.private.salaries")), now);
//! assert_eq!(denied.reason(), Some(Reason::SourceNotGranted));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! - [`decision`]: requests, reasons, [`decide`] and `decide_batch`.
//! - [`explain`](mod@explain): the decision check by check, with near misses.
//! - [`authorizer`]: hot swap, reload, usage counters, clocks.
//! - [`snapshot`]: compilation, options, compiled files.
//! - [`model`]: the valid policy and its parts.
//! - [`semantics`]: the rules of a decision.
//!
//! The modules `base`, `name`, `pattern`, `query` and `referer` are the building blocks. Most users can ignore them.
//!
//! # Other crates
//!
//! - `portcullis-document` reads policies in JSON and JSON Lines.
//! - `portcullis-http` reads HTTP requests, writes responses and JSON, and has a tower layer.
//! - `portcullis-diff` compares policies exactly.
//! - `portcullis-registry` stores credentials in SQLite.
//! - `portcullis-audit` answers questions about a policy offline.
//! - `portcullis-server` is the sidecar.
//! - `portcullis-capi` is the C API, for gateways that are not written in Rust.
//! - `portcullis-cli` is the command line.
#![forbid(unsafe_code)]

pub mod authorizer;
pub mod base;
pub mod decision;
pub mod explain;
pub mod model;
pub mod name;
pub mod pattern;
pub mod query;
pub mod referer;
pub mod snapshot;

#[doc = include_str!("../docs/semantics.md")]
pub mod semantics {}

#[doc = include_str!("../docs/limitations.md")]
pub mod limitations {}

#[doc = include_str!("../docs/performance.md")]
pub mod performance {}

pub use authorizer::Authorizer;
pub use base::Timestamp;
pub use decision::{Decision, Reason, Request, Source, decide};
pub use explain::explain;
pub use model::Policy;
pub use snapshot::{Options, Snapshot};

// Runs the examples of the README as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
