//! The answer.

use std::fmt;

use smallvec::SmallVec;

use crate::snapshot::{Compiled, Row};

/// Why a request is denied, in the order of the checks (N10). The first that fails decides.
///
/// Exhaustive on purpose: where a reason is added, code that handles reasons should fail to compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There is no policy to decide by, and never was.
    PolicyUnavailable,
    /// What was asked for could not be read from the client's request without doubt.
    RequestNotUnderstood,
    /// No token was presented.
    TokenMissing,
    /// No token has the presented secret.
    TokenUnknown,
    /// The token has expired.
    TokenExpired,
    /// The token does not list the API.
    ApiNotAllowed,
    /// The token has referers and the request has none.
    RefererMissing,
    /// The request's referer is none of the token's.
    RefererNotAllowed,
    /// A source is not well-formed.
    SourceMalformed,
    /// The token has no grant on the connection.
    ConnectionNotGranted,
    /// A query on a connection that accepts named sources only.
    QueryNotAccepted,
    /// Only a grant that the API does not consider would have covered a source.
    GrantKindNotAccepted,
    /// No grant covers a source.
    SourceNotGranted,
}

impl Reason {
    /// Every reason, in the order of the checks.
    pub const ALL: [Self; 13] = [
        Self::PolicyUnavailable,
        Self::RequestNotUnderstood,
        Self::TokenMissing,
        Self::TokenUnknown,
        Self::TokenExpired,
        Self::ApiNotAllowed,
        Self::RefererMissing,
        Self::RefererNotAllowed,
        Self::SourceMalformed,
        Self::ConnectionNotGranted,
        Self::QueryNotAccepted,
        Self::GrantKindNotAccepted,
        Self::SourceNotGranted,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::PolicyUnavailable => "policy_unavailable",
            Self::RequestNotUnderstood => "request_not_understood",
            Self::TokenMissing => "token_missing",
            Self::TokenUnknown => "token_unknown",
            Self::TokenExpired => "token_expired",
            Self::ApiNotAllowed => "api_not_allowed",
            Self::RefererMissing => "referer_missing",
            Self::RefererNotAllowed => "referer_not_allowed",
            Self::SourceMalformed => "source_malformed",
            Self::ConnectionNotGranted => "connection_not_granted",
            Self::QueryNotAccepted => "query_not_accepted",
            Self::GrantKindNotAccepted => "grant_kind_not_accepted",
            Self::SourceNotGranted => "source_not_granted",
        }
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::PolicyUnavailable => 503,
            Self::TokenMissing | Self::TokenUnknown | Self::TokenExpired => 401,
            _ => 403,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What allowed a request.
#[derive(Clone)]
pub struct Allow<'s> {
    pub(crate) token: TokenId<'s>,
    pub(crate) grants: SmallVec<[u32; 4]>,
}

/// The id of a token, or where it can be read: most callers never do, and it lies apart from all that a decision needs.
#[derive(Clone, Copy)]
pub(crate) enum TokenId<'s> {
    Of(&'s Compiled, &'s Row),
    Read(&'s str),
}

impl<'s> Allow<'s> {
    /// The id of the token.
    pub fn token(&self) -> &'s str {
        match self.token {
            TokenId::Of(compiled, row) => compiled.token_id(row),
            TokenId::Read(id) => id,
        }
    }

    /// For each source of the request, the place of the grant that allowed it in the token's list: the most specific
    /// that covers it (N10). Empty under an API that needs no source.
    pub fn grants(&self) -> &[u32] {
        &self.grants
    }
}

impl PartialEq for Allow<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.token(), self.grants()) == (other.token(), other.grants())
    }
}

impl Eq for Allow<'_> {}

impl fmt::Debug for Allow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Allow").field("token", &self.token()).field("grants", &self.grants()).finish()
    }
}

/// Allow or deny.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'s> {
    /// The request may pass.
    Allow(Allow<'s>),
    /// It may not.
    Deny(Reason),
}

impl Decision<'_> {
    /// Whether the request may pass.
    pub fn is_allow(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// Why it may not pass.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Allow(_) => None,
            Self::Deny(reason) => Some(*reason),
        }
    }
}
