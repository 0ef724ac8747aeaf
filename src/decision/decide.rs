//! The checks, in their order (N10).

use super::reason::TokenId;
use super::{Allow, Credential, Decision, Reason, Request, Source};
use crate::base::Timestamp;
use crate::model::{ApiId, Connection, GrantKind, GrantKinds, SecretDigest};
use crate::name::{CanonicalName, NameBuffer};
use crate::pattern::{HashedName, covers, literal_characters, text_key};
use crate::query::{NamedSource, NormalForm};
use crate::referer::StoredSet;
use crate::snapshot::{Block, Compiled, Found, Row, Run, Snapshot, Tag, Text, query_key};

/// Decides one request against one snapshot, at the instant `now` (N10).
///
/// Pure: the same arguments give the same answer. Does not panic; does not allocate, but for a referer in a form that no
/// browser sends, for the list of grants of a request with more than four sources, and for a name that holds more than 2,048
/// distinct literals of a connection's patterns of several stars.
///
/// The cost does not depend on how many tokens the snapshot has. It is linear in the lengths of the secret, the referer
/// and the sources, and logarithmic in the connections of the token; the token's grants on the connection cost one
/// look-up for each shape that its patterns there have (at most 64, mostly one to three).
///
/// ```
/// use portcullis::decision::{Reason, Request, Source, decide};
/// use portcullis::snapshot::Snapshot;
///
/// let nothing = Snapshot::default();
/// let request = Request::new("maps", "carto_dw").secret("s3cret").source(Source::Resource("carto.shared.t"));
/// let decision = decide(&nothing, &request, "2026-11-22".parse()?);
/// assert_eq!(decision.reason(), Some(Reason::TokenUnknown));
/// # Ok::<(), portcullis::base::InstantError>(())
/// ```
#[inline]
pub fn decide<'s>(snapshot: &'s Snapshot, request: &Request<'_>, now: Timestamp) -> Decision<'s> {
    match token(snapshot, &request.credential) {
        Ok(found) => of_token(found, request, now),
        Err(reason) => Decision::Deny(reason),
    }
}

/// As [`decide`], with the token, where one is known.
#[inline]
pub(crate) fn decide_for<'s>(
    snapshot: &'s Snapshot,
    request: &Request<'_>,
    now: Timestamp,
) -> (Option<Found<'s>>, Decision<'s>) {
    match token(snapshot, &request.credential) {
        Ok(found) => (Some(found), of_token(found, request, now)),
        Err(reason) => (None, Decision::Deny(reason)),
    }
}

/// Decides each of `requests` against the same snapshot at the same instant, in order.
///
/// ```
/// use portcullis::decision::{Reason, Request, decide_batch};
/// use portcullis::snapshot::Snapshot;
///
/// let nothing = Snapshot::default();
/// let requests = [Request::new("lds", "").secret("s3cret"), Request::new("lds", "")];
/// let reasons: Vec<_> = decide_batch(&nothing, &requests, "2026-11-22".parse()?).map(|decision| decision.reason()).collect();
/// assert_eq!(reasons, [Some(Reason::TokenUnknown), Some(Reason::TokenMissing)]);
/// # Ok::<(), portcullis::base::InstantError>(())
/// ```
pub fn decide_batch<'s>(
    snapshot: &'s Snapshot,
    requests: &[Request<'_>],
    now: Timestamp,
) -> impl ExactSizeIterator<Item = Decision<'s>> {
    requests.iter().map(move |request| decide(snapshot, request, now))
}

#[inline]
pub(super) fn of_token<'s>(found: Found<'s>, request: &Request<'_>, now: Timestamp) -> Decision<'s> {
    match allow(found.compiled, found.row, request, now) {
        Ok(allow) => Decision::Allow(allow),
        Err(reason) => Decision::Deny(reason),
    }
}

#[inline]
fn allow<'s>(compiled: &'s Compiled, row: &'s Row, request: &Request<'_>, now: Timestamp) -> Result<Allow<'s>, Reason> {
    if row.expiry().is_expired(now) {
        return Err(Reason::TokenExpired);
    }
    let considered = api(compiled, row, request)?;
    referer(compiled.referers(row), request.referer)?;
    let mut allow = Allow { token: TokenId::Of(compiled, row), grants: smallvec::SmallVec::new() };
    if considered.is_empty() {
        return Ok(allow);
    }
    let target = Target { compiled, connection: compiled.connection(request.connection), considered };
    let mut buffer = NameBuffer::new();
    match request.sources.as_slice() {
        [] => return Err(Reason::SourceMalformed),
        [source] => {
            let asked = target.read(*source, &mut buffer)?;
            let block = target.block(row)?;
            target.accepts(*source)?;
            allow.grants.push(target.grant(block, &asked)?);
        }
        sources => {
            // Each check is made for every source before the next check (N10).
            for &source in sources {
                target.read(source, &mut buffer)?;
            }
            let block = target.block(row)?;
            for &source in sources {
                target.accepts(source)?;
            }
            for &source in sources {
                let asked = target.read(source, &mut buffer)?;
                allow.grants.push(target.grant(block, &asked)?);
            }
        }
    }
    Ok(allow)
}

/// Checks 1 and 2.
#[inline]
pub(crate) fn token<'s>(snapshot: &'s Snapshot, credential: &Credential<'_>) -> Result<Found<'s>, Reason> {
    let digest = match *credential {
        Credential::Missing | Credential::Secret("") => return Err(Reason::TokenMissing),
        Credential::Secret(secret) => SecretDigest::of(secret),
        Credential::Digest(digest) => digest,
    };
    snapshot.token(&digest).ok_or(Reason::TokenUnknown)
}

/// Check 4, and the grant kinds that the API considers: none if it needs no source.
#[inline]
pub(crate) fn api(compiled: &Compiled, row: &Row, request: &Request<'_>) -> Result<GrantKinds, Reason> {
    let apis = compiled.apis();
    let listed = |id: &ApiId| row.apis().contains(*id);
    let id = apis.find(request.api).filter(listed).ok_or(Reason::ApiNotAllowed)?;
    Ok(apis.get(id).map_or(GrantKinds::NONE, |api| api.considers(request.operation)))
}

/// Check 5 (N7.6).
#[inline]
pub(crate) fn referer(accepted: Option<StoredSet<'_>>, header: Option<&str>) -> Result<(), Reason> {
    match (accepted, header) {
        (None, _) => Ok(()),
        (Some(_), None | Some("")) => Err(Reason::RefererMissing),
        (Some(set), Some(header)) if set.accepts(header) => Ok(()),
        (Some(_), Some(_)) => Err(Reason::RefererNotAllowed),
    }
}

/// A well-formed source, in the form in which grants are kept.
pub(crate) enum Asked<'a> {
    Resource(CanonicalName<'a>),
    Query(NormalForm<'a>),
    NamedSource(&'a str),
}

impl Asked<'_> {
    /// The grants of just this.
    pub(crate) fn kind(&self) -> GrantKind {
        match self {
            Asked::Resource(_) => GrantKind::Resource,
            Asked::Query(_) => GrantKind::Query,
            Asked::NamedSource(_) => GrantKind::NamedSource,
        }
    }
}

/// What the sources of a request are checked against.
pub(crate) struct Target<'s> {
    pub(crate) compiled: &'s Compiled,
    /// `None` if no document and no grant names it.
    pub(crate) connection: Option<(u32, &'s Connection)>,
    pub(crate) considered: GrantKinds,
}

impl<'s> Target<'s> {
    /// Check 6.
    #[inline]
    pub(crate) fn read<'a>(&self, source: Source<'a>, buffer: &'a mut NameBuffer) -> Result<Asked<'a>, Reason> {
        let malformed = |_| Reason::SourceMalformed;
        match source {
            Source::Resource(text) => {
                let dialect = self.connection.map(|(_, connection)| connection.dialect()).unwrap_or_default();
                CanonicalName::read(text, dialect, buffer).map(Asked::Resource).map_err(|_| Reason::SourceMalformed)
            }
            Source::Query(text) => {
                NormalForm::of(text, self.compiled.query_bytes()).map(Asked::Query).map_err(malformed)
            }
            Source::NamedSource(text) if NamedSource::is_named_source(text) => Ok(Asked::NamedSource(text)),
            Source::NamedSource(_) => Err(Reason::SourceMalformed),
        }
    }

    /// Check 7.
    #[inline]
    pub(crate) fn block(&self, row: &Row) -> Result<Block<'s>, Reason> {
        let block = self.connection.and_then(|(at, _)| self.compiled.block(row, at));
        block.ok_or(Reason::ConnectionNotGranted)
    }

    /// Check 8 (N8.7).
    #[inline]
    pub(crate) fn accepts(&self, source: Source<'_>) -> Result<(), Reason> {
        let named_only = self.connection.is_some_and(|(_, connection)| connection.named_sources_only());
        if named_only && matches!(source, Source::Query(_)) { Err(Reason::QueryNotAccepted) } else { Ok(()) }
    }

    /// Check 9: the most specific considered grant that covers what is asked.
    #[inline]
    pub(crate) fn grant(&self, block: Block<'s>, asked: &Asked<'_>) -> Result<u32, Reason> {
        // Each kind is asked at most once: considered ones from the most specific on, the others only if none covers.
        let is = |kind| self.considered.contains(kind);
        let hashed = match asked {
            Asked::Resource(name) => Some(HashedName::new(*name)),
            Asked::Query(_) | Asked::NamedSource(_) => None,
        };
        let own = || self.exact(block, asked, hashed.as_ref());
        let pattern = || hashed.as_ref().and_then(|name| self.pattern(block, name));
        let kind = asked.kind();
        let allowed = (if is(kind) { own() } else { None })
            .or_else(|| if is(GrantKind::Pattern) { pattern() } else { None })
            .or_else(|| if is(GrantKind::All) { block.all } else { None });
        if let Some(grant) = allowed {
            return Ok(grant);
        }
        let covered = (!is(kind) && own().is_some())
            || (!is(GrantKind::Pattern) && pattern().is_some())
            || (!is(GrantKind::All) && block.all.is_some());
        Err(if covered { Reason::GrantKindNotAccepted } else { Reason::SourceNotGranted })
    }

    /// The first grant of just what is asked (N8.4).
    #[inline]
    fn exact(&self, block: Block<'s>, asked: &Asked<'_>, hashed: Option<&HashedName<'_>>) -> Option<u32> {
        match asked {
            Asked::Resource(name) => {
                self.find(block.run(Tag::Resource)?, hashed?.key(), |granted| granted.is(name.as_bytes()))
            }
            Asked::Query(query) => {
                let is = |text: Text<'_>| std::str::from_utf8(text.own()).is_ok_and(|text| query.is(text));
                self.find(block.run(Tag::Query)?, query_key(query.clone()), is)
            }
            Asked::NamedSource(name) => {
                let name = name.as_bytes();
                self.find(block.run(Tag::NamedSource)?, text_key(name), |text| text.is(name))
            }
        }
    }

    #[inline]
    fn find(&self, run: Run<'s>, key: u32, mut is: impl FnMut(Text<'_>) -> bool) -> Option<u32> {
        let mut found = run.find(key, self.compiled.scan_up_to());
        found.find(|&(text, _)| is(self.compiled.text(text))).map(|(_, grant)| grant)
    }

    /// Among the patterns that cover `name`, the one with the most literal characters, then the first (N10).
    fn pattern(&self, block: Block<'s>, name: &HashedName<'_>) -> Option<u32> {
        let mut best = Best::default();
        let bytes = name.name().as_bytes();
        for run in block.runs() {
            let Tag::Pattern(shape) = run.tag else { continue };
            let Some(shape) = self.compiled.shape(shape) else { continue };
            let Some(key) = name.key_at(shape) else { continue };
            for (text, grant) in run.find(key, self.compiled.scan_up_to()) {
                let pattern = self.compiled.text(text).own();
                if shape.covers(pattern, name) {
                    best.offer(pattern, grant);
                }
            }
        }
        self.compiled.residue(block, bytes, |entry| {
            let pattern = self.compiled.text(entry.text).own();
            let covers = covers(pattern, bytes);
            if covers {
                best.offer(pattern, entry.grant);
            }
            covers
        });
        best.grant()
    }
}

/// The most specific of the patterns offered so far.
#[derive(Default)]
struct Best<'s> {
    best: Option<(&'s [u8], u32)>,
}

impl<'s> Best<'s> {
    fn offer(&mut self, pattern: &'s [u8], grant: u32) {
        // Characters are counted only where there is something to compare with.
        let better = |(held, first): (&[u8], u32)| {
            let (literal, held) = (literal_characters(pattern), literal_characters(held));
            literal > held || (literal == held && grant < first)
        };
        if self.best.is_none_or(better) {
            self.best = Some((pattern, grant));
        }
    }

    fn grant(&self) -> Option<u32> {
        self.best.map(|(_, grant)| grant)
    }
}
