//! The same question as [`decision`](portcullis::decision), answered the slow way: the oracle.
//!
//! A [`Reference`] keeps a policy as text, reads it with the naive halves of `name`, `pattern`, `query` and `referer`,
//! and goes through the checks of N10 one after the other, each a plain loop. It shares no matching code with the
//! engine, and compiles nothing. It is there to be right, and to be read.
//!
//! Cost: every grant of every token, for every request; patterns with many stars are exponential.

use portcullis::base::Timestamp;
use portcullis::decision::{Credential, Decision, Reason, Request, Source};
use portcullis::model::{Expiry, Grant, GrantKind, Operation, Policy, Referers, SecretDigest};
use portcullis::name::Dialect;
use portcullis::name::naive::{Piece, segments};
use portcullis::pattern::naive as pattern;
use portcullis::query::naive as query;
use portcullis::referer::naive::{self as referer, Acceptance};

/// Decides one request by the rules of N10, check by check. To decide many, build one [`Reference`].
pub fn decide(policy: &Policy, request: &Request<'_>, now: Timestamp) -> ReferenceDecision {
    Reference::new(policy).decide(request, now)
}

/// What the reference answers: a [`Decision`] that owns its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceDecision {
    /// The request may pass.
    Allow {
        /// The id of the token.
        token: String,
        /// For each source, the place of the most specific grant that covers it in the token's list.
        grants: Vec<u32>,
    },
    /// It may not.
    Deny(Reason),
}

impl From<&Decision<'_>> for ReferenceDecision {
    fn from(decision: &Decision<'_>) -> Self {
        match decision {
            Decision::Allow(allow) => Self::Allow { token: allow.token().to_owned(), grants: allow.grants().to_vec() },
            Decision::Deny(reason) => Self::Deny(*reason),
        }
    }
}

impl PartialEq<Decision<'_>> for ReferenceDecision {
    fn eq(&self, decision: &Decision<'_>) -> bool {
        match (self, decision) {
            (Self::Allow { token, grants }, Decision::Allow(allow)) => {
                token == allow.token() && grants == allow.grants()
            }
            (Self::Deny(reason), Decision::Deny(found)) => reason == found,
            _ => false,
        }
    }
}

/// A policy as its author wrote it, with nothing left to guess. Nothing in it has been checked.
#[derive(Debug, Clone, Default)]
pub struct ReferencePolicy {
    /// The connections that are declared. Grants and requests may name others, whose dialect is `generic`.
    pub connections: Vec<ReferenceConnection>,
    /// The APIs that are declared, beyond the four of N8.3.
    pub apis: Vec<ReferenceApi>,
    /// The tokens.
    pub tokens: Vec<ReferenceToken>,
}

/// A declared connection.
#[derive(Debug, Clone)]
pub struct ReferenceConnection {
    /// What grants and requests call it.
    pub name: String,
    /// How it writes identifiers.
    pub dialect: Dialect,
    /// Whether queries on it are denied (N8.7).
    pub named_sources_only: bool,
}

/// A declared API (N8.5).
#[derive(Debug, Clone)]
pub struct ReferenceApi {
    /// What tokens and requests call it.
    pub name: String,
    /// The grant kinds that it accepts.
    pub accepts: Vec<GrantKind>,
}

/// A token.
#[derive(Debug, Clone)]
pub struct ReferenceToken {
    /// What an allow calls it.
    pub id: String,
    /// The digest of its secret.
    pub digest: SecretDigest,
    /// The names of the APIs that it may use.
    pub apis: Vec<String>,
    /// What it may read or write.
    pub grants: Vec<ReferenceGrant>,
    /// From where; if empty, from anywhere.
    pub referers: Vec<String>,
    /// From when on it is expired.
    pub expiry: Option<Timestamp>,
}

/// A grant.
#[derive(Debug, Clone)]
pub struct ReferenceGrant {
    /// On which connection.
    pub connection: String,
    /// What kind of source the text is; see [`kind`] where the author does not say.
    pub kind: GrantKind,
    /// The source.
    pub source: String,
}

/// A policy that waits for questions.
#[derive(Debug, Clone)]
pub struct Reference {
    written: ReferencePolicy,
    /// The sources of each token's grants, read once.
    granted: Vec<Vec<Granted>>,
}

/// What a grant covers.
#[derive(Debug, Clone)]
enum Granted {
    Resource(Vec<String>),
    Pattern(Vec<Vec<Piece>>),
    Query(String),
    NamedSource(String),
    All,
    /// Nothing: its text is not of its kind.
    Nothing,
}

/// A source of a request, read.
enum RequestedSource {
    Resource(Vec<String>),
    Query(String),
    NamedSource(String),
}

impl Reference {
    /// The reference for a valid policy.
    ///
    /// Grants are taken as [`GrantSource::display`](portcullis::model::GrantSource::display) writes them.
    pub fn new(policy: &Policy) -> Self {
        Self::of(written(policy))
    }

    /// The reference for a policy as it is written.
    pub fn of(written: ReferencePolicy) -> Self {
        let granted = written
            .tokens
            .iter()
            .map(|token| token.grants.iter().map(|grant| read(&written, grant)).collect())
            .collect();
        Self { written, granted }
    }

    /// The grants that cannot be read as their kind, and so cover nothing: the token's place, then the grant's in it.
    /// Empty for every valid policy.
    pub fn unreadable(&self) -> Vec<(usize, usize)> {
        let mut places = Vec::new();
        for (token, grants) in self.granted.iter().enumerate() {
            for (grant, granted) in grants.iter().enumerate() {
                if matches!(granted, Granted::Nothing) {
                    places.push((token, grant));
                }
            }
        }
        places
    }

    /// Decides one request (N10).
    pub fn decide(&self, request: &Request<'_>, now: Timestamp) -> ReferenceDecision {
        self.check(request, now).unwrap_or_else(ReferenceDecision::Deny)
    }

    /// The checks of N10, in order: the first that fails is the answer.
    fn check(&self, request: &Request<'_>, now: Timestamp) -> Result<ReferenceDecision, Reason> {
        // 1. A token is presented.
        let digest = match request.credential {
            Credential::Missing | Credential::Secret("") => return Err(Reason::TokenMissing),
            Credential::Secret(secret) => SecretDigest::of(secret),
            Credential::Digest(digest) => digest,
        };

        // 2. It is known.
        let known = self.written.tokens.iter().zip(&self.granted).find(|(token, _)| token.digest == digest);
        let (token, granted) = known.ok_or(Reason::TokenUnknown)?;

        // 3. It has not expired.
        if token.expiry.is_some_and(|end| now >= end) {
            return Err(Reason::TokenExpired);
        }

        // 4. It lists the API.
        let considered = self.considered(request.api, request.operation);
        if !token.apis.iter().any(|api| api == request.api) || considered.is_none() {
            return Err(Reason::ApiNotAllowed);
        }

        // 5. Its referers accept the request.
        let entries: Vec<&str> = token.referers.iter().map(String::as_str).collect();
        match referer::accepts(&entries, request.referer) {
            Acceptance::Accepted => {}
            Acceptance::Missing => return Err(Reason::RefererMissing),
            Acceptance::NotAllowed => return Err(Reason::RefererNotAllowed),
        }

        // `lds` needs no source: the four checks behind are not for it.
        let Some(considered) = considered.filter(|_| request.api != "lds") else {
            return Ok(ReferenceDecision::Allow { token: token.id.clone(), grants: Vec::new() });
        };

        // 6. Each source is well-formed, and there is one.
        let dialect = dialect(&self.written, request.connection);
        let sources = request.sources.as_slice();
        let asked: Option<Vec<RequestedSource>> = sources.iter().map(|&source| asked(source, dialect)).collect();
        let asked = asked.filter(|asked| !asked.is_empty()).ok_or(Reason::SourceMalformed)?;

        // 7. It has a grant on the connection.
        if !token.grants.iter().any(|grant| grant.connection == request.connection) {
            return Err(Reason::ConnectionNotGranted);
        }

        // 8. No source is a query on a connection that accepts named sources only.
        if self.named_sources_only(request.connection)
            && asked.iter().any(|source| matches!(source, RequestedSource::Query(_)))
        {
            return Err(Reason::QueryNotAccepted);
        }

        // 9. For each source, a considered grant covers it.
        let mut grants = Vec::new();
        for source in &asked {
            grants.push(most_specific(token, granted, request.connection, source, considered)?);
        }
        Ok(ReferenceDecision::Allow { token: token.id.clone(), grants })
    }

    /// The grant kinds that a request under `api` is checked against (N8.3, N8.5); `None` if there is no such API.
    fn considered(&self, api: &str, operation: Operation) -> Option<&[GrantKind]> {
        use GrantKind::{All, NamedSource, Pattern, Query, Resource};
        match (api, operation) {
            ("maps", _) | ("sql", Operation::Model) => Some(&[Resource, Pattern, Query, NamedSource, All]),
            ("sql", Operation::Query) => Some(&[Query, NamedSource, All]),
            ("imports", _) => Some(&[Resource, Pattern, All]),
            ("lds", _) => Some(&[]),
            _ => self
                .written
                .apis
                .iter()
                .find(|declared| declared.name == api)
                .map(|declared| declared.accepts.as_slice()),
        }
    }

    fn named_sources_only(&self, connection: &str) -> bool {
        self.written.connections.iter().any(|declared| declared.name == connection && declared.named_sources_only)
    }
}

/// What the author of `policy` may have written.
fn written(policy: &Policy) -> ReferencePolicy {
    const BUILT_IN: [&str; 4] = ["maps", "sql", "imports", "lds"];
    let connections = policy.connections().iter().map(|connection| ReferenceConnection {
        name: connection.name().to_owned(),
        dialect: connection.dialect(),
        named_sources_only: connection.named_sources_only(),
    });
    let declared = policy.apis().iter().filter(|(_, api)| !BUILT_IN.contains(&api.name()));
    let apis = declared.map(|(_, api)| ReferenceApi {
        name: api.name().to_owned(),
        accepts: api.considers(Operation::Query).iter().collect(),
    });
    let tokens = policy.tokens().iter().map(|token| ReferenceToken {
        id: token.id().to_owned(),
        digest: *token.digest(),
        apis: token.apis().iter().filter_map(|api| Some(policy.apis().get(api)?.name().to_owned())).collect(),
        grants: token.grants().iter().filter_map(|grant| written_grant(policy, grant)).collect(),
        referers: match token.referers() {
            Referers::Any => Vec::new(),
            Referers::Only(set) => set.entries().map(|entry| entry.as_str().to_owned()).collect(),
        },
        expiry: match token.expiry() {
            Expiry::Never => None,
            Expiry::At(end) => Some(end),
        },
    });
    ReferencePolicy { connections: connections.collect(), apis: apis.collect(), tokens: tokens.collect() }
}

fn written_grant(policy: &Policy, grant: &Grant) -> Option<ReferenceGrant> {
    // INVARIANT of `Policy`: the connection exists.
    let connection = policy.connection(grant.connection())?;
    Some(ReferenceGrant {
        connection: connection.name().to_owned(),
        kind: grant.source().kind(),
        source: grant.source().display(connection.dialect()),
    })
}

/// The place of the grant that allows `source`, or why none does.
fn most_specific(
    token: &ReferenceToken,
    granted: &[Granted],
    connection: &str,
    source: &RequestedSource,
    considered: &[GrantKind],
) -> Result<u32, Reason> {
    let mut best = None;
    let mut covered_by_another_kind = false;
    for (place, (grant, granted)) in (0..).zip(token.grants.iter().zip(granted)) {
        if grant.connection != connection || !covers(granted, source) {
            continue;
        }
        if !considered.contains(&grant.kind) {
            covered_by_another_kind = true;
            continue;
        }
        let found = (specificity(granted), place);
        // Of two that are equally specific, the first in the document.
        if best.is_none_or(|(most, _)| found.0 > most) {
            best = Some(found);
        }
    }
    match best {
        Some((_, place)) => Ok(place),
        None if covered_by_another_kind => Err(Reason::GrantKindNotAccepted),
        None => Err(Reason::SourceNotGranted),
    }
}

/// Whether a grant covers a source of its own connection (N8.4).
fn covers(granted: &Granted, source: &RequestedSource) -> bool {
    match (granted, source) {
        (Granted::All, _) => true,
        (Granted::Resource(granted), RequestedSource::Resource(asked)) => granted == asked,
        (Granted::Pattern(granted), RequestedSource::Resource(asked)) => pattern::covers(granted, asked),
        (Granted::Query(granted), RequestedSource::Query(asked))
        | (Granted::NamedSource(granted), RequestedSource::NamedSource(asked)) => granted == asked,
        _ => false,
    }
}

/// One source before patterns before all; among patterns, the more literal characters (N10).
fn specificity(granted: &Granted) -> (u8, usize) {
    match granted {
        Granted::Resource(_) | Granted::Query(_) | Granted::NamedSource(_) => (2, 0),
        Granted::Pattern(granted) => (1, pattern::literal_characters(granted)),
        Granted::All | Granted::Nothing => (0, 0),
    }
}

/// Reads a source of a request; `None` where it is malformed.
fn asked(source: Source<'_>, dialect: Dialect) -> Option<RequestedSource> {
    match source {
        Source::Resource(text) => segments(text, dialect).map(RequestedSource::Resource),
        Source::Query(text) => query::normal(text).map(RequestedSource::Query),
        Source::NamedSource(text) => {
            query::is_named_source(text).then(|| RequestedSource::NamedSource(text.to_owned()))
        }
    }
}

fn read(written: &ReferencePolicy, grant: &ReferenceGrant) -> Granted {
    granted(&grant.source, grant.kind, dialect(written, &grant.connection))
}

/// Reads the source of a grant as its kind.
fn granted(text: &str, kind: GrantKind, dialect: Dialect) -> Granted {
    let read = match kind {
        GrantKind::Resource => resource(text, dialect).map(Granted::Resource),
        GrantKind::Pattern => pattern(text, dialect).map(Granted::Pattern),
        GrantKind::Query => query::normal(text).map(Granted::Query),
        GrantKind::NamedSource => query::is_named_source(text).then(|| Granted::NamedSource(text.to_owned())),
        GrantKind::All => (text == "*").then_some(Granted::All),
    };
    read.unwrap_or(Granted::Nothing)
}

/// A resource that can be granted: at least two segments, and no star that a warehouse reads as one (N3.5, N6).
fn resource(text: &str, dialect: Dialect) -> Option<Vec<String>> {
    let pieces = portcullis::name::naive::pieces(text, dialect)?;
    let starless = pieces.iter().flatten().all(|&piece| piece != Piece::Star);
    if pieces.len() >= 2 && starless && !holds_a_quoted_star(&pieces, dialect) { segments(text, dialect) } else { None }
}

fn pattern(text: &str, dialect: Dialect) -> Option<Vec<Vec<Piece>>> {
    pattern::parse(text, dialect).filter(|pieces| !holds_a_quoted_star(pieces, dialect))
}

/// BigQuery expands a star in backquotes too.
fn holds_a_quoted_star(pieces: &[Vec<Piece>], dialect: Dialect) -> bool {
    dialect == Dialect::BigQuery && pieces.iter().flatten().any(|&piece| piece == Piece::Char('*'))
}

/// The kind of a source that is written without its type, in the order of N6; `None` if it is of none.
pub fn kind(text: &str, dialect: Dialect) -> Option<GrantKind> {
    if text == "*" {
        return Some(GrantKind::All);
    }
    if let Some(pieces) = portcullis::name::naive::pieces(text, dialect).filter(|pieces| pieces.len() >= 2) {
        let star = pieces.iter().flatten().any(|&piece| piece == Piece::Star);
        return Some(if star { GrantKind::Pattern } else { GrantKind::Resource });
    }
    if query::is_named_source(text) {
        return Some(GrantKind::NamedSource);
    }
    if query::looks_like_query(text) {
        return Some(GrantKind::Query);
    }
    None
}

/// Whether `text` can be granted as a source of that kind.
pub fn reads_as(text: &str, kind: GrantKind, dialect: Dialect) -> bool {
    !matches!(granted(text, kind, dialect), Granted::Nothing)
}

/// The dialect of a connection: `generic` where none declares it (N2.5).
fn dialect(written: &ReferencePolicy, connection: &str) -> Dialect {
    written
        .connections
        .iter()
        .find(|declared| declared.name == connection)
        .map_or(Dialect::Generic, |found| found.dialect)
}
