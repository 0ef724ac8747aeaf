//! The decision (N10): one request, one snapshot, one instant, one answer.

mod reason;
mod request;

pub use reason::{Allow, Decision, Reason};
pub use request::{Credential, Request, Source, Sources};
