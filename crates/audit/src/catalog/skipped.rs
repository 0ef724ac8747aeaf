//! Counts the rows of a listing that are not tables or views.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use portcullis::base::quoted;

/// Max kinds that are counted by name. A column of types may contain anything.
const MAX_KINDS: usize = 20;

/// Max kinds that are named in text.
const NAMED: usize = 5;

/// Max characters of a kind.
const MAX_KIND: usize = 40;

/// The rows that were skipped because they are not tables or views, by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    kinds: BTreeMap<Kind, u64>,
    more: u64,
}

/// The kind of a skipped row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The type that the row gives, such as `INDEX`.
    Typed(String),
    /// A kind that follows from other columns.
    Known(&'static str),
}

impl Kind {
    pub(super) fn typed(text: &str) -> Self {
        Self::Typed(text.chars().take(MAX_KIND).collect())
    }
}

impl Skipped {
    pub(super) fn add(&mut self, kind: Kind) {
        if self.kinds.len() < MAX_KINDS || self.kinds.contains_key(&kind) {
            *self.kinds.entry(kind).or_default() += 1;
        } else {
            self.more += 1;
        }
    }

    /// Returns the number of rows that were skipped.
    pub fn rows(&self) -> u64 {
        self.kinds.values().sum::<u64>() + self.more
    }
}

/// Lists the kinds with their numbers, the most frequent first.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_by(|(left, left_count), (right, right_count)| right_count.cmp(left_count).then(left.cmp(right)));
        let rest = kinds.iter().skip(NAMED).map(|(_, count)| *count).sum::<u64>() + self.more;
        let mut separator = "";
        for (kind, count) in kinds.into_iter().take(NAMED) {
            let kind = match kind {
                Kind::Typed(text) => Cow::Owned(quoted(text)),
                Kind::Known(text) => Cow::Borrowed(*text),
            };
            write!(f, "{separator}{count} {kind}")?;
            separator = ", ";
        }
        if rest > 0 {
            write!(f, "{separator}{rest} of other kinds")?;
        }
        Ok(())
    }
}
