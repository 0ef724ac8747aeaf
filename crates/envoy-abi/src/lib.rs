//! The part of Envoy's ABI for dynamic modules that an HTTP filter needs, as safe Rust.
//!
//! Implement [`Module`] and export it:
//!
//! ```ignore
//! portcullis_envoy_abi::export!(MyModule);
//! ```
//!
//! - `callbacks` finds the functions of the running Envoy by name. A module loads only into an Envoy that has all of
//!   them, and returns the version of the ABI that this Envoy has.
//! - [`Stream`] and [`Definitions`] call these functions.
//! - `events` are the functions that Envoy calls. Each one catches panics, and the result is a denial.
//!
//! The filter itself has no `unsafe`: with the C API, this is the only crate of the workspace that may.

mod callbacks;
#[doc(hidden)]
pub mod events;
mod header;
mod host;
mod load;
mod log;
mod module;
mod response;
mod stream;
mod types;

pub use header::{Header, Headers, text};
pub use load::init;
pub use log::{Level, log};
pub use module::{Call, Flow, Module};
pub use response::Response;
pub use stream::{Counter, Definitions, Gauge, Map, Stream, Undefined};
