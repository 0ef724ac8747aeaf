//! Decides requests (N10): one request against one snapshot, at one instant.

mod decide;
mod reason;
mod replay;
mod request;

pub(crate) use decide::{CanonicalSource, Target, api, decide_for, of_token};
pub use decide::{decide, decide_batch};
pub(crate) use reason::TokenId;
pub use reason::{Allow, Decision, Reason};
pub use replay::Replay;
pub use request::{Credential, Request, Source, Sources};
