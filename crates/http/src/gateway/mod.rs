//! Reads HTTP requests: method, target, headers and body become a request for a decision, or are *not understood*, with
//! the reason (W1 to W4, W6).
//!
//! ```
//! use portcullis_http::gateway::{Body, HttpRequest, Reader, Reading};
//!
//! let reader = Reader::default();
//! let headers = [("authorization", "Bearer s3cret"), ("referer", "https://app.example.com/")];
//! let reading = reader.read(&HttpRequest {
//!     method: "GET",
//!     target: "/v3/maps/carto_dw/table/5/15/12?name=carto.shared.roads&formatTiles=binary",
//!     headers: &headers,
//!     body: Body::Whole(b""),
//! })?;
//! let Reading::Access(access) = reading else { panic!("{reading:?}") };
//! let sources = access.sources();
//! let request = access.request(&sources); // for `decide`
//! assert_eq!((request.api, request.connection), ("maps", "carto_dw"));
//! assert_eq!(request.sources.as_slice()[0].text(), "carto.shared.roads");
//! # Ok::<(), portcullis_http::gateway::NotUnderstood>(())
//! ```
//!
//! Reading is pure and strict: a request that this reader and the upstream could read differently is not understood,
//! and denied. Borrows all text without escapes, and allocates only to decode.
//!
//! [`Routes`] define the meaning of paths.

mod headers;
mod keys;
mod object;
mod parameters;
mod path;
mod percent;
mod reader;
mod reading;
mod routes;

pub use crate::access::{Access, AccessSource, SourceKind};
pub use headers::{Body, Headers, HttpRequest};
pub use reader::{Preflights, Reader, ReaderOptions};
pub use reading::{NotUnderstood, Preflight, Reading};
pub use routes::{Routes, RoutesError};
