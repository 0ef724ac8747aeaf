//! The valid policy. Every value of these types has been checked: the constructors reject invalid input.
//!
//! The crate `portcullis-document` lowers documents to a policy. The model does not depend on the format of documents.

mod api;
mod connection;
mod expiry;
mod grant;
mod limits;
mod policy;
mod token;

pub use api::{Api, ApiError, ApiId, ApiSet, Apis, GrantKind, GrantKinds, MAX_APIS, Operation};
pub use connection::{Connection, ConnectionId};
pub use expiry::{Expiry, ExpiryError};
pub use grant::{Grant, GrantSource, SourceError, SourceType};
pub use limits::Limits;
pub use policy::{Policy, PolicyError};
pub use token::{Referers, SecretDigest, SecretDigestError, Token, TokenParts};
