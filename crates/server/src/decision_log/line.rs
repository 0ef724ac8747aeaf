//! One line of the log: a decision, without any secret.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::QueryTexts;
use crate::decided::{Decided, Ids, ObservedPreflight, PreflightEnd, Unread};
use portcullis::base::Timestamp;
use portcullis::decision::{Decision, Reason, Request, Source};
use portcullis::model::Operation;
use portcullis::query::{MAX_QUERY_BYTES, NormalForm, QueryDigest, QueryError};
use portcullis::referer::Referer;

/// The version of the format. The key marks an object as a line of the log.
const LOG: u32 = 1;

/// The logged form of a referer that no token accepts. It is not a URL either.
const UNREADABLE: &str = "unreadable";

/// A decided request as a JSON object: a line of the log, and a request of `portcullis check`.
pub(crate) struct Line<'a> {
    pub(crate) decided: &'a Decided<'a>,
    pub(crate) queries: QueryTexts,
    /// The share of logged allows; `None` if all are logged.
    pub(crate) sample: Option<f64>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Decided { at, evaluated_at, ids, generation, token_id, request, decision, took } = self.decided;
        let mut map = serializer.serialize_map(None)?;
        start(&mut map, *at, *evaluated_at, ids, *generation)?;
        if let Some(token_id) = token_id {
            map.serialize_entry("token_id", token_id)?;
        }
        if let Some(request) = request {
            self.request(request, &mut map)?;
        }
        match decision {
            Decision::Allow(allow) => {
                map.serialize_entry("decision", "allow")?;
                map.serialize_entry("grants", allow.grants())?;
                if let Some(sample) = self.sample {
                    map.serialize_entry("sample", &sample)?;
                }
            }
            Decision::Deny(reason) => denied(&mut map, *reason)?,
        }
        map.serialize_entry("ns", &u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))?;
        map.end()
    }
}

/// A request that was not understood as a JSON object: `check` and audits skip it, since no token decided.
pub(super) struct UnreadLine<'a>(pub(super) &'a Unread<'a>);

impl Serialize for UnreadLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Unread { at, ids, generation, why, method, path, token_id } = self.0;
        let mut map = serializer.serialize_map(None)?;
        start(&mut map, *at, None, ids, *generation)?;
        for (key, value) in [("token_id", token_id), ("method", method), ("path", path)] {
            if let Some(value) = value {
                map.serialize_entry(key, value)?;
            }
        }
        map.serialize_entry("why", why)?;
        denied(&mut map, Reason::RequestNotUnderstood)?;
        map.end()
    }
}

/// A preflight as a JSON object: `check` and audits skip it, since no token decided.
pub(super) struct PreflightLine<'a>(pub(super) &'a ObservedPreflight<'a>);

impl Serialize for PreflightLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ObservedPreflight { at, ids, generation, end } = self.0;
        let mut map = serializer.serialize_map(None)?;
        start(&mut map, *at, None, ids, *generation)?;
        map.serialize_entry("preflight", end.as_str())?;
        if *end == PreflightEnd::Refused {
            denied(&mut map, Reason::RequestNotUnderstood)?;
        } else {
            map.serialize_entry("decision", "none")?;
        }
        map.end()
    }
}

/// Writes a denial.
fn denied<M: SerializeMap>(map: &mut M, reason: Reason) -> Result<(), M::Error> {
    map.serialize_entry("decision", "deny")?;
    map.serialize_entry("reason", reason.code())?;
    map.serialize_entry("status", &reason.status())
}

/// Writes the common start of all lines.
fn start<M: SerializeMap>(
    map: &mut M,
    at: Timestamp,
    evaluated_at: Option<Timestamp>,
    ids: &Ids<'_>,
    generation: u64,
) -> Result<(), M::Error> {
    map.serialize_entry("log", &LOG)?;
    map.serialize_entry("time", &format_args!("{at}"))?;
    if let Some(instant) = evaluated_at {
        map.serialize_entry("evaluated_at", &format_args!("{instant}"))?;
    }
    if let Some(id) = ids.either() {
        map.serialize_entry("id", id)?;
    }
    if let Some(trace) = ids.trace {
        map.serialize_entry("trace_id", trace)?;
    }
    map.serialize_entry("generation", &generation)
}

impl Line<'_> {
    fn request<M: SerializeMap>(&self, request: &Request<'_>, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("api", request.api)?;
        if request.operation != Operation::Query {
            map.serialize_entry("operation", request.operation.as_str())?;
        }
        if !request.connection.is_empty() {
            map.serialize_entry("connection", request.connection)?;
        }
        let sources = request.sources.as_slice();
        if !sources.is_empty() {
            map.serialize_entry("sources", &Listed { sources, queries: self.queries })?;
        }
        match request.referer.map(|header| (header, Referer::parse(header))) {
            None | Some(("", _)) => Ok(()),
            Some((_, None)) => map.serialize_entry("referer", UNREADABLE),
            Some((_, Some(referer))) => {
                let (scheme, host) = (referer.scheme().as_str(), referer.host());
                match referer.port() {
                    Some(port) => map.serialize_entry("referer", &format_args!("{scheme}://{host}:{port}/"))?,
                    None => map.serialize_entry("referer", &format_args!("{scheme}://{host}/"))?,
                }
                if referer.path_and_query() == "/" { Ok(()) } else { map.serialize_entry("referer_cut", &true) }
            }
        }
    }
}

struct Listed<'a> {
    sources: &'a [Source<'a>],
    queries: QueryTexts,
}

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.sources.len()))?;
        for &source in self.sources {
            list.serialize_element(&One { source, queries: self.queries })?;
        }
        list.end()
    }
}

struct One<'a> {
    source: Source<'a>,
    queries: QueryTexts,
}

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self.source {
            Source::Resource(text) => map.serialize_entry("resource", text)?,
            Source::NamedSource(text) => map.serialize_entry("named_source", text)?,
            Source::Query(text) => match NormalForm::of(text, MAX_QUERY_BYTES) {
                Err(QueryError::TooLong { found, .. }) => map.serialize_entry("query_bytes", &found)?,
                // No policy grants an empty query, and it reveals nothing.
                Err(QueryError::Empty) => map.serialize_entry("query", "")?,
                Ok(_) if self.queries == QueryTexts::Shown => map.serialize_entry("query", text)?,
                Ok(query) => map.serialize_entry("query_sha256", &format_args!("{}", QueryDigest::of(query)))?,
            },
        }
        map.end()
    }
}
