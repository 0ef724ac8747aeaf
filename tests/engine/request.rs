//! Requests that own their texts.

use portcullis::base::Timestamp;
use portcullis::decision::{Credential, Request, Source, Sources};
use portcullis::model::{Operation, SecretDigest};
use serde_json::Value;

/// A request with its time.
#[derive(Debug, Clone)]
pub(crate) struct OwnedRequest {
    pub(crate) credential: Presented,
    pub(crate) api: String,
    pub(crate) operation: Operation,
    pub(crate) connection: String,
    pub(crate) sources: Vec<OwnedSource>,
    pub(crate) referer: Option<String>,
    pub(crate) now: Timestamp,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Presented<T = String> {
    Nothing,
    Secret(T),
    DigestOf(T),
}

impl Presented<&str> {
    pub(crate) fn owned(self) -> Presented {
        match self {
            Self::Nothing => Presented::Nothing,
            Self::Secret(secret) => Presented::Secret(secret.to_owned()),
            Self::DigestOf(secret) => Presented::DigestOf(secret.to_owned()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OwnedSource {
    Resource(String),
    Query(String),
    NamedSource(String),
}

impl OwnedSource {
    pub(crate) fn borrowed(&self) -> Source<'_> {
        match self {
            Self::Resource(text) => Source::Resource(text),
            Self::Query(text) => Source::Query(text),
            Self::NamedSource(text) => Source::NamedSource(text),
        }
    }
}

impl OwnedRequest {
    /// Calls `decide` with the request and its time.
    pub(crate) fn with<T>(&self, decide: impl FnOnce(&Request<'_>, Timestamp) -> T) -> T {
        let sources: Vec<Source<'_>> = self.sources.iter().map(OwnedSource::borrowed).collect();
        let credential = match &self.credential {
            Presented::Nothing => Credential::Missing,
            Presented::Secret(secret) => Credential::Secret(secret),
            Presented::DigestOf(secret) => Credential::Digest(SecretDigest::of(secret)),
        };
        let sources = match sources.as_slice() {
            [source] => Sources::One(*source),
            many => Sources::Many(many),
        };
        let (api, connection) = (self.api.as_str(), self.connection.as_str());
        let referer = self.referer.as_deref();
        decide(&Request { credential, api, operation: self.operation, connection, sources, referer }, self.now)
    }

    /// Reads a line of `requests.jsonl`. `None` if the line is not a request.
    pub(crate) fn read(line: &Value) -> Option<Self> {
        let credential = match line["token"].as_str() {
            None => Presented::Nothing,
            Some(secret) => Presented::Secret(secret.to_owned()),
        };
        let operation = match line["operation"].as_str() {
            None => Operation::Query,
            Some(name) => Operation::from_name(name)?,
        };
        let sources = match line["sources"].as_array() {
            Some(sources) => sources.iter().map(source).collect::<Option<Vec<_>>>()?,
            None => source(line).into_iter().collect(),
        };
        Some(Self {
            credential,
            api: line["api"].as_str()?.to_owned(),
            operation,
            connection: line["connection"].as_str().unwrap_or_default().to_owned(),
            sources,
            referer: line["referer"].as_str().map(str::to_owned),
            now: line["now"].as_str()?.parse().ok()?,
        })
    }
}

fn source(object: &Value) -> Option<OwnedSource> {
    let text = |key: &str| object[key].as_str().map(str::to_owned);
    let resource = text("resource").map(OwnedSource::Resource);
    resource
        .or_else(|| text("query").map(OwnedSource::Query))
        .or_else(|| text("named_source").map(OwnedSource::NamedSource))
}
