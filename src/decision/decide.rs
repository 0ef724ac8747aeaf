//! The checks, in their order (N10).

use std::ops::Range;

use smallvec::SmallVec;

use super::reason::TokenId;
use super::{Allow, Credential, Decision, Reason, Request, Source, Sources};
use crate::base::Timestamp;
use crate::model::{ApiId, Connection, GrantKind, GrantKinds, SecretDigest};
use crate::name::{CanonicalName, NameBuffer};
use crate::pattern::{Beginnings, HashedName, Shape, covers, literal_characters, text_key};
use crate::query::{NamedSource, NormalForm};
use crate::referer::StoredSet;
use crate::snapshot::{Block, Compiled, Entries, Found, Row, Snapshot, Tag, Text, View, query_key};

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

/// Checks 3 to 9 of a request whose token is known.
#[inline]
pub(super) fn of_token<'s>(found: Found<'s>, request: &Request<'_>, now: Timestamp) -> Decision<'s> {
    in_order(found, request, now, || referer(found.compiled.referers(found.row), request.referer))
}

/// As [`of_token`], of a request whose referer is taken for accepted.
pub(super) fn past_referer<'s>(found: Found<'s>, request: &Request<'_>, now: Timestamp) -> Decision<'s> {
    in_order(found, request, now, || Ok(()))
}

/// Checks 3 to 9, of which `fifth` is the fifth.
#[inline]
fn in_order<'s>(
    Found { compiled, row, .. }: Found<'s>,
    request: &Request<'_>,
    now: Timestamp,
    fifth: impl FnOnce() -> Result<(), Reason>,
) -> Decision<'s> {
    let checked = || {
        if row.is_expired(now) {
            return Err(Reason::TokenExpired);
        }
        let considered = api(compiled, row, request)?;
        fifth()?;
        granted(compiled, row, request, considered)
    };
    match checked() {
        Ok(allow) => Decision::Allow(allow),
        Err(reason) => Decision::Deny(reason),
    }
}

/// Checks 6 to 9.
#[inline]
fn granted<'s>(
    compiled: &'s Compiled,
    row: &'s Row,
    request: &Request<'_>,
    considered: GrantKinds,
) -> Result<Allow<'s>, Reason> {
    let token = TokenId::Of(compiled, row);
    if considered.is_empty() {
        return Ok(Allow { token, grants: SmallVec::new() });
    }
    let target = Target { compiled, connection: compiled.connection(request.connection), considered };
    let grants = match request.sources {
        Sources::One(source) => SmallVec::from_buf_and_len([target.one(row, source)?, 0, 0, 0], 1),
        Sources::Many(sources) => target.each(row, sources)?,
    };
    Ok(Allow { token, grants })
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

/// What the sources of a request are checked against.
pub(crate) struct Target<'s> {
    pub(crate) compiled: &'s Compiled,
    /// `None` if no document and no grant names it.
    pub(crate) connection: Option<(u32, &'s Connection)>,
    pub(crate) considered: GrantKinds,
}

impl<'s> Target<'s> {
    /// Checks 6 to 9 of a request's only source.
    #[inline]
    fn one(&self, row: &Row, source: Source<'_>) -> Result<u32, Reason> {
        let Source::Resource(text) = source else { return self.text(row, source) };
        let mut buffer = NameBuffer::new();
        let name = self.name(text, &mut buffer)?;
        // Check 8 is of queries only.
        self.resource(self.block(row)?, name)
    }

    /// As [`one`](Self::one), of a query or a named source.
    #[inline(never)]
    fn text(&self, row: &Row, source: Source<'_>) -> Result<u32, Reason> {
        let mut buffer = NameBuffer::new();
        let asked = self.read(source, &mut buffer)?;
        let block = self.block(row)?;
        self.accepts(source)?;
        self.grant(block, &asked)
    }

    /// Checks 6 to 9 of any number of sources, each check of every source before the next (N10).
    #[inline(never)]
    fn each(&self, row: &Row, sources: &[Source<'_>]) -> Result<SmallVec<[u32; 4]>, Reason> {
        if sources.is_empty() {
            return Err(Reason::SourceMalformed);
        }
        let mut buffer = NameBuffer::new();
        for &source in sources {
            self.read(source, &mut buffer)?;
        }
        let block = self.block(row)?;
        for &source in sources {
            self.accepts(source)?;
        }
        let grant = |&source: &Source<'_>| self.grant(block, &self.read(source, &mut buffer)?);
        sources.iter().map(grant).collect()
    }

    /// Check 6.
    pub(crate) fn read<'a>(&self, source: Source<'a>, buffer: &'a mut NameBuffer) -> Result<Asked<'a>, Reason> {
        let malformed = |_| Reason::SourceMalformed;
        match source {
            Source::Resource(text) => self.name(text, buffer).map(Asked::Resource),
            Source::Query(text) => {
                NormalForm::of(text, self.compiled.query_bytes()).map(Asked::Query).map_err(malformed)
            }
            Source::NamedSource(text) if NamedSource::is_named_source(text) => Ok(Asked::NamedSource(text)),
            Source::NamedSource(_) => Err(Reason::SourceMalformed),
        }
    }

    #[inline]
    fn name<'a>(&self, text: &'a str, buffer: &'a mut NameBuffer) -> Result<CanonicalName<'a>, Reason> {
        let dialect = self.connection.map(|(_, connection)| connection.dialect()).unwrap_or_default();
        CanonicalName::read(text, dialect, buffer).map_err(|_| Reason::SourceMalformed)
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
    pub(crate) fn grant(&self, block: Block<'s>, asked: &Asked<'_>) -> Result<u32, Reason> {
        match asked {
            Asked::Resource(name) => self.resource(block, *name),
            Asked::Query(query) => {
                let is = |text: Text<'_>| std::str::from_utf8(text.own()).is_ok_and(|text| query.is(text));
                self.same(block, Tag::Query, query_key(query.clone()), is)
            }
            Asked::NamedSource(name) => {
                let name = name.as_bytes();
                self.same(block, Tag::NamedSource, text_key(name), |text| text.is(name))
            }
        }
    }

    /// Check 9 of what only grants of just that, or of all sources, cover (N8.4).
    fn same(&self, block: Block<'s>, tag: Tag, key: u32, is: impl Fn(Text<'_>) -> bool) -> Result<u32, Reason> {
        let own = match block.view() {
            Some(View::One(entries)) => self.exact(&entries, tag, key, is),
            Some(View::Two(entries)) => self.exact(&entries, tag, key, is),
            Some(View::Four(entries)) => self.exact(&entries, tag, key, is),
            None => None,
        };
        let considered = |kind, grant: Option<u32>| if self.considered.contains(kind) { grant } else { None };
        considered(tag.kind(), own).or(considered(GrantKind::All, block.all)).ok_or({
            if own.or(block.all).is_some() { Reason::GrantKindNotAccepted } else { Reason::SourceNotGranted }
        })
    }

    /// Check 9 of a resource.
    #[inline]
    fn resource(&self, block: Block<'s>, name: CanonicalName<'_>) -> Result<u32, Reason> {
        if block.is_all() {
            return self.all(block, false);
        }
        let mut beginnings = Beginnings::new();
        let name = HashedName::new(name, &mut beginnings);
        match block.view() {
            Some(View::One(entries)) => self.covering(block, &entries, &name),
            Some(View::Two(entries)) => self.covering(block, &entries, &name),
            Some(View::Four(entries)) => self.covering(block, &entries, &name),
            None => Err(Reason::SourceNotGranted),
        }
    }

    #[inline]
    fn covering<const W: usize, const K: usize>(
        &self,
        block: Block<'s>,
        entries: &Entries<'s, W, K>,
        name: &HashedName<'_>,
    ) -> Result<u32, Reason> {
        match self.most_specific(block, entries, name, self.considered) {
            Some(grant) => Ok(grant),
            None => self.all(block, self.considered != GrantKinds::ALL && self.is_covered(block, entries, name)),
        }
    }

    /// Whether a grant of a kind that is not considered covers `name`.
    #[cold]
    fn is_covered<const W: usize, const K: usize>(
        &self,
        block: Block<'s>,
        entries: &Entries<'s, W, K>,
        name: &HashedName<'_>,
    ) -> bool {
        self.most_specific(block, entries, name, self.considered.others()).is_some()
    }

    /// Check 9 where no considered grant but that of all sources can cover; `covered` by one that is not considered.
    #[inline]
    fn all(&self, block: Block<'s>, covered: bool) -> Result<u32, Reason> {
        match block.all {
            Some(grant) if self.considered.contains(GrantKind::All) => Ok(grant),
            None if !covered => Err(Reason::SourceNotGranted),
            _ => Err(Reason::GrantKindNotAccepted),
        }
    }

    /// The first grant of just what is asked (N8.4).
    #[inline]
    fn exact<const W: usize, const K: usize>(
        &self,
        entries: &Entries<'s, W, K>,
        tag: Tag,
        key: u32,
        is: impl Fn(Text<'_>) -> bool,
    ) -> Option<u32> {
        let places = entries.find(entries.run(tag)?, key, self.compiled.scan_up_to());
        let mut found = places.map_while(|at| entries.entry(at));
        found.find(|&(text, _)| is(self.compiled.text(text))).map(|(_, grant)| grant)
    }

    /// Of the grants of these kinds but that of all sources, the most specific that covers `name`: the resource itself,
    /// else the pattern with the most literal characters, then the first (N10).
    #[expect(clippy::inline_always, reason = "called once but for what is cold")]
    #[inline(always)]
    fn most_specific<const W: usize, const K: usize>(
        &self,
        block: Block<'s>,
        entries: &Entries<'s, W, K>,
        name: &HashedName<'_>,
        kinds: GrantKinds,
    ) -> Option<u32> {
        let mut best = Best::default();
        let scan_up_to = self.compiled.scan_up_to();
        let shapes = if kinds.contains(GrantKind::Pattern) { self.compiled.shapes() } else { &[] };
        // Resources come first.
        for run in entries.runs() {
            let (shape, key) = if let Some(shape) = run.shape() {
                let Some(shape) = shapes.get(shape) else { continue };
                let Some(key) = name.key_at(shape) else { continue };
                (Some(shape), key)
            } else if run.tag() == Tag::Resource && kinds.contains(GrantKind::Resource) {
                (None, name.key())
            } else {
                continue;
            };
            let places = entries.find(run, key, scan_up_to);
            if !places.is_empty()
                && let Some(grant) = self.confirm(entries, places, shape, name, &mut best)
            {
                return Some(grant);
            }
        }
        if block.has_residue() && kinds.contains(GrantKind::Pattern) {
            let bytes = name.as_bytes();
            self.compiled.residue(block, bytes, |entry| {
                let pattern = self.compiled.text(entry.text).own();
                let covers = covers(pattern, bytes);
                if covers {
                    best.offer(pattern, entry.grant);
                }
                covers
            });
        }
        best.grant()
    }

    /// Compares the text of the entries that a hash has found: gives the grant of the resource itself, offers patterns.
    // Not inlined: the loop around it would keep at hand all that this needs, which most runs do not.
    #[inline(never)]
    fn confirm<const W: usize, const K: usize>(
        &self,
        entries: &Entries<'s, W, K>,
        places: Range<usize>,
        shape: Option<&Shape>,
        name: &HashedName<'_>,
        best: &mut Best<'s>,
    ) -> Option<u32> {
        for (text, grant) in places.map_while(|at| entries.entry(at)) {
            let text = self.compiled.text(text);
            match shape {
                None if text.is(name.as_bytes()) => return Some(grant),
                Some(shape) if shape.covers(text.own(), name) => best.offer(text.own(), grant),
                _ => {}
            }
        }
        None
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
