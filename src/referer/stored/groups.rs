//! The groups of a set: the entries of each origin, found by the hash of the origin.

use std::ops::Range;

use wide::u16x8;

use crate::base::bytes::{Offsets, all};
use crate::base::{fetch_lines, is_same, starts_with};
use crate::pattern::text_key;
use crate::referer::class::end;
use crate::referer::entry::{Reach, View};
use crate::referer::header::{Referer, path_and_query};
use crate::referer::origin::{HeaderOrigin, UnicodeOrigin, are_plain_labels, scheme};
use crate::referer::url::{Origin, Scheme};

/// The maximum number of hashes that are compared one after the other, eight at a time.
const SCAN: usize = 64;

/// The maximum number of groups or pages that are compared one by one.
pub(super) const FEW: usize = 4;

/// The maximum number of groups that are compared with the end of a host. Parsing a host that is not ASCII costs more.
const SCAN_SUFFIX: usize = 64;

pub(super) const LANES: usize = 8;

/// The groups of a set.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Groups<'b> {
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
pub(super) enum Width {
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
    pub(super) fn bytes(self) -> usize {
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
    pub(super) fn write(self, number: usize, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Two => out.extend(u16::try_from(number).ok()?.to_le_bytes()),
            Self::Four => out.extend(u32::try_from(number).ok()?.to_le_bytes()),
        }
        Some(())
    }
}

/// Returns the hash of an origin.
#[inline]
pub(super) fn hash(scheme: Scheme, authority: &[u8]) -> u16 {
    let key = text_key(authority);
    let hash = (key >> 16) as u16;
    if scheme == Scheme::Https { hash } else { !hash }
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

impl<'b> Groups<'b> {
    #[inline]
    pub(super) fn read(bytes: &'b [u8]) -> Option<Self> {
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
    pub(super) fn look_up<'h>(self, header: &'h str) -> LookUp<'b, 'h> {
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
    pub(super) fn matches(self, referer: &Referer<'_>) -> bool {
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
    pub(super) fn views(self) -> Vec<View<'b>> {
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
