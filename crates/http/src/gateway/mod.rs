//! HTTP requests, read: from method, target, headers and body to what a decision is asked for, or *not understood* and
//! why (W1 to W4, W6).
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
//! Reading is pure and strict: what this reader and the upstream behind the gateway could read differently is not
//! understood, and denied. It borrows all that stands in the request without escapes, and allocates only to decode.
//!
//! Which paths mean what is data: [`Routes`].

mod headers;
mod keys;
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
