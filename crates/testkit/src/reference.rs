//! A naive implementation of [`decision`](portcullis::decision): the oracle in tests.
//!
//! A [`Reference`] stores a policy as text, parses it with the naive modules of `name`, `pattern`, `query` and
//! `referer`, and runs the checks of N10 one after another, each as a plain loop. It shares no matching code with the
//! engine and compiles nothing. Its purpose is to be correct and readable.
//!
//! Cost: each request evaluates every grant of every token. Patterns with many stars take exponential time.

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

/// The decision of a reference: a [`Decision`] that owns its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferenceDecision {
    /// The request is allowed.
    Allow {
        /// The id of the token.
        token: String,
        /// For each source, the index in the token's list of the most specific grant that covers it.
        grants: Vec<u32>,
    },
    /// The request is denied, for this reason.
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

/// A policy as its author wrote it, with all kinds explicit. It is not validated.
#[derive(Debug, Clone, Default)]
pub struct ReferencePolicy {
    /// The declared connections. Grants and requests may name further connections, whose dialect is `generic`.
    pub connections: Vec<ReferenceConnection>,
    /// The declared APIs, without the four built-in ones (N8.3).
    pub apis: Vec<ReferenceApi>,
    /// The tokens.
    pub tokens: Vec<ReferenceToken>,
}

/// A declared connection.
#[derive(Debug, Clone)]
pub struct ReferenceConnection {
    /// The name that grants and requests use.
    pub name: String,
    /// The dialect of identifiers.
    pub dialect: Dialect,
    /// Whether queries on the connection are denied (N8.7).
    pub named_sources_only: bool,
}

/// A declared API (N8.5).
#[derive(Debug, Clone)]
pub struct ReferenceApi {
    /// The name that tokens and requests use.
    pub name: String,
    /// The grant kinds that the API accepts.
    pub accepts: Vec<GrantKind>,
}

/// A token.
#[derive(Debug, Clone)]
pub struct ReferenceToken {
    /// The id in decisions.
    pub id: String,
    /// The digest of the secret.
    pub digest: SecretDigest,
    /// The names of the APIs that the token may use.
    pub apis: Vec<String>,
    /// The grants of the token.
    pub grants: Vec<ReferenceGrant>,
    /// The referers from which the token may be used; empty if any.
    pub referers: Vec<String>,
    /// The expiry of the token; `None` if it does not expire.
    pub expiry: Option<Timestamp>,
}

/// A grant.
#[derive(Debug, Clone)]
pub struct ReferenceGrant {
    /// The name of the connection.
    pub connection: String,
    /// The kind of the source. [`kind`] returns the kind of a source without a type.
    pub kind: GrantKind,
    /// The source.
    pub source: String,
}

/// A reference implementation for one policy.
#[derive(Debug, Clone)]
pub struct Reference {
    policy: ReferencePolicy,
    /// The parsed sources of each token's grants.
    granted: Vec<Vec<Granted>>,
}

/// The parsed source of a grant.
#[derive(Debug, Clone)]
enum Granted {
    Resource(Vec<String>),
    Pattern(Vec<Vec<Piece>>),
    Query(String),
    NamedSource(String),
    All,
    /// Covers nothing: the text is not of its kind.
    Nothing,
}

/// The parsed source of a request.
enum RequestedSource {
    Resource(Vec<String>),
    Query(String),
    NamedSource(String),
}

impl Reference {
    /// Creates the reference for a valid policy.
    ///
    /// Parses grants from the text that [`GrantSource::display`](portcullis::model::GrantSource::display) returns.
    pub fn new(policy: &Policy) -> Self {
        Self::of(reference_policy(policy))
    }

    /// Creates the reference for a policy as its author wrote it.
    pub fn of(policy: ReferencePolicy) -> Self {
        let granted =
            policy.tokens.iter().map(|token| token.grants.iter().map(|grant| read(&policy, grant)).collect()).collect();
        Self { policy, granted }
    }

    /// Returns the grants that cannot be parsed as their kind, and so cover nothing: the index of the token, then of
    /// the grant. The list is empty for every valid policy.
    pub fn unreadable(&self) -> Vec<(usize, usize)> {
        let mut unreadable = Vec::new();
        for (token, grants) in self.granted.iter().enumerate() {
            for (grant, granted) in grants.iter().enumerate() {
                if matches!(granted, Granted::Nothing) {
                    unreadable.push((token, grant));
                }
            }
        }
        unreadable
    }

    /// Decides one request (N10).
    pub fn decide(&self, request: &Request<'_>, now: Timestamp) -> ReferenceDecision {
        self.check(request, now).unwrap_or_else(ReferenceDecision::Deny)
    }

    /// Runs the checks of N10, in order. The first check that fails decides.
    fn check(&self, request: &Request<'_>, now: Timestamp) -> Result<ReferenceDecision, Reason> {
        // 1. A token is presented.
        let digest = match request.credential {
            Credential::Missing | Credential::Secret("") => return Err(Reason::TokenMissing),
            Credential::Secret(secret) => SecretDigest::of(secret),
            Credential::Digest(digest) => digest,
        };

        // 2. The token is known.
        let known = self.policy.tokens.iter().zip(&self.granted).find(|(token, _)| token.digest == digest);
        let (token, granted) = known.ok_or(Reason::TokenUnknown)?;

        // 3. The token has not expired.
        if token.expiry.is_some_and(|end| now >= end) {
            return Err(Reason::TokenExpired);
        }

        // 4. The token lists the API.
        let considered = self.considered(request.api, request.operation);
        if !token.apis.iter().any(|api| api == request.api) || considered.is_none() {
            return Err(Reason::ApiNotAllowed);
        }

        // 5. The token's referers accept the request.
        let entries: Vec<&str> = token.referers.iter().map(String::as_str).collect();
        match referer::accepts(&entries, request.referer) {
            Acceptance::Accepted => {}
            Acceptance::Missing => return Err(Reason::RefererMissing),
            Acceptance::NotAllowed => return Err(Reason::RefererNotAllowed),
        }

        // `lds` needs no source, so checks 6 to 9 do not apply.
        let Some(considered) = considered.filter(|_| request.api != "lds") else {
            return Ok(ReferenceDecision::Allow { token: token.id.clone(), grants: Vec::new() });
        };

        // 6. Each source is well-formed, and there is one.
        let dialect = dialect(&self.policy, request.connection);
        let sources = request.sources.as_slice();
        let requested: Option<Vec<RequestedSource>> =
            sources.iter().map(|&source| requested_source(source, dialect)).collect();
        let requested = requested.filter(|requested| !requested.is_empty()).ok_or(Reason::SourceMalformed)?;

        // 7. The token has a grant on the connection.
        if !token.grants.iter().any(|grant| grant.connection == request.connection) {
            return Err(Reason::ConnectionNotGranted);
        }

        // 8. No source is a query on a connection that accepts named sources only.
        if self.named_sources_only(request.connection)
            && requested.iter().any(|source| matches!(source, RequestedSource::Query(_)))
        {
            return Err(Reason::QueryNotAccepted);
        }

        // 9. A considered grant covers each source.
        let mut grants = Vec::new();
        for source in &requested {
            grants.push(most_specific(token, granted, request.connection, source, considered)?);
        }
        Ok(ReferenceDecision::Allow { token: token.id.clone(), grants })
    }

    /// Returns the grant kinds that a request under `api` is checked against (N8.3, N8.5); `None` if there is no such
    /// API.
    fn considered(&self, api: &str, operation: Operation) -> Option<&[GrantKind]> {
        use GrantKind::{All, NamedSource, Pattern, Query, Resource};
        match (api, operation) {
            ("maps", _) | ("sql", Operation::Model) => Some(&[Resource, Pattern, Query, NamedSource, All]),
            ("sql", Operation::Query) => Some(&[Query, NamedSource, All]),
            ("imports", _) => Some(&[Resource, Pattern, All]),
            ("lds", _) => Some(&[]),
            _ => self
                .policy
                .apis
                .iter()
                .find(|declared| declared.name == api)
                .map(|declared| declared.accepts.as_slice()),
        }
    }

    fn named_sources_only(&self, connection: &str) -> bool {
        self.policy.connections.iter().any(|declared| declared.name == connection && declared.named_sources_only)
    }
}

/// Returns a policy text that an author of `policy` could have written.
fn reference_policy(policy: &Policy) -> ReferencePolicy {
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
        grants: token.grants().iter().filter_map(|grant| reference_grant(policy, grant)).collect(),
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

fn reference_grant(policy: &Policy, grant: &Grant) -> Option<ReferenceGrant> {
    // INVARIANT of `Policy`: the connection exists.
    let connection = policy.connection(grant.connection())?;
    Some(ReferenceGrant {
        connection: connection.name().to_owned(),
        kind: grant.source().kind(),
        source: grant.source().display(connection.dialect()),
    })
}

/// Returns the index of the grant that allows `source`, or the reason for a denial.
fn most_specific(
    token: &ReferenceToken,
    granted: &[Granted],
    connection: &str,
    source: &RequestedSource,
    considered: &[GrantKind],
) -> Result<u32, Reason> {
    let mut best = None;
    let mut covered_by_another_kind = false;
    for (index, (grant, granted)) in (0..).zip(token.grants.iter().zip(granted)) {
        if grant.connection != connection || !covers(granted, source) {
            continue;
        }
        if !considered.contains(&grant.kind) {
            covered_by_another_kind = true;
            continue;
        }
        let found = (specificity(granted), index);
        // Of two equally specific grants, the first one wins.
        if best.is_none_or(|(most, _)| found.0 > most) {
            best = Some(found);
        }
    }
    match best {
        Some((_, index)) => Ok(index),
        None if covered_by_another_kind => Err(Reason::GrantKindNotAccepted),
        None => Err(Reason::SourceNotGranted),
    }
}

/// Returns whether a grant covers a source on the same connection (N8.4).
fn covers(granted: &Granted, source: &RequestedSource) -> bool {
    match (granted, source) {
        (Granted::All, _) => true,
        (Granted::Resource(granted), RequestedSource::Resource(requested)) => granted == requested,
        (Granted::Pattern(granted), RequestedSource::Resource(requested)) => pattern::covers(granted, requested),
        (Granted::Query(granted), RequestedSource::Query(requested))
        | (Granted::NamedSource(granted), RequestedSource::NamedSource(requested)) => granted == requested,
        _ => false,
    }
}

/// Returns the specificity of a grant (N10): one source, then patterns by literal characters, then all sources.
fn specificity(granted: &Granted) -> (u8, usize) {
    match granted {
        Granted::Resource(_) | Granted::Query(_) | Granted::NamedSource(_) => (2, 0),
        Granted::Pattern(granted) => (1, pattern::literal_characters(granted)),
        Granted::All | Granted::Nothing => (0, 0),
    }
}

/// Parses a source of a request; returns `None` if it is malformed.
fn requested_source(source: Source<'_>, dialect: Dialect) -> Option<RequestedSource> {
    match source {
        Source::Resource(text) => segments(text, dialect).map(RequestedSource::Resource),
        Source::Query(text) => query::normal(text).map(RequestedSource::Query),
        Source::NamedSource(text) => {
            query::is_named_source(text).then(|| RequestedSource::NamedSource(text.to_owned()))
        }
    }
}

fn read(policy: &ReferencePolicy, grant: &ReferenceGrant) -> Granted {
    granted(&grant.source, grant.kind, dialect(policy, &grant.connection))
}

/// Parses the source of a grant as its kind.
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

/// Parses a resource that can be granted: at least two segments, and no star that a warehouse treats as a wildcard
/// (N3.5, N6).
fn resource(text: &str, dialect: Dialect) -> Option<Vec<String>> {
    let pieces = portcullis::name::naive::pieces(text, dialect)?;
    let starless = pieces.iter().flatten().all(|&piece| piece != Piece::Star);
    if pieces.len() >= 2 && starless && !has_quoted_star(&pieces, dialect) { segments(text, dialect) } else { None }
}

fn pattern(text: &str, dialect: Dialect) -> Option<Vec<Vec<Piece>>> {
    pattern::parse(text, dialect).filter(|pieces| !has_quoted_star(pieces, dialect))
}

/// Returns whether a name has a quoted star in `bigquery`, which expands a star in backquotes too.
fn has_quoted_star(pieces: &[Vec<Piece>], dialect: Dialect) -> bool {
    dialect == Dialect::BigQuery && pieces.iter().flatten().any(|&piece| piece == Piece::Char('*'))
}

/// Returns the kind of a source without a type, in the order of N6; `None` if it is of no kind.
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

/// Returns whether `text` can be granted as a source of this kind.
pub fn reads_as(text: &str, kind: GrantKind, dialect: Dialect) -> bool {
    !matches!(granted(text, kind, dialect), Granted::Nothing)
}

/// Returns the dialect of a connection: `generic` if the policy does not declare it (N2.5).
fn dialect(policy: &ReferencePolicy, connection: &str) -> Dialect {
    policy
        .connections
        .iter()
        .find(|declared| declared.name == connection)
        .map_or(Dialect::Generic, |found| found.dialect)
}
