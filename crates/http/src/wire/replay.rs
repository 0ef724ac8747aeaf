//! Logged requests, to be decided again.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Error, IgnoredAny, MapAccess};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::body::{Body, KEYS, Listed, Misread, SourceMember, instant, set, sources, value};
use super::request::{WireError, WireRequest};
use crate::access::{AccessSource, SourceKind};
use portcullis::base::{Timestamp, quoted};
use portcullis::decision::{Decision, Reason, Replay, Request, Source};
use portcullis::explain::{Explanation, explain, explain_token};
use portcullis::query::QueryDigest;
use portcullis_document::definition::{Element, Lenient, Name, Text, present};

/// The version of log lines.
const LOG: u64 = 1;

/// The key of a query of which only the digest is known.
const QUERY_SHA256: &str = "query_sha256";

/// The key of a query of which neither text nor digest is known.
const QUERY_BYTES: &str = "query_bytes";

/// A request that may name its token by id: a [`WireRequest`] with `token_id` instead of `token`, or a line of a
/// decision log. Never accept one from a client: an id is not a secret.
///
/// ```
/// use portcullis::decision::{Reason, Replay};
/// use portcullis_http::wire::{ReplayRequest, Replayed};
/// use portcullis::Snapshot;
///
/// let line = br#"{"log":1,"time":"2026-11-24T12:00:00Z","generation":7,"token_id":"a","api":"maps","connection":"dw",
///     "sources":[{"resource":"db.t"}],"decision":"allow","grants":[0],"ns":812}"#;
/// let request = ReplayRequest::read(line)?;
/// let nothing = Snapshot::default();
/// match request.decide(&Replay::new(&nothing), "2026-11-25".parse()?) {
///     Replayed::Decided(decision) => assert_eq!(decision.reason(), Some(Reason::TokenUnknown)),
///     Replayed::Skipped(why) => panic!("{why}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReplayRequest<'t> {
    id: Option<&'t RawValue>,
    /// `None` if the logged request was not understood.
    request: Option<WireRequest<'t>>,
    token_id: Option<Text<'t>>,
    /// Sources of unknown text, by index.
    hidden: SmallVec<[(usize, Hidden); 1]>,
    /// Whether the referer is only the origin of the header that the client sent.
    referer_cut: bool,
    logged: Option<Logged>,
    sampled: bool,
    is_use: bool,
}

/// The logged decision: allowed, or denied with a reason.
pub type Logged = Result<(), Reason>;

/// The result of deciding a logged request again.
#[derive(Debug, PartialEq, Eq)]
pub enum Replayed<'s> {
    /// The exact decision of the snapshot.
    Decided(Decision<'s>),
    /// The reason why there is no exact decision.
    Skipped(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hidden {
    Digest(QueryDigest),
    Lost,
}

/// The key that marks an object as a line of a log.
#[derive(Deserialize)]
struct Marker {
    #[serde(default, deserialize_with = "present")]
    log: Option<Element<u64>>,
}

impl<'t> ReplayRequest<'t> {
    /// Reads one request. Linear in the length of `text`.
    ///
    /// # Errors
    ///
    /// If `text` is not JSON, or not the JSON object of a request or log line.
    pub fn read(text: &'t [u8]) -> Result<Self, WireError> {
        // Only an object that contains `log` can be a line of a log.
        let is_object = text.trim_ascii_start().starts_with(b"{");
        let marker = memchr::memmem::find(text, b"\"log\"").filter(|_| is_object);
        let version = match marker.map(|_| serde_json::from_slice::<Marker>(text)) {
            Some(Ok(Marker { log })) => log,
            Some(Err(error)) if !error.is_data() => return Err(WireError::of(&error)),
            Some(Err(_)) | None => None,
        };
        match version {
            Some(Element::Found(LOG)) => Self::of(WireError::reading::<ReplayBody<'t, true>>(text)?.0),
            Some(Element::Wrong(found)) => {
                Err(WireError::whole(format!("`log`: expected the number {LOG}, found {found}")))
            }
            Some(_) => Err(WireError::whole(format!("`log`: expected {LOG}: the log is of another version"))),
            None => Self::of(WireError::reading::<ReplayBody<'t, false>>(text)?.0),
        }
    }

    fn of(keys: Keys<'t>) -> Result<Self, WireError> {
        let Keys { mut body, time, evaluated_at, token_id, hidden, referer_cut, decision, reason, sampled, log } = keys;
        if body.now.is_some() && (time.is_some() || evaluated_at.is_some()) {
            return Err(WireError::whole("`time` or `now` is given more than once"));
        }
        body.now = body.now.or(evaluated_at).or(time);
        let logged = if log.is_some() { logged(decision.as_deref(), reason.as_deref())? } else { None };
        let id = body.id;
        if body.token.is_some() && token_id.is_some() {
            return Err(WireError::whole("`token` and `token_id` are both given: leave one out"));
        }
        // There is no decision on a preflight.
        let understood = decision.as_deref() != Some("none") && logged != Some(Err(Reason::RequestNotUnderstood));
        let request = match (understood, log) {
            (false, _) => None,
            (true, Some(_)) => Some(WireRequest::of_any(body)?),
            (true, None) => Some(WireRequest::of(body)?),
        };
        let is_use = evaluated_at.is_none();
        Ok(Self { id, request, token_id, hidden, referer_cut, logged, sampled, is_use })
    }

    /// Returns the id of the request, as written.
    pub fn id(&self) -> Option<&'t RawValue> {
        self.id
    }

    /// Returns the logged decision, if it is known.
    pub fn logged(&self) -> Option<Logged> {
        self.logged
    }

    /// Returns the id of the token, if the request names one.
    pub fn token_id(&self) -> Option<&str> {
        self.token_id.as_deref()
    }

    /// Returns the time to decide at, if the request has one; of a line of a log, the time at which it was decided.
    pub fn at(&self) -> Option<Timestamp> {
        self.request.as_ref().and_then(WireRequest::now)
    }

    /// Returns the request without credential and sources; `None` if it was not understood.
    pub fn request(&self) -> Option<Request<'_>> {
        self.request.as_ref().map(|request| request.with(&[]))
    }

    /// Returns the sources, in order. `None` is a query of which only the digest is known, and that no token is
    /// granted.
    pub fn sources<'r, 's: 'r>(&'r self, replay: &Replay<'s>) -> Vec<Option<Source<'r>>> {
        let Some(request) = &self.request else { return Vec::new() };
        let mut sources: Vec<_> = request.sources().into_iter().map(Some).collect();
        for (at, hidden) in &self.hidden {
            let text = match hidden {
                Hidden::Digest(digest) => replay.query(digest),
                Hidden::Lost => None,
            };
            if let Some(source) = sources.get_mut(*at) {
                *source = text.map(Source::Query);
            }
        }
        sources
    }

    /// Returns the number of sources.
    pub fn source_count(&self) -> usize {
        self.request.as_ref().map_or(0, |request| request.sources().len())
    }

    /// Whether there is a decision on the request: there is none on a preflight.
    pub fn is_decision(&self) -> bool {
        self.request.is_some() || self.logged.is_some()
    }

    /// Whether its log is a sample of the allowed requests.
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Whether the request used its token. It did not if the caller asked about another time than the present.
    pub fn is_use(&self) -> bool {
        self.is_use
    }

    /// Decides the request with a snapshot, at its own time if it has one, otherwise at `now`.
    pub fn decide<'s>(&self, replay: &Replay<'s>, now: Timestamp) -> Replayed<'s> {
        self.decided(replay, now, false)
    }

    /// Decides like [`decide`](Self::decide), to find the grants that an allowed request needs: a referer that is not
    /// in the log was accepted then, and counts as accepted.
    pub fn decide_grants<'s>(&self, replay: &Replay<'s>, now: Timestamp) -> Replayed<'s> {
        self.decided(replay, now, true)
    }

    /// Explains the decision of the request for the token that it names, at its own time if it has one, otherwise at `now`.
    /// Without a token id, the request has the token that it presents.
    ///
    /// # Errors
    ///
    /// If no token has the id, or the request lacks a part that a decision needs.
    pub fn explain(&self, replay: &Replay<'_>, now: Timestamp) -> Result<Explanation, String> {
        let Some(request) = &self.request else {
            return Err("the request was not understood when it was logged: no token decided it".to_owned());
        };
        let sources = self.sources(replay).into_iter().collect::<Option<Vec<_>>>();
        let sources = sources.ok_or("the text of a query is not in the log, and no token is granted this query")?;
        let (request, now) = (request.with(&sources), request.now().unwrap_or(now));
        let Some(token_id) = &self.token_id else {
            return match self.logged {
                None => Ok(explain(replay.snapshot(), &request, now)),
                Some(_) => Err("the log line has no `token_id`: no known token was presented".to_owned()),
            };
        };
        let explained =
            explain_token(replay, token_id, &request, now).ok_or_else(|| unknown_token(replay, token_id))?;
        if self.referer_cut
            && explained.decision().reason() == Some(Reason::RefererNotAllowed)
            && replay.reads_referer_paths(token_id)
        {
            return Err("only the origin of the referer is in the log, and the token looks at its path".to_owned());
        }
        Ok(explained)
    }

    fn decided<'s>(&self, replay: &Replay<'s>, now: Timestamp, trusting: bool) -> Replayed<'s> {
        let Some(request) = &self.request else {
            return Replayed::Skipped("the request was not understood when it was logged");
        };
        let mut sources = request.sources();
        for &(at, hidden) in &self.hidden {
            let Hidden::Digest(digest) = hidden else {
                return Replayed::Skipped("a query is too long to be in the log");
            };
            // All queries that no token is granted have the same decision.
            if let (Some(text), Some(source)) = (replay.query(&digest), sources.get_mut(at)) {
                *source = Source::Query(text);
            }
        }
        let now = request.now().unwrap_or(now);
        let Some(token_id) = &self.token_id else {
            return match self.logged {
                Some(Err(Reason::TokenUnknown)) => {
                    Replayed::Skipped("a token was presented that was unknown, and is not in the log")
                }
                Some(Err(Reason::PolicyUnavailable)) => {
                    Replayed::Skipped("which token was presented is not in the log: there was no policy")
                }
                _ => Replayed::Decided(portcullis::decision::decide(replay.snapshot(), &request.with(&sources), now)),
            };
        };
        let request = request.with(&sources);
        let decision = replay.decide(token_id, &request, now);
        if !(self.referer_cut
            && decision.reason() == Some(Reason::RefererNotAllowed)
            && replay.reads_referer_paths(token_id))
        {
            return Replayed::Decided(decision);
        }
        if trusting && self.logged == Some(Ok(())) {
            return Replayed::Decided(replay.decide_past_referer(token_id, &request, now));
        }
        Replayed::Skipped("only the origin of the referer is in the log, and the token looks at its path")
    }
}

/// Returns the error for an id that no token has. Does not repeat the id, which may be a secret by mistake.
pub fn unknown_token(replay: &Replay<'_>, token_id: &str) -> String {
    match replay.nearest(token_id) {
        Some(nearest) => format!("no token of the policy has this id, did you mean {}?", quoted(nearest)),
        None => "no token of the policy has this id: use an id of the policy, not a secret".to_owned(),
    }
}

/// Reads the decision of a line of a log; `None` for a preflight, and for a request without one. A decision that this
/// version does not know is an error:
/// it must count neither as allowed nor as denied.
fn logged(decision: Option<&str>, reason: Option<&str>) -> Result<Option<Logged>, WireError> {
    match (decision, reason) {
        (Some("allow"), _) => Ok(Some(Ok(()))),
        (Some("none") | None, _) => Ok(None),
        (Some("deny"), Some(code)) => match Reason::ALL.into_iter().find(|reason| reason.code() == code) {
            Some(reason) => Ok(Some(Err(reason))),
            None => Err(WireError::whole(format!("`reason`: expected the code of a reason, found {}", quoted(code)))),
        },
        (Some("deny"), None) => Err(WireError::whole("`reason` is missing")),
        (Some(decision), _) => {
            Err(WireError::whole(format!("`decision`: expected `allow`, `deny` or `none`, found {}", quoted(decision))))
        }
    }
}

/// The values of the object.
#[derive(Default)]
struct Keys<'t> {
    body: Body<'t>,
    log: Option<u64>,
    time: Option<Timestamp>,
    evaluated_at: Option<Timestamp>,
    token_id: Option<Text<'t>>,
    hidden: SmallVec<[(usize, Hidden); 1]>,
    referer_cut: bool,
    decision: Option<Text<'t>>,
    reason: Option<Text<'t>>,
    sampled: bool,
}

/// A request or, with `LOG`, a line of a log. The line may have unknown keys: log shippers add some.
struct ReplayBody<'t, const LOG: bool>(Keys<'t>);

impl<'t, const LOG: bool> Lenient<'t> for ReplayBody<'t, LOG> {
    const EXPECTED: &'static str = Body::EXPECTED;

    fn from_object<A: MapAccess<'t>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut keys = Keys::default();
        while let Some(Name(key)) = map.next_key()? {
            match &*key {
                "token_id" => set(&mut keys.token_id, &key, value(&key, &mut map)?)?,
                "sources" => keys.sources(map.next_value()?)?,
                "log" if LOG => set(&mut keys.log, &key, value(&key, &mut map)?)?,
                "time" if LOG => set(&mut keys.time, &key, instant(&key, &mut map)?)?,
                "evaluated_at" if LOG => set(&mut keys.evaluated_at, &key, instant(&key, &mut map)?)?,
                "decision" if LOG => set(&mut keys.decision, &key, value(&key, &mut map)?)?,
                "reason" if LOG => set(&mut keys.reason, &key, value(&key, &mut map)?)?,
                "sample" if LOG => {
                    map.next_value::<IgnoredAny>()?;
                    keys.sampled = true;
                }
                "referer_cut" if LOG => keys.referer_cut = value(&key, &mut map)?,
                known if !LOG || KEYS.contains(&known) => keys.body.entry(known, &mut map)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Some(Self(keys)))
    }
}

impl<'t> Keys<'t> {
    fn sources<E: Error>(&mut self, list: Element<Vec<Element<Listed<ReplaySource<'t>>>>>) -> Result<(), E> {
        self.body.source("sources")?;
        for source in sources(list)? {
            let (source, hidden) = match source? {
                ReplaySource::Shown(source) => (source, None),
                // A text that no token is granted: no query is a digest in quotes.
                ReplaySource::Hidden(hidden) => {
                    let text = match hidden {
                        Hidden::Digest(digest) => format!("select '{digest}'"),
                        Hidden::Lost => String::new(),
                    };
                    ((SourceKind::Query, Cow::Owned(text)), Some(hidden))
                }
            };
            self.hidden.extend(hidden.map(|hidden| (self.body.sources.len(), hidden)));
            self.body.sources.push(source);
        }
        Ok(())
    }
}

/// One source of a list.
enum ReplaySource<'t> {
    Shown(AccessSource<'t>),
    Hidden(Hidden),
}

impl<'t> SourceMember<'t> for ReplaySource<'t> {
    const EXPECTED: &'static str = "an object with one of `resource`, `query`, `named_source` and `query_sha256`";

    fn read(key: &str, value: Element<Text<'t>>) -> Result<Self, Misread> {
        match key {
            QUERY_SHA256 => {
                let digest = Misread::text(QUERY_SHA256, value)?.parse();
                Ok(Self::Hidden(Hidden::Digest(digest.map_err(|error| Misread::value(QUERY_SHA256, error))?)))
            }
            QUERY_BYTES => Ok(Self::Hidden(Hidden::Lost)),
            _ => AccessSource::read(key, value).map(Self::Shown),
        }
    }
}
