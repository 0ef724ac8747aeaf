//! Portcullis.

use std::sync::Arc;

use portcullis::base::Timestamp;
use portcullis::decision::{Credential, Request, Source, decide};
use portcullis::snapshot::Snapshot;

use crate::asked::Asked;
use crate::engine::Engine;

/// The request that the engine is asked.
pub fn request<'a>(asked: &Asked<'a>) -> Request<'a> {
    let mut request = Request::new(asked.api, asked.connection).secret(asked.secret);
    request = request.source(Source::Resource(asked.resource));
    request.referer = asked.referer;
    request
}

/// As [`request`], with the digest that the caller has kept.
pub fn known<'a>(asked: &Asked<'a>) -> Request<'a> {
    let credential = if asked.secret.is_empty() { Credential::Missing } else { Credential::Digest(asked.digest) };
    Request { credential, ..request(asked) }
}

/// The whole decision: the secret is hashed in it.
pub struct FromSecret {
    pub snapshot: Arc<Snapshot>,
    pub now: Timestamp,
}

impl Engine for FromSecret {
    fn decide(&mut self, asked: &Asked<'_>) -> bool {
        decide(&self.snapshot, &request(asked), self.now).is_allow()
    }
}

/// The decision from a digest that is already computed: the peers, which hash no secrets, are compared with this.
pub struct FromDigest {
    pub snapshot: Arc<Snapshot>,
    pub now: Timestamp,
}

impl Engine for FromDigest {
    fn decide(&mut self, asked: &Asked<'_>) -> bool {
        decide(&self.snapshot, &known(asked), self.now).is_allow()
    }
}
