//! Compiled sets of entries.
//!
//! A set is a sequence of bytes that is matched in place, in memory or in a compiled snapshot. All numbers have four
//! bytes, little-endian:
//!
//! ```text
//! head       number of entries, number of deciders, number of deciders that are not wildcards
//! offsets    the offset of each entry, in canonical order
//! deciders   indexes of entries that no other entry of their origin includes, in order; empty if all entries are
//! scanned
//! entry      scheme, wildcard, reach, zero (one byte each); port plus one; spans of host and tail; length of the text;
//! text
//! ```

use std::ops::Range;

use super::entry::{Entry, Parts, Reach, View};
use super::header::Referer;
use super::origin::{HeaderHost, HeaderOrigin};
use super::url::{Origin, Scheme};
use crate::base::starts_with;

/// The maximum number of entries that are compared one by one. Tokens usually have one to three.
const SCAN: usize = 8;

/// The maximum number of entries that are compared with the end of a host. Parsing a host that is not ASCII costs more.
const SCAN_SUFFIX: usize = 64;

/// A set of entries, in canonical order and without duplicates, so that equal sets can be stored once.
///
/// An empty set matches nothing. A token without entries accepts any request (N7.6); the caller handles that case.
///
/// ```
/// use portcullis::referer::{Entry, RefererSet};
///
/// let set = RefererSet::new([Entry::parse("https://b.com/")?, Entry::parse("https://a.com")?, Entry::parse("https://b.com")?]);
/// assert_eq!(set.entries().map(|entry| entry.to_string()).collect::<Vec<_>>(), ["https://a.com/", "https://b.com/"]);
/// assert!(set.accepts("https://a.com/x"));
/// # Ok::<(), portcullis::referer::EntryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RefererSet {
    // INVARIANT: the output of `write`.
    bytes: Box<[u8]>,
}

/// A borrowed set. Matching is safe for any bytes: an entry that cannot be read matches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StoredSet<'b> {
    bytes: &'b [u8],
}

impl RefererSet {
    /// Compiles entries.
    ///
    /// Cost: the cost of sorting them.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self::with_scan_limit(entries, SCAN)
    }

    /// Compiles entries. A set of more than `scan` entries is searched instead of scanned.
    pub(super) fn with_scan_limit(entries: impl IntoIterator<Item = Entry>, scan: usize) -> Self {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        entries.sort_unstable();
        entries.dedup();
        let deciders = if entries.len() > scan { deciders(&entries) } else { Vec::new() };
        Self { bytes: write(&entries, &deciders).into() }
    }

    /// Returns whether an entry matches a Referer header, which must not be empty (N7.2 to N7.6).
    ///
    /// Cost: linear in the header, without allocation for a header in the form that browsers send. Up to eight entries
    /// are compared one by one. A larger set needs one binary search for the origin. If it has wildcard hosts, it also
    /// needs one for each label of the Referer's host.
    pub fn accepts(&self, header: &str) -> bool {
        self.stored().accepts(header)
    }

    /// Returns whether an entry matches `referer` (N7.2 to N7.5).
    pub fn matches(&self, referer: &Referer<'_>) -> bool {
        self.stored().matches(referer)
    }

    /// Returns the entries, in canonical order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.stored().entries()
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.stored().len()
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes of the set, for storage.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn stored(&self) -> StoredSet<'_> {
        StoredSet::of(&self.bytes)
    }
}

/// Whether an entry is a site without a wildcard. Its text then ends with the slash after host and port.
#[inline]
fn is_site(&[_, wildcard, reach, ..]: &[u8; ENTRY]) -> bool {
    wildcard == 0 && reach == REACHES[0].0
}

impl<'b> StoredSet<'b> {
    /// Creates the set of the bytes that [`RefererSet::as_bytes`] returned.
    pub(crate) fn of(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// Returns whether an entry matches a header, like [`RefererSet::accepts`].
    #[inline]
    pub(crate) fn accepts(self, header: &str) -> bool {
        // A header that starts with the text of a site has the origin of the site. It needs no parsing. A forged file may
        // state any number of entries: the first one that it lacks ends the search.
        let mut entries = (0..self.len()).map_while(|at| self.entry(at));
        let starts_with_site =
            |(head, text): (&[u8; ENTRY], &[u8])| is_site(head) && starts_with(header.as_bytes(), text);
        self.is_scanned() && entries.any(starts_with_site) || self.accepts_parsed(header)
    }

    /// Returns whether an entry matches a header. Parses only headers whose origin an entry may have.
    #[inline(never)]
    fn accepts_parsed(self, header: &str) -> bool {
        let Some(origin) = HeaderOrigin::read(header) else {
            return Referer::parse(header).is_some_and(|referer| self.matches(&referer));
        };
        if !self.is_scanned() {
            return match Referer::plain(origin) {
                Some(referer) => self.matches(&referer),
                None => self.may_have(&origin) && Referer::slow(header).is_some_and(|referer| self.matches(&referer)),
            };
        }
        let mut candidates = self.views().filter(|entry| origin.may_be(entry.origin()));
        let Some(first) = candidates.next() else { return false };
        if matches!(origin.host, HeaderHost::Plain(_)) && first.is_site() && !first.parts.wildcard {
            return true;
        }
        let referer = Referer::plain(origin).or_else(|| Referer::slow(header));
        referer.is_some_and(|referer| first.matches(&referer) || candidates.any(|entry| entry.matches(&referer)))
    }

    /// Returns whether a decider may have the origin of a header.
    fn may_have(self, origin: &HeaderOrigin<'_>) -> bool {
        let HeaderOrigin { scheme, port, .. } = *origin;
        match origin.host {
            HeaderHost::Plain(host) | HeaderHost::Whole(host) => {
                let origin = Origin { wildcard: false, host: host.as_bytes(), scheme, port };
                self.any_decider(origin, |deciders, origin| self.has_origin(deciders, origin))
            }
            // Parsing costs less than a scan of that many entries.
            HeaderHost::Suffix(_) => {
                self.len() > SCAN_SUFFIX || self.views().any(|entry| origin.may_be(entry.origin()))
            }
        }
    }

    /// Returns whether one of these deciders has this origin.
    fn has_origin(self, deciders: Range<usize>, origin: Origin<'_>) -> bool {
        let first = self.partition(deciders.clone(), |entry| entry.origin() < origin);
        deciders.contains(&first) && self.decider(first).is_some_and(|entry| entry.origin() == origin)
    }

    fn matches(self, referer: &Referer<'_>) -> bool {
        if self.is_scanned() {
            return self.views().any(|entry| entry.matches(referer));
        }
        let path_and_query = referer.path_and_query();
        self.any_decider(referer.origin(), |deciders, origin| self.any_covers(deciders, origin, path_and_query))
    }

    /// Returns whether the entries are compared one by one.
    fn is_scanned(self) -> bool {
        self.number(1) == 0
    }

    pub(crate) fn entries(self) -> impl Iterator<Item = Entry> {
        self.views().map_while(Entry::of)
    }

    pub(crate) fn len(self) -> usize {
        self.number(0)
    }

    fn views(self) -> impl Iterator<Item = View<'b>> {
        (0..self.len()).map_while(move |at| self.view(at))
    }

    /// Returns the number at this index; zero if there is none.
    fn number(self, index: usize) -> usize {
        self.bytes.as_chunks().0.get(index).map_or(0, |number| u32::from_le_bytes(*number) as usize)
    }

    fn entry(self, at: usize) -> Option<(&'b [u8; ENTRY], &'b [u8])> {
        if at >= self.len() {
            return None;
        }
        let (head, rest) = self.bytes.get(self.number(HEAD + at)..)?.split_first_chunk::<ENTRY>()?;
        let length = u32::from_le_bytes(*head.last_chunk()?);
        Some((head, rest.get(..length as usize)?))
    }

    fn view(self, at: usize) -> Option<View<'b>> {
        let (head, text) = self.entry(at)?;
        let &[scheme, wildcard, reach, _, ..] = head;
        let (_, numbers) = head.as_slice().split_first_chunk::<4>()?;
        let &[port, host_from, host_to, tail_from, tail_to, _] = numbers.as_chunks().0.as_array()?;
        let number = |bytes: [u8; 4]| u32::from_le_bytes(bytes);
        let parts = Parts {
            scheme: if scheme == 0 { Scheme::Http } else { Scheme::Https },
            wildcard: wildcard != 0,
            reach: REACHES.iter().find(|(stored, _)| *stored == reach)?.1,
            port: number(port).checked_sub(1).and_then(|port| u16::try_from(port).ok()),
            host: (number(host_from), number(host_to)),
            tail: (number(tail_from), number(tail_to)),
        };
        Some(View { text, parts })
    }

    /// Calls `found` with the deciders that are not wildcards and this origin, then with the wildcards and each wildcard
    /// that its host is below. Returns whether one call returned true.
    fn any_decider(self, origin: Origin<'_>, found: impl Fn(Range<usize>, Origin<'_>) -> bool) -> bool {
        let (deciders, exact_hosts) = (self.number(1), self.number(2));
        if found(0..exact_hosts, origin) {
            return true;
        }
        if exact_hosts >= deciders {
            return false;
        }
        let mut host = origin.host;
        while let Some(dot) = host.iter().position(|byte| *byte == b'.') {
            // A wildcard matches only non-empty labels (N7.5).
            if dot == 0 {
                return false;
            }
            host = host.get(dot + 1..).unwrap_or_default();
            if found(exact_hosts..deciders, Origin { wildcard: true, host, ..origin }) {
                return true;
            }
        }
        false
    }

    /// Returns whether one of these deciders has this origin and covers the path and query.
    ///
    /// Only the last decider that is not greater than the text can cover it. If an entry covers a text, the text starts
    /// with the entry's tail. Everything ordered between the tail and the text then starts with that tail too, so the
    /// entry includes it. Deciders never include each other.
    fn any_covers(self, deciders: Range<usize>, origin: Origin<'_>, path_and_query: &str) -> bool {
        let text = (origin, path_and_query.as_bytes());
        let after = self.partition(deciders.clone(), |entry| (entry.origin(), entry.tail()) <= text);
        let last = after.checked_sub(1).filter(|last| deciders.contains(last)).and_then(|last| self.decider(last));
        last.is_some_and(|entry| entry.origin() == origin && entry.covers(path_and_query))
    }

    fn decider(self, at: usize) -> Option<View<'b>> {
        self.view(self.number(HEAD + self.len() + at))
    }

    /// Returns the index of the first of these deciders that is not `before`, by binary search.
    fn partition(self, deciders: Range<usize>, before: impl Fn(View<'_>) -> bool) -> usize {
        let (mut low, mut high) = (deciders.start, deciders.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.decider(middle).is_some_and(&before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// The number of fields in the head.
const HEAD: usize = 3;
/// The number of bytes of an entry before its text.
const ENTRY: usize = 28;
/// The stored form of each reach.
const REACHES: [(u8, Reach); 3] = [(0, Reach::Site), (1, Reach::Prefix), (2, Reach::Exact)];

fn write(entries: &[Entry], deciders: &[usize]) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    let is_exact = |at: &usize| entries.get(*at).is_some_and(|entry| !entry.is_wildcard_host());
    let exact_hosts = deciders.partition_point(is_exact);
    let mut out = [entries.len(), deciders.len(), exact_hosts].map(number).concat();
    let mut start = out.len() + 4 * (entries.len() + deciders.len());
    for entry in entries {
        out.extend(number(start));
        start += ENTRY + entry.as_str().len();
    }
    out.extend(deciders.iter().flat_map(|&at| number(at)));
    for View { text, parts } in entries.iter().map(Entry::view) {
        let reach = REACHES.iter().find(|(_, reach)| *reach == parts.reach).map_or(u8::MAX, |(stored, _)| *stored);
        out.extend([u8::from(parts.scheme == Scheme::Https), u8::from(parts.wildcard), reach, 0]);
        let port = parts.port.map_or(0, |port| u32::from(port) + 1);
        for part in [port, parts.host.0, parts.host.1, parts.tail.0, parts.tail.1] {
            out.extend(part.to_le_bytes());
        }
        out.extend(number(text.len()));
        out.extend(text);
    }
    out
}

/// Returns the indexes of the entries that no other entry includes. The entries that an entry includes directly follow
/// it.
fn deciders(entries: &[Entry]) -> Vec<usize> {
    let mut deciders = Vec::with_capacity(entries.len());
    let mut last: Option<&Entry> = None;
    for (at, entry) in entries.iter().enumerate() {
        if !last.is_some_and(|last| last.view().includes(entry.view())) {
            deciders.push(at);
            last = Some(entry);
        }
    }
    deciders
}
