//! The valid policy: what exists here has been checked, since nothing else can build it.
//!
//! A policy is made from documents by lowering; that is the only part of the model that knows how a document is written.

mod api;
mod expiry;
mod grant;
mod policy;
mod token;

pub use api::{Api, ApiError, ApiId, ApiSet, Apis, GrantKind, GrantKinds, MAX_APIS, Operation};
pub use expiry::{Expiry, ExpiryError};
pub use grant::{Grant, GrantSource, SourceError, SourceType};
pub use policy::{Connection, ConnectionId, Limits, Policy, PolicyError};
pub use token::{Referers, SecretDigest, SecretDigestError, Token, TokenParts};
