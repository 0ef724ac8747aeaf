//! Decisions and the reasons for a denial.

use std::fmt;

use smallvec::SmallVec;

use crate::snapshot::{Compiled, Row};

/// The reason for a denial, in the order of the checks (N10). The first check that fails decides.
///
/// Exhaustive on purpose: code that matches reasons must fail to compile when a reason is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No policy has been loaded yet.
    PolicyUnavailable,
    /// The client's HTTP request could not be read unambiguously.
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
    /// No referer of the token matches the request's referer.
    RefererNotAllowed,
    /// A source is not well-formed.
    SourceMalformed,
    /// The token has no grant on the connection.
    ConnectionNotGranted,
    /// A source is a query, and the connection accepts named sources only.
    QueryNotAccepted,
    /// A source is covered only by a grant of a kind that the API does not consider.
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

    /// Returns the stable code.
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

    /// Returns the HTTP status of a response to the denied request.
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

/// The token and the grants that allowed a request.
#[derive(Clone)]
pub struct Allow<'s> {
    pub(crate) token: TokenId<'s>,
    pub(crate) grants: SmallVec<[u32; 4]>,
}

/// The id of a token, or the row to read it from. Most callers never read the id, and it is stored apart from the data
/// of a decision.
#[derive(Clone, Copy)]
pub(crate) enum TokenId<'s> {
    Of(&'s Compiled, &'s Row),
    Read(&'s str),
}

impl<'s> Allow<'s> {
    /// Returns the id of the token.
    pub fn token(&self) -> &'s str {
        match self.token {
            TokenId::Of(compiled, row) => compiled.token_id(row),
            TokenId::Read(id) => id,
        }
    }

    /// Returns, for each source of the request, the index of the grant that allowed it in the token's list.
    ///
    /// The grant is the most specific one that covers the source (N10). The list is empty if the API needs no source.
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
    /// The request is allowed.
    Allow(Allow<'s>),
    /// The request is denied, for this reason.
    Deny(Reason),
}

impl Decision<'_> {
    /// Returns whether the request is allowed.
    pub fn is_allow(&self) -> bool {
        matches!(self, Self::Allow(_))
    }

    /// Returns the reason for a denial; `None` if the request is allowed.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Allow(_) => None,
            Self::Deny(reason) => Some(*reason),
        }
    }
}
