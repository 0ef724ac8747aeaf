//! The nine checks of a decision, in their order (N10).

use std::ops::Range;

use smallvec::SmallVec;

use super::reason::TokenId;
use super::{Allow, Credential, Decision, Reason, Request, Source, Sources};
use crate::base::Timestamp;
use crate::model::{ApiId, Connection, GrantKind, GrantKinds, SecretDigest};
use crate::name::{CanonicalName, NameBuffer};
use crate::pattern::{HashedName, PrefixHashes, Shape, covers, literal_characters, text_key};
use crate::query::{NamedSource, QueryText};
use crate::referer::{Candidate, LookUp, StoredSet};
use crate::snapshot::{Block, Compiled, Entries, Row, Snapshot, Tag, Terms, Text, TokenRef, View, query_key};

/// Decides one request against one snapshot, at the instant `now` (N10).
///
/// This function is pure: equal arguments give equal decisions. It does not panic.
///
/// It allocates memory only for:
///
/// - a referer in a form that no browser sends;
/// - the list of grants of a request with more than four sources;
/// - a name that contains more than 2,048 distinct literals of a connection's patterns with several stars.
///
/// The cost does not depend on the number of tokens in the snapshot. It is:
///
/// - linear in the lengths of the secret, the referer and the sources;
/// - logarithmic in the number of connections that the token has grants on;
/// - one look-up for each shape of the token's patterns on the connection: at most 64, usually one to three.
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

/// Decides like [`decide`], and returns the token as well if the secret is known.
#[inline]
pub(crate) fn decide_for<'s>(
    snapshot: &'s Snapshot,
    request: &Request<'_>,
    now: Timestamp,
) -> (Option<TokenRef<'s>>, Decision<'s>) {
    match token(snapshot, &request.credential) {
        Ok(found) => (Some(found), of_token(found, request, now)),
        Err(reason) => (None, Decision::Deny(reason)),
    }
}

/// Decides each of `requests`, in order, against one snapshot at the instant `now`.
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

/// Runs checks 3 to 9 for a request whose token is known.
#[inline]
pub(crate) fn of_token<'s>(found: TokenRef<'s>, request: &Request<'_>, now: Timestamp) -> Decision<'s> {
    checks_3_to_9(found, request, now, || referer(found.compiled.referers(found.row), request.referer))
}

/// Runs checks 3 to 9 like [`of_token`], but skips check 5 (the referer).
pub(super) fn ignoring_referer<'s>(found: TokenRef<'s>, request: &Request<'_>, now: Timestamp) -> Decision<'s> {
    checks_3_to_9(found, request, now, || Ok(None))
}

/// Runs checks 3 to 9; `check_referer` is check 5, or the part of it before [`Candidate::accepts`].
#[inline]
fn checks_3_to_9<'s, 'r>(
    TokenRef { compiled, row, .. }: TokenRef<'s>,
    request: &Request<'r>,
    now: Timestamp,
    check_referer: impl FnOnce() -> Result<Option<Candidate<'s, 'r>>, Reason>,
) -> Decision<'s> {
    let checked = || {
        let terms = compiled.terms(row);
        if terms.is_expired(now) {
            return Err(Reason::TokenExpired);
        }
        let considered = api(compiled, terms, request)?;
        let referer = check_referer()?;
        granted(compiled, row, request, considered, || {
            if referer.as_ref().is_none_or(Candidate::accepts) { Ok(()) } else { Err(Reason::RefererNotAllowed) }
        })
    };
    match checked() {
        Ok(allow) => Decision::Allow(allow),
        Err(reason) => Decision::Deny(reason),
    }
}

/// Runs checks 6 to 9, and `confirm_referer`: the rest of check 5, whose reason comes first.
///
/// The referer is nearly always confirmed. Its memory and the memory of the grants arrive at the same time.
#[inline]
fn granted<'s>(
    compiled: &'s Compiled,
    row: &'s Row,
    request: &Request<'_>,
    considered: GrantKinds,
    confirm_referer: impl FnOnce() -> Result<(), Reason>,
) -> Result<Allow<'s>, Reason> {
    let token = TokenId::Of(compiled, row);
    if considered.is_empty() {
        confirm_referer()?;
        return Ok(Allow { token, grants: SmallVec::new() });
    }
    let target = Target { compiled, connection: compiled.connection(request.connection), considered };
    let grants = match request.sources {
        Sources::One(source) => {
            let grant = target.one(row, source);
            confirm_referer()?;
            SmallVec::from_buf_and_len([grant?, 0, 0, 0], 1)
        }
        Sources::Many(sources) => {
            let grants = target.each(row, sources);
            confirm_referer()?;
            grants?
        }
    };
    Ok(Allow { token, grants })
}

/// Runs checks 1 and 2: finds the token of the credential.
#[inline]
pub(crate) fn token<'s>(snapshot: &'s Snapshot, credential: &Credential<'_>) -> Result<TokenRef<'s>, Reason> {
    let digest = match *credential {
        Credential::Missing | Credential::Secret("") => return Err(Reason::TokenMissing),
        Credential::Secret(secret) => SecretDigest::of(secret),
        Credential::Digest(digest) => digest,
    };
    snapshot.token(&digest).ok_or(Reason::TokenUnknown)
}

/// Runs check 4 and returns the grant kinds that the API considers. The set is empty if the API needs no source.
#[inline]
pub(crate) fn api(compiled: &Compiled, terms: &Terms, request: &Request<'_>) -> Result<GrantKinds, Reason> {
    let apis = compiled.apis();
    let listed = |id: &ApiId| terms.apis().contains(*id);
    let id = apis.find(request.api).filter(listed).ok_or(Reason::ApiNotAllowed)?;
    Ok(apis.get(id).map_or(GrantKinds::NONE, |api| api.considers(request.operation)))
}

/// Runs check 5 (N7.6): the token's referers accept the request, or they do if they accept the returned candidate.
#[inline]
fn referer<'s, 'r>(
    accepted: Option<StoredSet<'s>>,
    header: Option<&'r str>,
) -> Result<Option<Candidate<'s, 'r>>, Reason> {
    match (accepted, header) {
        (None, _) => Ok(None),
        (Some(_), None | Some("")) => Err(Reason::RefererMissing),
        (Some(set), Some(header)) => match set.look_up(header) {
            LookUp::Done(true) => Ok(None),
            LookUp::Done(false) => Err(Reason::RefererNotAllowed),
            LookUp::Candidate(candidate) => Ok(Some(candidate)),
        },
    }
}

/// A well-formed source of a request, in the canonical form in which the snapshot stores grants.
pub(crate) enum CanonicalSource<'a> {
    Resource(CanonicalName<'a>),
    Query(QueryText<'a>),
    NamedSource(&'a str),
}

/// The connection of a request and the grant kinds that its sources are checked against.
pub(crate) struct Target<'s> {
    pub(crate) compiled: &'s Compiled,
    /// `None` if no document and no grant names the connection.
    pub(crate) connection: Option<(u32, &'s Connection)>,
    pub(crate) considered: GrantKinds,
}

impl<'s> Target<'s> {
    /// Runs checks 6 to 9 for a request with one source.
    #[inline]
    fn one(&self, row: &Row, source: Source<'_>) -> Result<u32, Reason> {
        let Source::Resource(text) = source else { return self.text(row, source) };
        let mut buffer = NameBuffer::new();
        let name = self.name(text, &mut buffer)?;
        // Check 8 applies to queries only.
        self.resource(self.block(row)?, name)
    }

    /// Runs checks 6 to 9 for one query or named source.
    #[inline(never)]
    fn text(&self, row: &Row, source: Source<'_>) -> Result<u32, Reason> {
        let mut buffer = NameBuffer::new();
        let canonical = self.read(source, &mut buffer)?;
        let block = self.block(row)?;
        self.accepts(source)?;
        self.grant(block, &canonical)
    }

    /// Runs checks 6 to 9 for any number of sources. Each check covers all sources before the next check starts (N10).
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

    /// Runs check 6: reads a source into canonical form.
    pub(crate) fn read<'a>(
        &self,
        source: Source<'a>,
        buffer: &'a mut NameBuffer,
    ) -> Result<CanonicalSource<'a>, Reason> {
        let malformed = |_| Reason::SourceMalformed;
        match source {
            Source::Resource(text) => self.name(text, buffer).map(CanonicalSource::Resource),
            Source::Query(text) => {
                QueryText::of(text, self.compiled.query_bytes()).map(CanonicalSource::Query).map_err(malformed)
            }
            Source::NamedSource(text) if NamedSource::is_named_source(text) => Ok(CanonicalSource::NamedSource(text)),
            Source::NamedSource(_) => Err(Reason::SourceMalformed),
        }
    }

    #[inline]
    fn name<'a>(&self, text: &'a str, buffer: &'a mut NameBuffer) -> Result<CanonicalName<'a>, Reason> {
        let dialect = self.connection.map(|(_, connection)| connection.dialect()).unwrap_or_default();
        CanonicalName::read(text, dialect, buffer).map_err(|_| Reason::SourceMalformed)
    }

    /// Runs check 7: finds the token's grants on the connection.
    #[inline]
    pub(crate) fn block(&self, row: &Row) -> Result<Block<'s>, Reason> {
        let block = self.connection.and_then(|(at, _)| self.compiled.block(row, at));
        block.ok_or(Reason::ConnectionNotGranted)
    }

    /// Runs check 8 (N8.7): the connection accepts this type of source.
    #[inline]
    pub(crate) fn accepts(&self, source: Source<'_>) -> Result<(), Reason> {
        let named_only = self.connection.is_some_and(|(_, connection)| connection.named_sources_only());
        if named_only && matches!(source, Source::Query(_)) { Err(Reason::QueryNotAccepted) } else { Ok(()) }
    }

    /// Runs check 9: finds the most specific considered grant that covers `source`.
    pub(crate) fn grant(&self, block: Block<'s>, source: &CanonicalSource<'_>) -> Result<u32, Reason> {
        match source {
            CanonicalSource::Resource(name) => self.resource(block, *name),
            CanonicalSource::Query(query) => {
                // Most tokens have no query on the connection: nothing is compared with the normal form.
                let own = block.has(Tag::Query).then(|| self.query(block, *query)).flatten();
                self.own_or_all(block, GrantKind::Query, own)
            }
            CanonicalSource::NamedSource(name) => {
                let name = name.as_bytes();
                let own = self.same(block, Tag::NamedSource, text_key(name), |text| text.is(name));
                self.own_or_all(block, GrantKind::NamedSource, own)
            }
        }
    }

    /// Returns the grant of a query.
    fn query(&self, block: Block<'s>, query: QueryText<'_>) -> Option<u32> {
        let normal = query.normal_form();
        let is = |text: Text<'_>| std::str::from_utf8(text.own()).is_ok_and(|text| normal.is(text));
        self.same(block, Tag::Query, query_key(normal.clone()), is)
    }

    /// Returns the grant of exactly one query or named source.
    fn same(&self, block: Block<'s>, tag: Tag, key: u32, is: impl Fn(Text<'_>) -> bool) -> Option<u32> {
        match block.view() {
            View::One(entries) => self.exact(&entries, tag, key, is),
            View::Two(entries) => self.exact(&entries, tag, key, is),
            View::Four(entries) => self.exact(&entries, tag, key, is),
        }
    }

    /// Finishes check 9 for a query or a named source: `own` is its grant of this kind. Only this grant, or one of all
    /// sources, covers it (N8.4).
    fn own_or_all(&self, block: Block<'s>, kind: GrantKind, own: Option<u32>) -> Result<u32, Reason> {
        let considered = |kind, grant: Option<u32>| if self.considered.contains(kind) { grant } else { None };
        considered(kind, own).or(considered(GrantKind::All, block.all)).ok_or({
            if own.or(block.all).is_some() { Reason::GrantKindNotAccepted } else { Reason::SourceNotGranted }
        })
    }

    /// Runs check 9 for a resource.
    #[inline]
    fn resource(&self, block: Block<'s>, name: CanonicalName<'_>) -> Result<u32, Reason> {
        if block.is_all() {
            return self.all(block, false);
        }
        let mut hashes = PrefixHashes::new();
        let name = HashedName::new(name, &mut hashes);
        match block.view() {
            View::One(entries) => self.covering(block, &entries, &name),
            View::Two(entries) => self.covering(block, &entries, &name),
            View::Four(entries) => self.covering(block, &entries, &name),
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

    /// Returns whether a grant of a kind that is not considered covers `name`.
    #[cold]
    fn is_covered<const W: usize, const K: usize>(
        &self,
        block: Block<'s>,
        entries: &Entries<'s, W, K>,
        name: &HashedName<'_>,
    ) -> bool {
        self.most_specific(block, entries, name, self.considered.complement()).is_some()
    }

    /// Finishes check 9 when only a grant of all sources can allow the request. `covered` is true if a grant of a kind
    /// that is not considered covers the name.
    #[inline]
    fn all(&self, block: Block<'s>, covered: bool) -> Result<u32, Reason> {
        match block.all {
            Some(grant) if self.considered.contains(GrantKind::All) => Ok(grant),
            None if !covered => Err(Reason::SourceNotGranted),
            _ => Err(Reason::GrantKindNotAccepted),
        }
    }

    /// Returns the first grant of exactly this source (N8.4).
    #[inline]
    fn exact<const W: usize, const K: usize>(
        &self,
        entries: &Entries<'s, W, K>,
        tag: Tag,
        key: u32,
        is: impl Fn(Text<'_>) -> bool,
    ) -> Option<u32> {
        let positions = entries.find(entries.run(tag)?, key, self.compiled.scan_up_to());
        let mut found = positions.map_while(|index| entries.entry(index));
        found.find(|&(text, _)| is(self.compiled.text(text))).map(|(_, grant)| grant)
    }

    /// Returns the most specific grant of `kinds` that covers `name`, except a grant of all sources (N10).
    ///
    /// A grant of the resource itself comes first, then the pattern with the most literal characters, then the lowest
    /// grant index.
    #[expect(clippy::inline_always, reason = "called once, except from the cold path")]
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
        // Runs are sorted by tag: resources come first.
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
            let positions = entries.find(run, key, scan_up_to);
            if positions.is_empty() {
                continue;
            }
            match shape {
                None => {
                    let grant = self.same_resource(entries, positions, name);
                    if grant.is_some() {
                        return grant;
                    }
                }
                Some(shape) => self.offer_covering(entries, positions, shape, name, &mut best),
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

    /// Compares the text of resources whose hash matched. Returns the grant of the resource itself.
    // This function and the next one are not inlined: the calling loop would keep their state in registers, and most
    // runs do not need it.
    #[inline(never)]
    fn same_resource<const W: usize, const K: usize>(
        &self,
        entries: &Entries<'s, W, K>,
        positions: Range<usize>,
        name: &HashedName<'_>,
    ) -> Option<u32> {
        for index in positions {
            let (text, grant) = entries.entry(index)?;
            if self.compiled.text(text).is(name.as_bytes()) {
                return Some(grant);
            }
        }
        None
    }

    /// Compares the text of patterns whose hash matched. Offers those that cover the name to `best`.
    #[inline(never)]
    fn offer_covering<const W: usize, const K: usize>(
        &self,
        entries: &Entries<'s, W, K>,
        positions: Range<usize>,
        shape: &Shape,
        name: &HashedName<'_>,
        best: &mut Best<'s>,
    ) {
        for index in positions {
            let Some((text, grant)) = entries.entry(index) else { return };
            let pattern = self.compiled.text(text).own();
            if shape.covers(pattern, name) {
                best.offer(pattern, grant);
            }
        }
    }
}

/// The most specific of the patterns offered so far.
#[derive(Default)]
struct Best<'s> {
    best: Option<(&'s [u8], u32)>,
}

impl<'s> Best<'s> {
    fn offer(&mut self, pattern: &'s [u8], grant: u32) {
        // Counts characters only if there is a pattern to compare with.
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
