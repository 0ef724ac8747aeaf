//! Sets of entries.

use super::entry::Entry;
use super::header::Referer;
use super::stored::{StoredSet, write};

/// A set of entries without duplicates, so that equal sets can be stored once.
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

impl RefererSet {
    /// Compiles entries.
    ///
    /// Cost: the cost of sorting them.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        entries.sort_unstable();
        entries.dedup();
        let views: Vec<_> = entries.iter().map(Entry::view).collect();
        Self { bytes: write(&views).into() }
    }

    /// Returns whether an entry matches a Referer header, which must not be empty (N7.2 to N7.6).
    ///
    /// Cost: linear in the header, without allocation for a header in the form that browsers send. One look-up finds
    /// the origin. A set with wildcard hosts needs one more for each label of the Referer's host. The paths of an
    /// origin are searched.
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
