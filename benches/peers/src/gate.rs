//! Portcullis as an engine.

use std::sync::Arc;

use portcullis::base::Timestamp;
use portcullis::decision::{Credential, Request, Source, decide};
use portcullis::snapshot::Snapshot;

use crate::engine::Engine;
use crate::requests::ParsedRequest;

/// Returns the request with its secret.
pub fn request<'a>(asked: &ParsedRequest<'a>) -> Request<'a> {
    let mut request = Request::new(asked.api, asked.connection).secret(asked.secret);
    request = request.source(Source::Resource(asked.resource));
    request.referer = asked.referer;
    request
}

/// Returns the request with the digest that the caller has kept.
pub fn known<'a>(asked: &ParsedRequest<'a>) -> Request<'a> {
    let credential = if asked.secret.is_empty() { Credential::Missing } else { Credential::Digest(asked.digest) };
    Request { credential, ..request(asked) }
}

/// The whole decision, including the hash of the secret.
pub struct FromSecret {
    pub snapshot: Arc<Snapshot>,
    pub now: Timestamp,
}

impl Engine for FromSecret {
    fn decide(&mut self, asked: &ParsedRequest<'_>) -> bool {
        decide(&self.snapshot, &request(asked), self.now).is_allow()
    }
}

/// The decision from a digest that is already computed. The peers, which do not hash secrets, are compared with this
/// engine.
pub struct FromDigest {
    pub snapshot: Arc<Snapshot>,
    pub now: Timestamp,
}

impl Engine for FromDigest {
    fn decide(&mut self, asked: &ParsedRequest<'_>) -> bool {
        decide(&self.snapshot, &known(asked), self.now).is_allow()
    }
}
