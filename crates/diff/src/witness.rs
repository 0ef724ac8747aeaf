//! Witnesses: requests that prove what an audit reports. Each is decided before it is shown.

use std::fmt;

use portcullis::base::{Escaped, Timestamp};
use portcullis::decision::{Decision, Request, Source, decide};
use portcullis::model::{Operation, SecretDigest};
use portcullis::snapshot::Snapshot;

/// The source that a witness reads or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedSource {
    /// No source; the API needs none.
    Nothing,
    /// A resource.
    Resource(String),
    /// The text of a query.
    Query(String),
    /// A named source.
    NamedSource(String),
}

impl RequestedSource {
    /// Returns the kind, as requests write it (`resource`, `query` or `named_source`), and the text.
    pub fn parts(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Nothing => None,
            Self::Resource(text) => Some(("resource", text)),
            Self::Query(text) => Some(("query", text)),
            Self::NamedSource(text) => Some(("named_source", text)),
        }
    }
}

/// A complete request, with the digest of the secret instead of the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// The id of the token.
    pub token: String,
    /// The digest of the token's secret.
    pub digest: SecretDigest,
    /// The API.
    pub api: String,
    /// The operation under the API.
    pub operation: Operation,
    /// The connection; empty if the API needs no source.
    pub connection: String,
    /// The source.
    pub source: RequestedSource,
    /// The Referer header.
    pub referer: Option<String>,
    /// The time of the request.
    pub at: Timestamp,
}

/// A claim of an audit that the decision contradicts: a bug of the audit. Do not rely on its results.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "bug in the audit: {claim}, but the decision is {decision} for {witness}; help: do not rely on any result of this audit"
)]
pub struct Unconfirmed {
    /// The claim.
    pub claim: &'static str,
    /// The actual decision.
    pub decision: String,
    /// The request.
    pub witness: Box<Witness>,
}

impl Witness {
    /// Decides the request with `snapshot`.
    pub fn decide<'s>(&self, snapshot: &'s Snapshot) -> Decision<'s> {
        let request = Request::new(&self.api, &self.connection).digest(self.digest).operation(self.operation);
        let request = match &self.source {
            RequestedSource::Nothing => request,
            RequestedSource::Resource(text) => request.source(Source::Resource(text)),
            RequestedSource::Query(text) => request.source(Source::Query(text)),
            RequestedSource::NamedSource(text) => request.source(Source::NamedSource(text)),
        };
        let request = match &self.referer {
            Some(referer) => request.referer(referer),
            None => request,
        };
        decide(snapshot, &request, self.at)
    }

    /// Confirms that `snapshot` allows, or denies, the request.
    ///
    /// # Errors
    ///
    /// Returns an error if the decision contradicts `allowed`.
    pub fn confirm(&self, snapshot: &Snapshot, claim: &'static str, allowed: bool) -> Result<(), Unconfirmed> {
        let decision = self.decide(snapshot);
        if decision.is_allow() == allowed {
            return Ok(());
        }
        let decision = decision.reason().map_or("allow".to_owned(), |reason| reason.to_string());
        Err(Unconfirmed { claim, decision, witness: Box::new(self.clone()) })
    }
}

/// Writes, for example, `token `a`, api `maps`, resource `db.t` on `dw`, referer `https://…`, at 2026-11-24T00:00:00Z`.
impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token `{}`, api `{}`", Escaped::whole(&self.token), Escaped::whole(&self.api))?;
        if self.operation == Operation::Model {
            write!(f, " ({})", self.operation.as_str())?;
        }
        if let Some((kind, text)) = self.source.parts() {
            let kind = kind.replace('_', " ");
            write!(f, ", {kind} `{}` on `{}`", Escaped::whole(text), Escaped::whole(&self.connection))?;
        }
        if let Some(referer) = &self.referer {
            write!(f, ", referer `{}`", Escaped::whole(referer))?;
        }
        write!(f, ", at {}", self.at)
    }
}
