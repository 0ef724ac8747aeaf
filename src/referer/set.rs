//! The entries of a token, compiled.
//!
//! A set is one piece of bytes that is matched where it lies, in memory or in a compiled snapshot:
//!
//! ```text
//! head       entries, deciders, deciders that are not wildcards          each number of four bytes, the lowest first
//! offsets    where each entry begins, in canonical order
//! deciders   entries that no other entry of their origin includes, in order; none where all are scanned
//! entry      scheme, wildcard, reach, none; port plus one; host and tail, each from and to; the text's length; the text
//! ```

use super::entry::{Entry, Origin, Parts, Reach, View};
use super::header::Referer;
use super::url::Scheme;
use crate::base::starts_with;

/// Up to this many entries are compared one by one. Tokens have one to three as a rule.
const SCAN: usize = 8;

/// A set of entries, in canonical order and without repetitions, so that equal sets can be stored once.
///
/// An empty set matches nothing. A token without entries accepts any request (N7.6): that is for the token to say.
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
    // INVARIANT: what `write` wrote.
    bytes: Box<[u8]>,
}

/// A set, where it lies. Whatever the bytes are, asking them is safe; what cannot be read matches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StoredSet<'b> {
    bytes: &'b [u8],
}

impl RefererSet {
    /// Compiles entries.
    ///
    /// Cost: that of sorting them.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        Self::with_scan_limit(entries, SCAN)
    }

    /// Compiles entries; more than `scan` are searched.
    pub(super) fn with_scan_limit(entries: impl IntoIterator<Item = Entry>, scan: usize) -> Self {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        entries.sort_unstable();
        entries.dedup();
        let deciders = if entries.len() > scan { deciders(&entries) } else { Vec::new() };
        Self { bytes: write(&entries, &deciders).into() }
    }

    /// Whether an entry matches a Referer header, which is not empty (N7.2 to N7.6).
    ///
    /// Cost: linear in the header. Nothing is allocated for a header written as browsers write it. Up to eight entries are
    /// compared one by one. More are searched: one binary search for the origin and, if there are wildcard hosts, one for
    /// each label of the Referer's host.
    pub fn accepts(&self, header: &str) -> bool {
        self.stored().accepts(header)
    }

    /// Whether an entry matches `referer` (N7.2 to N7.5).
    pub fn matches(&self, referer: &Referer<'_>) -> bool {
        self.stored().matches(referer)
    }

    /// The entries, in canonical order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.stored().entries()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.stored().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The form in which it can be kept elsewhere.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn stored(&self) -> StoredSet<'_> {
        StoredSet::of(&self.bytes)
    }
}

impl<'b> StoredSet<'b> {
    /// The set that [`RefererSet::as_bytes`] gave.
    pub(crate) fn of(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// As [`RefererSet::accepts`].
    #[inline]
    pub(crate) fn accepts(self, header: &str) -> bool {
        // A header that goes on where a site ends has that site's origin, whatever follows: nothing need be parsed.
        let goes_on = |at| self.site(at).is_some_and(|site| starts_with(header.as_bytes(), site));
        (0..self.len().min(SCAN)).any(goes_on) || Referer::parse(header).is_some_and(|referer| self.matches(&referer))
    }

    fn matches(self, referer: &Referer<'_>) -> bool {
        if self.number(1) == 0 { self.views().any(|entry| entry.matches(referer)) } else { self.search(referer) }
    }

    pub(crate) fn entries(self) -> impl Iterator<Item = Entry> {
        self.views().map(Entry::of)
    }

    pub(crate) fn len(self) -> usize {
        self.number(0)
    }

    fn views(self) -> impl Iterator<Item = View<'b>> {
        (0..self.len()).map_while(move |at| self.view(at))
    }

    /// The number at this place, each of four bytes; zero if there is none.
    fn number(self, place: usize) -> usize {
        self.bytes.as_chunks().0.get(place).map_or(0, |number| u32::from_le_bytes(*number) as usize)
    }

    fn entry(self, at: usize) -> Option<(&'b [u8; ENTRY], &'b [u8])> {
        if at >= self.len() {
            return None;
        }
        let (head, rest) = self.bytes.get(self.number(HEAD + at)..)?.split_first_chunk::<ENTRY>()?;
        let length = u32::from_le_bytes(*head.last_chunk()?);
        Some((head, rest.get(..length as usize)?))
    }

    /// The text of an entry that is a site, and no wildcard: it ends with the slash behind host and port.
    #[inline]
    fn site(self, at: usize) -> Option<&'b [u8]> {
        let (&[_, wildcard, reach, ..], text) = self.entry(at)?;
        (wildcard == 0 && reach == REACHES[0].0).then_some(text)
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
        Some(View { text: std::str::from_utf8(text).ok()?, parts })
    }

    fn search(self, referer: &Referer<'_>) -> bool {
        let (origin, path_and_query) = (referer.origin(), referer.path_and_query());
        let (deciders, exact_hosts) = (self.number(1), self.number(2));
        if self.any_covers(0..exact_hosts, origin, path_and_query) {
            return true;
        }
        if exact_hosts >= deciders {
            return false;
        }
        let mut host = origin.host;
        while let Some((label, domain)) = host.split_once('.') {
            // A wildcard stands for labels that are not empty (N7.5).
            if label.is_empty() {
                return false;
            }
            let origin = Origin { wildcard: true, host: domain, ..origin };
            if self.any_covers(exact_hosts..deciders, origin, path_and_query) {
                return true;
            }
            host = domain;
        }
        false
    }

    /// Whether one of these deciders is of this very origin and covers the path and query.
    ///
    /// An entry that covers a text has a tail that the text begins with, so whatever stands between the two in order
    /// begins with that tail as well and is included in the entry. Deciders include none of each other: only the last one
    /// up to the text can cover it.
    fn any_covers(self, deciders: std::ops::Range<usize>, origin: Origin<'_>, path_and_query: &str) -> bool {
        let decider = |at: usize| self.view(self.number(HEAD + self.len() + at));
        let (mut low, mut high) = (deciders.start, deciders.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match decider(middle) {
                Some(entry) if (entry.origin(), entry.tail()) <= (origin, path_and_query) => low = middle + 1,
                _ => high = middle,
            }
        }
        let last = low.checked_sub(1).filter(|last| deciders.contains(last)).and_then(decider);
        last.is_some_and(|entry| entry.origin() == origin && entry.covers(path_and_query))
    }
}

/// Numbers of the head.
const HEAD: usize = 3;
/// Bytes of an entry before its text.
const ENTRY: usize = 28;
/// How reaches are stored.
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
        out.extend(text.as_bytes());
    }
    out
}

/// The indexes of the entries that no other includes. What an entry includes follows it, without a gap.
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
