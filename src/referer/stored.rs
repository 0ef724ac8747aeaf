//! Stored sets of entries, which are matched in place: in memory or in a compiled snapshot.
//!
//! Entries are grouped by origin. A hash of the origin finds its group without reading the other groups. A number has
//! two bytes, or four in a set of more than 64 KiB, and is little-endian:
//!
//! ```text
//! head       zero for numbers of two bytes, one for four (one byte)
//!            number of origins without a wildcard, number of origins with one
//!            the lengths of the authorities with a wildcard: bit n for n modulo 64 (eight bytes; only with wildcards)
//! hashes     the hash of each origin (two bytes), in order; first the origins without a wildcard
//! offsets    the offset of each group in the set
//! group      number of deciding pages, twice, plus one for `https`; zero if each page of the origin matches
//!            number of pages
//!            length of the authority
//!            offset of each page in the set, the deciding ones first and in order
//!            authority: host, and port unless it is the default one; a dot before the host of a wildcard
//!            for each page: length of its path, twice, plus one for an exact page; path
//! ```
//!
//! A deciding page is one that no other page of its origin includes.
//!
//! Most sets have one site. A header is first compared with its text, without a hash.

use std::ops::Range;

use wide::u16x8;

use super::class::end;
use super::entry::{Entry, Reach, View};
use super::header::{Referer, path_and_query};
use super::origin::{HeaderOrigin, UnicodeOrigin, are_plain_labels, scheme};
use super::url::{Origin, Scheme};
use crate::base::bytes::{Offsets, all};
use crate::base::{fetch_lines, is_same, starts_with};
use crate::pattern::text_key;

/// The maximum number of hashes that are compared one after the other, eight at a time.
const SCAN: usize = 64;

/// The maximum number of groups or pages that are compared one by one.
const FEW: usize = 4;

/// The maximum number of groups that are compared with the end of a host. Parsing a host that is not ASCII costs more.
const SCAN_SUFFIX: usize = 64;

const LANES: usize = 8;

/// A borrowed set. Matching is safe for any bytes: an entry that cannot be read matches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StoredSet<'b> {
    /// The set, and any bytes after it.
    bytes: &'b [u8],
}

/// The groups of a set.
#[derive(Debug, Clone, Copy, Default)]
struct Groups<'b> {
    /// The set, and any bytes after it.
    bytes: &'b [u8],
    width: Width,
    /// The number of origins without a wildcard, and of all origins.
    exact: usize,
    origins: usize,
    /// The lengths of the authorities of wildcards: a bit for each length modulo 64.
    lengths: u64,
    /// The offset of the hashes, and of the offsets of groups.
    hashes: usize,
    offsets: usize,
}

/// The number of bytes of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Width {
    #[default]
    Two,
    Four,
}

/// The entries of one origin.
#[derive(Debug, Clone, Copy)]
struct Group<'b> {
    groups: Groups<'b>,
    scheme: Scheme,
    deciders: usize,
    pages: usize,
    /// The offset of the offsets of pages.
    offsets: usize,
    authority: &'b [u8],
}

/// The entries of a wildcard that a host is below.
struct Below<'b, 't> {
    group: Group<'b>,
    /// The labels of the host that the wildcard replaces.
    labels: &'t str,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    #[inline]
    fn read(self, bytes: &[u8], offset: usize) -> Option<usize> {
        let bytes = bytes.get(offset..)?;
        Some(match self {
            Self::Two => usize::from(u16::from_le_bytes(*bytes.first_chunk()?)),
            Self::Four => u32::from_le_bytes(*bytes.first_chunk()?) as usize,
        })
    }

    /// Reads three numbers.
    #[inline]
    fn read_three(self, bytes: &[u8], offset: usize) -> Option<[usize; 3]> {
        let bytes = bytes.get(offset..)?;
        Some(match self {
            Self::Two => {
                let numbers: [[u8; 2]; 3] = bytemuck::cast(*bytes.first_chunk::<6>()?);
                numbers.map(|number| usize::from(u16::from_le_bytes(number)))
            }
            Self::Four => {
                let numbers: [[u8; 4]; 3] = bytemuck::cast(*bytes.first_chunk::<12>()?);
                numbers.map(|number| u32::from_le_bytes(number) as usize)
            }
        })
    }

    /// Appends a number; returns `None` if it is too large.
    fn write(self, number: usize, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Two => out.extend(u16::try_from(number).ok()?.to_le_bytes()),
            Self::Four => out.extend(u32::try_from(number).ok()?.to_le_bytes()),
        }
        Some(())
    }
}

/// Returns the hash of an origin.
#[inline]
fn hash(scheme: Scheme, authority: &[u8]) -> u16 {
    let key = text_key(authority);
    let hash = (key >> 16) as u16;
    if scheme == Scheme::Https { hash } else { !hash }
}

impl<'b> StoredSet<'b> {
    /// Creates the set at the start of `bytes`, the output of [`write`].
    #[inline]
    pub(crate) fn of(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// Returns whether an entry matches a header, like [`RefererSet::accepts`](super::RefererSet::accepts).
    #[inline]
    pub(crate) fn accepts(self, header: &str) -> bool {
        match self.look_up(header) {
            LookUp::Done(accepts) => accepts,
            LookUp::Candidate(candidate) => candidate.accepts(),
        }
    }

    /// Looks up the origin of a header by its hash. If an origin has this hash, prefetches its entries, and leaves the
    /// comparison to the caller.
    #[inline]
    pub(crate) fn look_up<'h>(self, header: &'h str) -> LookUp<'b, 'h> {
        if self.only_site().is_some_and(|site| site.is_start_of(header)) {
            return LookUp::Done(true);
        }
        self.groups().look_up(header)
    }

    /// Returns whether an entry matches `referer` (N7.2 to N7.5).
    pub(super) fn matches(self, referer: &Referer<'_>) -> bool {
        self.groups().matches(referer)
    }

    /// Returns the entries, in canonical order.
    pub(crate) fn entries(self) -> impl Iterator<Item = Entry> {
        self.groups().views().into_iter().map_while(Entry::of)
    }

    pub(crate) fn len(self) -> usize {
        self.groups().views().len()
    }

    #[inline]
    fn groups(self) -> Groups<'b> {
        Groups::read(self.bytes).unwrap_or_default()
    }

    /// Returns the entry of a set that consists of one site without a wildcard. Most sets do.
    #[inline]
    fn only_site(self) -> Option<Site<'b>> {
        let start = self.bytes.first_chunk::<SITE>()?;
        if u128::from_le_bytes(*start) & u128::from_le_bytes(SITE_MASK) != u128::from_le_bytes(SITE_START) {
            return None;
        }
        let [.., https, _, _, _, low, high, _] = *start;
        let length = usize::from(u16::from_le_bytes([low, high]));
        let authority = self.bytes.get(SITE - 1..)?.get(..length)?;
        Some(Site { scheme: if https == 0 { Scheme::Http } else { Scheme::Https }, authority })
    }
}

/// The result of looking up the origin of a header by its hash.
pub(crate) enum LookUp<'b, 'h> {
    /// Whether an entry matches the header.
    Done(bool),
    /// An origin has the hash of the header's origin. Nearly always it is the origin of the header.
    Candidate(Candidate<'b, 'h>),
}

/// A header and the first origin that has the hash of the header's origin.
pub(crate) struct Candidate<'b, 'h> {
    groups: Groups<'b>,
    header: &'h str,
    scheme: Scheme,
    /// The header between its scheme and its path, and the rest of it.
    authority: &'h str,
    rest: &'h str,
    hash: u16,
    /// The index of the origin.
    first: usize,
}

impl Candidate<'_, '_> {
    /// Returns whether an entry matches the header.
    #[inline(never)]
    pub(crate) fn accepts(&self) -> bool {
        let Self { groups, header, scheme, authority, rest, hash, first } = *self;
        let group = groups.group_from(first..groups.exact, hash, scheme, authority.as_bytes());
        // A header that starts with the authority of an entry has the origin of the entry: entries are canonical.
        group.is_some_and(|group| group.accepts_written(rest)) || groups.accepts_read(header, authority, group)
    }
}

/// The number of bytes of a set of one site up to the first byte of its authority.
const SITE: usize = 16;

/// The start of a set of one site, with zeros for the bytes that are not in [`SITE_MASK`].
const SITE_START: [u8; SITE] = [0, 1, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0];

/// The bits that are equal in all sets of one site: all but the hash, `https`, the length, and the authority.
const SITE_MASK: [u8; SITE] = [!0, !0, !0, !0, !0, 0, 0, !0, !0, !1, !0, !0, !0, 0, 0, 0];

/// An entry that matches every page of an origin.
struct Site<'b> {
    scheme: Scheme,
    authority: &'b [u8],
}

impl Site<'_> {
    /// Returns whether a header starts with the text of the site. A header that does has the origin of the site, because
    /// entries are canonical.
    #[inline]
    fn is_start_of(&self, header: &str) -> bool {
        let text = match self.scheme {
            Scheme::Https => header.as_bytes().strip_prefix(b"https://"),
            Scheme::Http => header.as_bytes().strip_prefix(b"http://"),
        };
        text.and_then(|text| text.split_at_checked(self.authority.len()))
            .is_some_and(|(authority, rest)| rest.first() == Some(&b'/') && is_same(authority, self.authority))
    }
}

impl<'b> Groups<'b> {
    #[inline]
    fn read(bytes: &'b [u8]) -> Option<Self> {
        let width = if *bytes.first()? == 0 { Width::Two } else { Width::Four };
        let (exact, wildcards) = (width.read(bytes, 1)?, width.read(bytes, 1 + width.bytes())?);
        let head = 1 + 2 * width.bytes();
        let (lengths, hashes) = match wildcards {
            0 => (0, head),
            _ => (u64::from_le_bytes(*bytes.get(head..)?.first_chunk()?), head + size_of::<u64>()),
        };
        let origins = exact + wildcards;
        Some(Self { bytes, width, exact, origins, lengths, hashes, offsets: hashes + size_of::<u16>() * origins })
    }

    #[inline]
    fn look_up<'h>(self, header: &'h str) -> LookUp<'b, 'h> {
        let Some((scheme, text)) = scheme(header) else { return LookUp::Done(self.accepts_unusual(header)) };
        let (authority, rest) =
            text.split_at_checked(end(text.as_bytes(), |lanes| !lanes.equal(b'/'))).unwrap_or_default();
        let hash = hash(scheme, authority.as_bytes());
        let Some(first) = self.first_with_hash(0..self.exact, hash) else {
            return LookUp::Done(self.accepts_read(header, authority, None));
        };
        if let Some(start) = self.group_start(first) {
            fetch_lines::<2>(self.bytes, start);
        }
        LookUp::Candidate(Candidate { groups: self, header, scheme, authority, rest, hash, first })
    }

    /// Returns whether an entry matches a header. `written` is the header between its scheme and its path, and `group`
    /// the group of this origin.
    #[inline(never)]
    fn accepts_read(self, header: &str, written: &str, group: Option<Group<'b>>) -> bool {
        match HeaderOrigin::read(header) {
            Some(origin) if origin.authority.len() == written.len() => self.accepts_from(&origin, group, header),
            Some(origin) => {
                let group = self.find(0..self.exact, origin.scheme, origin.authority.as_bytes());
                self.accepts_from(&origin, group, header)
            }
            None => self.accepts_unusual(header),
        }
    }

    /// Returns whether an entry matches a header with this origin. `group` is the group of the origin.
    fn accepts_from(self, origin: &HeaderOrigin<'_>, group: Option<Group<'_>>, header: &str) -> bool {
        if let Some(group) = group {
            match group.accepts_rest(origin.rest) {
                Some(false) => {}
                Some(true) => return true,
                None => return self.accepts_parsed(header),
            }
        }
        if self.lengths != 0 {
            for below in self.below_wildcards(origin.scheme, origin.authority, origin.host) {
                match below.group.accepts_rest(origin.rest) {
                    Some(false) => {}
                    // The rules may reject other labels.
                    Some(true) if are_plain_labels(below.labels) => return true,
                    _ => return self.accepts_parsed(header),
                }
            }
        }
        origin.may_be_address() && self.accepts_parsed(header)
    }

    /// Returns whether an entry matches a header whose origin is not canonical.
    #[cold]
    fn accepts_unusual(self, header: &str) -> bool {
        if self.origins <= SCAN_SUFFIX
            && let Some(origin) = UnicodeOrigin::read(header)
            && !self.groups().any(|(_, group)| origin.may_be(group.scheme, group.authority))
        {
            return false;
        }
        self.accepts_parsed(header)
    }

    #[inline(never)]
    fn accepts_parsed(self, header: &str) -> bool {
        Referer::slow(header).is_some_and(|referer| self.matches(&referer))
    }

    /// Returns whether an entry matches `referer` (N7.2 to N7.5).
    fn matches(self, referer: &Referer<'_>) -> bool {
        let (scheme, authority, path) = (referer.scheme(), referer.authority(), referer.path_and_query());
        let exact = self.find(0..self.exact, scheme, authority.as_bytes());
        exact.is_some_and(|group| group.covers(path))
            || self.below_wildcards(scheme, authority, referer.host()).any(|Below { group, labels }| {
                // A wildcard matches only non-empty labels (N7.5).
                labels.split('.').all(|label| !label.is_empty()) && group.covers(path)
            })
    }

    /// Returns the wildcards that `authority` is below, and the labels that they replace.
    #[inline]
    fn below_wildcards<'t>(
        self,
        scheme: Scheme,
        authority: &'t str,
        host: &'t str,
    ) -> impl Iterator<Item = Below<'b, 't>> {
        let dots = Offsets::new(host.as_bytes(), |lanes| lanes.equal(b'.'));
        dots.filter_map(move |dot| {
            let domain = authority.as_bytes().get(dot..)?;
            if self.lengths >> (domain.len() % 64) & 1 == 0 {
                return None;
            }
            let group = self.find(self.exact..self.origins, scheme, domain)?;
            Some(Below { group, labels: host.get(..dot)? })
        })
    }

    /// Returns the group of an origin, among the origins with these indexes.
    #[inline]
    fn find(self, origins: Range<usize>, scheme: Scheme, authority: &[u8]) -> Option<Group<'b>> {
        let hash = hash(scheme, authority);
        let first = self.first_with_hash(origins.clone(), hash)?;
        self.group_from(first..origins.end, hash, scheme, authority)
    }

    /// Returns the group of an origin with this hash, among the origins with these indexes. The first one has the hash.
    #[inline]
    fn group_from(self, origins: Range<usize>, hash: u16, scheme: Scheme, authority: &[u8]) -> Option<Group<'b>> {
        let Range { start: first, end } = origins;
        for at in first..end.min(first + FEW) {
            if self.hash_at(at) != Some(hash) {
                return None;
            }
            let group = self.group(at)?;
            if group.scheme == scheme && is_same(group.authority, authority) {
                return Some(group);
            }
        }
        self.search(first..end, (hash, scheme, authority))
    }

    /// Returns the group of an origin whose hash many origins have.
    #[cold]
    fn search(self, origins: Range<usize>, origin: (u16, Scheme, &[u8])) -> Option<Group<'b>> {
        let of = |at: usize| self.hash_at(at).zip(self.group(at));
        let is_before = |at: usize| of(at).is_some_and(|(hash, group)| (hash, group.scheme, group.authority) < origin);
        let group = self.group(partition(origins.clone(), is_before)).filter(|_| !origins.is_empty())?;
        ((group.scheme, group.authority) == (origin.1, origin.2)).then_some(group)
    }

    /// Returns the index of the first origin with this hash.
    #[inline]
    fn first_with_hash(self, origins: Range<usize>, hash: u16) -> Option<usize> {
        if origins.len() > SCAN {
            let first = partition(origins.clone(), |at| self.hash_at(at).is_some_and(|found| found < hash));
            return (first < origins.end && self.hash_at(first) == Some(hash)).then_some(first);
        }
        // Compared as bytes, so their order does not matter.
        let wanted = u16x8::splat(u16::from_ne_bytes(hash.to_le_bytes()));
        let hashes = self.bytes.get(self.hashes..)?;
        let mut at = origins.start;
        while at < origins.end {
            let eight: [u8; 2 * LANES] = *hashes.get(size_of::<u16>() * at..)?.first_chunk()?;
            let same = bytemuck::cast::<_, u16x8>(eight).simd_eq(wanted).to_bitmask();
            if same != 0 {
                let first = at + same.trailing_zeros() as usize;
                return (first < origins.end).then_some(first);
            }
            at += LANES;
        }
        None
    }

    #[inline]
    fn hash_at(self, at: usize) -> Option<u16> {
        let hash = self.bytes.get(self.hashes + size_of::<u16>() * at..)?.first_chunk()?;
        Some(u16::from_le_bytes(*hash))
    }

    #[inline]
    fn number(self, offset: usize) -> Option<usize> {
        self.width.read(self.bytes, offset)
    }

    /// Returns the offset of the group at an index.
    #[inline]
    fn group_start(self, at: usize) -> Option<usize> {
        self.number(self.offsets + self.width.bytes() * at)
    }

    #[inline]
    fn group(self, at: usize) -> Option<Group<'b>> {
        let width = self.width.bytes();
        let start = self.group_start(at)?;
        let [deciders, pages, length] = self.width.read_three(self.bytes, start)?;
        let offsets = start + 3 * width;
        let authority = self.bytes.get(offsets + width * pages..)?.get(..length)?;
        let scheme = if deciders & 1 == 0 { Scheme::Http } else { Scheme::Https };
        Some(Group { groups: self, scheme, deciders: deciders >> 1, pages, offsets, authority })
    }

    /// Returns the groups, each with whether it has a wildcard.
    fn groups(self) -> impl Iterator<Item = (bool, Group<'b>)> {
        (0..self.origins).map_while(move |at| Some((at >= self.exact, self.group(at)?)))
    }

    /// Returns the parts of all entries, in canonical order.
    fn views(self) -> Vec<View<'b>> {
        let mut views = Vec::new();
        // A forged set may repeat a text any number of times. Written texts are in the order of their addresses.
        let mut end = 0;
        let mut is_next = |text: &[u8]| {
            let start = text.as_ptr().addr();
            let follows = start >= end;
            end = start + text.len().max(1);
            follows
        };
        for (wildcard, group) in self.groups().take_while(|(_, group)| is_next(group.authority)) {
            let origin = group.origin(wildcard);
            if group.deciders == 0 {
                views.push(View { origin, tail: b"/", reach: Reach::Site });
            }
            let pages = (0..group.pages).map_while(|at| group.page(at));
            views.extend(pages.map(|(tail, reach)| View { origin, tail, reach }));
        }
        views.sort_unstable();
        views
    }
}

impl<'b> Group<'b> {
    /// Returns whether an entry certainly matches a header of this origin, from the text after the origin. The text is
    /// compared as it is written.
    #[inline]
    fn accepts_written(self, rest: &str) -> bool {
        let rest = rest.as_bytes();
        let covers = |at: usize| match self.page(at) {
            Some((path, Reach::Exact)) => is_same(rest, path),
            // Only dots, as written or encoded, lead out of a path. Backslashes separate too, and tabs are ignored.
            Some((path, _)) => {
                starts_with(rest, path)
                    && all(rest.get(path.len()..).unwrap_or_default(), |lanes| {
                        !(lanes.equal(b'.') | lanes.equal(b'%') | lanes.equal(b'\\') | lanes.within(0, b' '))
                    })
            }
            None => false,
        };
        self.deciders == 0 || (self.deciders <= FEW && (0..self.deciders).any(covers))
    }

    /// Returns whether an entry matches a header of this origin, from the text after the origin. `None` if the header
    /// must be parsed.
    #[inline]
    fn accepts_rest(self, rest: &str) -> Option<bool> {
        if self.deciders == 0 { Some(true) } else { path_and_query(rest).map(|path| self.covers(path)) }
    }

    /// Returns whether an entry matches a path and query of its origin.
    ///
    /// Only the last deciding page that is not greater than the text can cover it. If a page covers a text, the text
    /// starts with the page's path. Everything ordered between the path and the text then starts with that path too, so
    /// the page includes it. Deciding pages never include each other.
    #[inline]
    fn covers(self, path_and_query: &str) -> bool {
        let text = path_and_query.as_bytes();
        let covers = |at: usize| self.page(at).is_some_and(|(path, reach)| reach.covers(path, text));
        if self.deciders <= FEW {
            return self.deciders == 0 || (0..self.deciders).any(covers);
        }
        let after = partition(0..self.deciders, |at| self.page(at).is_some_and(|(path, _)| path <= text));
        after.checked_sub(1).is_some_and(covers)
    }

    /// Returns the path of a page, and how it is compared.
    #[inline]
    fn page(self, at: usize) -> Option<(&'b [u8], Reach)> {
        let width = self.groups.width.bytes();
        let start = self.groups.number(self.offsets + width * at)?;
        let length = self.groups.number(start)?;
        let path = self.groups.bytes.get(start + width..)?.get(..length >> 1)?;
        Some((path, if length & 1 == 0 { Reach::Prefix } else { Reach::Exact }))
    }

    fn origin(self, wildcard: bool) -> Origin<'b> {
        let authority = if wildcard { self.authority.get(1..).unwrap_or_default() } else { self.authority };
        let port = authority.iter().rposition(|byte| *byte == b':').and_then(|colon| {
            let (host, digits) = authority.split_at_checked(colon)?;
            Some((host, std::str::from_utf8(digits.get(1..)?).ok()?.parse().ok()?))
        });
        let (host, port) = port.map_or((authority, None), |(host, port)| (host, Some(port)));
        Origin { wildcard, host, scheme: self.scheme, port }
    }
}

/// Returns the first index that is not `before`, by binary search.
fn partition(indexes: Range<usize>, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (indexes.start, indexes.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// The entries of one origin that are to be written.
struct Written<'e> {
    wildcard: bool,
    hash: u16,
    scheme: Scheme,
    authority: Vec<u8>,
    /// The pages that no other page includes, then the other ones; each in order.
    deciders: Vec<View<'e>>,
    included: Vec<View<'e>>,
}

impl<'e> Written<'e> {
    fn new(origin: Origin<'e>, views: &[View<'e>]) -> Self {
        let dot: &[u8] = if origin.wildcard { b"." } else { b"" };
        let port = origin.port.map(|port| format!(":{port}")).unwrap_or_default();
        let authority = [dot, origin.host, port.as_bytes()].concat();
        let (mut deciders, mut included) = (Vec::new(), Vec::new());
        let mut last: Option<View<'_>> = None;
        for view in views {
            // The entries that an entry includes directly follow it.
            if last.is_some_and(|last| last.includes(*view)) {
                included.push(*view);
            } else {
                deciders.push(*view);
                last = Some(*view);
            }
        }
        // A site includes every page of its origin.
        deciders.retain(|view| view.reach != Reach::Site);
        let hash = hash(origin.scheme, &authority);
        Self { wildcard: origin.wildcard, hash, scheme: origin.scheme, authority, deciders, included }
    }

    fn pages(&self) -> impl Iterator<Item = &View<'e>> {
        self.deciders.iter().chain(&self.included)
    }
}

/// Returns the bytes of a set of entries, which must be in order and without duplicates.
pub(super) fn write(views: &[View<'_>]) -> Vec<u8> {
    let mut groups: Vec<Written<'_>> = views
        .chunk_by(|a, b| a.origin == b.origin)
        .filter_map(|views| Some(Written::new(views.first()?.origin, views)))
        .collect();
    groups.sort_by(|a, b| {
        (a.wildcard, a.hash, a.scheme, &a.authority).cmp(&(b.wildcard, b.hash, b.scheme, &b.authority))
    });
    // A set beyond 4 GiB does not fit: it matches nothing.
    write_with(Width::Two, &groups).or_else(|| write_with(Width::Four, &groups)).unwrap_or_default()
}

/// Writes a set; returns `None` if a number does not fit into `width`.
fn write_with(width: Width, groups: &[Written<'_>]) -> Option<Vec<u8>> {
    let wildcards = groups.iter().filter(|group| group.wildcard).count();
    let mut out = vec![u8::from(width == Width::Four)];
    width.write(groups.len() - wildcards, &mut out)?;
    width.write(wildcards, &mut out)?;
    if wildcards > 0 {
        let lengths = groups.iter().filter(|group| group.wildcard).map(|group| 1_u64 << (group.authority.len() % 64));
        out.extend(lengths.fold(0, |lengths, length| lengths | length).to_le_bytes());
    }
    let hashes = out.len();
    out.extend(groups.iter().flat_map(|group| group.hash.to_le_bytes()));
    let mut start = out.len() + width.bytes() * groups.len();
    let mut records = Vec::new();
    for group in groups {
        width.write(start, &mut out)?;
        let record = records.len();
        width.write(group.deciders.len() << 1 | usize::from(group.scheme == Scheme::Https), &mut records)?;
        width.write(group.pages().count(), &mut records)?;
        width.write(group.authority.len(), &mut records)?;
        let mut page = start + width.bytes() * (3 + group.pages().count()) + group.authority.len();
        for view in group.pages() {
            width.write(page, &mut records)?;
            page += width.bytes() + view.tail.len();
        }
        records.extend(&group.authority);
        for view in group.pages() {
            width.write(view.tail.len() << 1 | usize::from(view.reach == Reach::Exact), &mut records)?;
            records.extend(view.tail);
        }
        start += records.len() - record;
    }
    out.extend(records);
    // Hashes are compared eight at a time.
    let padded = hashes + size_of::<u16>() * (groups.len() + LANES);
    out.resize(out.len().max(padded), 0);
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn set<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<u8> {
        let mut entries: Vec<Entry> = texts.into_iter().map(|text| Entry::parse(text).unwrap()).collect();
        entries.sort_unstable();
        write(&entries.iter().map(Entry::view).collect::<Vec<_>>())
    }

    #[test]
    fn only_one_site_without_wildcard_is_compared_as_text() {
        let long = format!("https://{}a.test/", "a.".repeat(0x8000));
        let own: &[u8] = b"a.test";
        for (texts, want) in [
            (&["https://a.test/"][..], Some((Scheme::Https, own))),
            (&["http://a.test/"], Some((Scheme::Http, own))),
            (&["https://a.test:81/"], Some((Scheme::Https, b"a.test:81"))),
            (&["https://*.a.test/"], None),
            (&["https://a.test/p"], None),
            (&["https://a.test/p/*"], None),
            (&["https://a.test/", "https://a.test/p"], None),
            (&["https://a.test/", "https://b.test/"], None),
            (&["https://a.test/", "https://*.a.test/"], None),
            (&[&long], None),
            (&[], None),
        ] {
            let bytes = set(texts.iter().copied());
            let site = StoredSet::of(&bytes).only_site().map(|site| (site.scheme, site.authority));
            assert_eq!(site, want, "{:.40}", texts.concat());
            for text in texts {
                let own = text.replace('*', "x");
                for (header, want) in [(own.clone(), true), (own.replace(".test", ".tesu"), false)] {
                    assert_eq!(StoredSet::of(&bytes).accepts(&header), want, "{header:.40}");
                }
            }
        }
    }

    #[test]
    fn origins_with_equal_hashes_are_distinguished() {
        let mut by_hash: HashMap<u16, Vec<String>> = HashMap::new();
        for at in 0..300_000 {
            let authority = format!("h{at}.test");
            by_hash.entry(hash(Scheme::Https, authority.as_bytes())).or_default().push(format!("https://{authority}/"));
        }
        let same = by_hash.into_values().max_by_key(Vec::len).unwrap();
        assert!(same.len() > 2 * FEW);
        for count in 1..same.len() {
            let bytes = set(same[..count].iter().map(String::as_str));
            for (at, text) in same.iter().enumerate() {
                assert_eq!(StoredSet::of(&bytes).accepts(text), at < count, "{at} of {count}");
            }
        }
    }

    #[test]
    fn forged_sets_are_safe_and_bounded() {
        let texts = ["https://a.test/", "https://*.b.test:81/x/*", "https://b.test/p", "https://b.test/q"];
        let bytes = set(texts);
        let headers =
            ["https://a.test/x", "https://x.b.test:81/x/", "https://b.test/p", "https://\u{fc}.b.test:81/", ""];
        for at in 0..bytes.len() {
            for value in 0..=u8::MAX {
                let mut forged = bytes.clone();
                forged[at] = value;
                for length in [at + 1, forged.len()] {
                    let set = StoredSet::of(&forged[..length]);
                    for header in headers {
                        set.accepts(header);
                    }
                    assert!(set.len() <= forged.len() && set.entries().count() <= forged.len());
                }
            }
        }
        // All groups are one group, whose pages are one page.
        let mut forged = vec![0, 0xff, 0xff, 0, 0];
        forged.resize(forged.len() + 2 * 0xffff, 0);
        let group = u16::try_from(0xfff0).unwrap().to_le_bytes();
        forged.extend(group.repeat(0xffff));
        forged.resize(0x80_0000, 0xff);
        assert!(StoredSet::of(&forged).len() <= forged.len());
    }
}
