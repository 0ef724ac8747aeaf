//! The entries of a token, compiled.

use super::entry::{Entry, Origin};
use super::header::Referer;

/// Up to this many entries are compared one by one. Tokens have one to three as a rule.
const SCAN: usize = 8;

/// A set of entries, in canonical order and without repetitions, so that equal sets can be stored once.
///
/// An empty set matches nothing. A token without entries accepts any request (N7.6): that is for the token to say.
///
/// ```
/// use portcullis::referer::{Entry, Referer, RefererSet};
///
/// let set = RefererSet::new([Entry::parse("https://b.com/")?, Entry::parse("https://a.com")?, Entry::parse("https://b.com")?]);
/// assert_eq!(set.entries().map(Entry::as_str).collect::<Vec<_>>(), ["https://a.com/", "https://b.com/"]);
/// assert!(Referer::parse("https://a.com/x").is_some_and(|referer| set.matches(&referer)));
/// # Ok::<(), portcullis::referer::EntryError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RefererSet {
    // INVARIANT: ascending, none twice.
    entries: Box<[Entry]>,
    // INVARIANT: indexes into `entries`, ascending, of those that no other entry of their origin includes; empty when
    // `entries` are few enough to be scanned. It follows from `entries`.
    deciders: Box<[usize]>,
    // INVARIANT: how many of `deciders` are not wildcards; those come first.
    exact_hosts: usize,
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
        let is_exact = |at: &usize| entries.get(*at).is_some_and(|entry| !entry.is_wildcard_host());
        let exact_hosts = deciders.partition_point(is_exact);
        Self { deciders: deciders.into(), exact_hosts, entries: entries.into() }
    }

    /// Whether an entry matches `referer` (N7.2 to N7.5).
    ///
    /// Cost: nothing allocated. Up to eight entries are compared one by one. More are searched: one binary search for
    /// the origin and, if there are wildcard hosts, one for each label of the Referer's host.
    pub fn matches(&self, referer: &Referer<'_>) -> bool {
        if self.deciders.is_empty() {
            self.entries.iter().any(|entry| entry.matches(referer))
        } else {
            self.search(referer)
        }
    }

    /// The entries, in canonical order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn search(&self, referer: &Referer<'_>) -> bool {
        let (origin, path_and_query) = (referer.origin(), referer.path_and_query());
        let (exact_hosts, wildcards) = self.deciders.split_at_checked(self.exact_hosts).unwrap_or_default();
        if self.any_covers(exact_hosts, origin, path_and_query) {
            return true;
        }
        if wildcards.is_empty() {
            return false;
        }
        let mut host = origin.host;
        while let Some((label, domain)) = host.split_once('.') {
            // A wildcard stands for labels that are not empty (N7.5).
            if label.is_empty() {
                return false;
            }
            if self.any_covers(wildcards, Origin { wildcard: true, host: domain, ..origin }, path_and_query) {
                return true;
            }
            host = domain;
        }
        false
    }

    /// Whether one of `deciders` is of this very origin and covers the path and query.
    ///
    /// An entry that covers a text has a tail that the text begins with, so whatever stands between the two in order
    /// begins with that tail as well and is included in the entry. Deciders include none of each other: only the last one
    /// up to the text can cover it.
    fn any_covers(&self, deciders: &[usize], origin: Origin<'_>, path_and_query: &str) -> bool {
        let is_up_to = |at: &usize| {
            self.entries.get(*at).is_some_and(|entry| (entry.origin(), entry.tail()) <= (origin, path_and_query))
        };
        let end = deciders.partition_point(is_up_to);
        let last = end.checked_sub(1).and_then(|last| deciders.get(last)).and_then(|at| self.entries.get(*at));
        last.is_some_and(|entry| entry.origin() == origin && entry.covers(path_and_query))
    }
}

/// The indexes of the entries that no other includes. What an entry includes follows it, without a gap.
fn deciders(entries: &[Entry]) -> Vec<usize> {
    let mut deciders = Vec::with_capacity(entries.len());
    let mut last: Option<&Entry> = None;
    for (at, entry) in entries.iter().enumerate() {
        if !last.is_some_and(|last| last.includes(entry)) {
            deciders.push(at);
            last = Some(entry);
        }
    }
    deciders
}
