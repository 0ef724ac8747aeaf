//! Decides containment and overlap of patterns exactly. Each *no* comes with a name that proves it.
//!
//! Names and patterns form a small regular language (N3): a star matches any run of characters within one segment. The
//! search walks through all prefixes of names, character by character. Prefixes that no pattern distinguishes share one
//! state. The search visits shorter prefixes first, so the first name that it finds is a shortest one.
//!
//! **Alphabet.** The alphabet is that of the dialect's canonical names (N2): folded, unquoted, every character that can
//! appear between quotes. One letter represents all characters that no pattern writes at a position. It is lower case,
//! or upper case if the dialect folds to upper case. The search skips texts that are not names: empty segments, and in
//! BigQuery a first segment with dots but no colon after them, or a colon in a later segment only.
//!
//! **Limits.** A question about a union can take time exponential in the number of its patterns. Each search has a
//! [`Budget`]. Beyond it the result is [`Proof::Undecided`]: treat that as a *no*. A name longer than N2.4 allows is
//! not a witness; if only longer names are left, the result is also undecided.
//!
//! ```
//! use portcullis_diff::algebra::{Algebra, Proof};
//! use portcullis::name::Dialect;
//! use portcullis::pattern::Pattern;
//!
//! let pattern = |text| Pattern::parse(text, Dialect::Generic);
//! let algebra = Algebra::new(Dialect::Generic);
//! let (wide, narrow) = (pattern("db.*.raw_*")?, pattern("db.sales.raw_*")?);
//! assert_eq!(algebra.covered(&narrow, &[(&wide).into()]), Proof::Holds);
//! let Proof::Fails(witness) = algebra.covered(&wide, &[(&narrow).into()]) else { panic!() };
//! assert_eq!(witness.display(Dialect::Generic).to_string(), "db.a.raw_");
//! # Ok::<(), portcullis::pattern::PatternError>(())
//! ```

mod search;
mod steps;
#[cfg(test)]
mod tests;
mod valid;

use portcullis::name::{Dialect, Name, NameDisplay, STAR};
use portcullis::pattern::{Pattern, covers};
use search::{Search, SearchOutcome};

/// The set of names that one pattern covers, or a single name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Names<'p> {
    // In canonical form.
    bytes: &'p [u8],
}

impl<'p> From<&'p Pattern> for Names<'p> {
    fn from(pattern: &'p Pattern) -> Self {
        Self { bytes: pattern.as_bytes() }
    }
}

impl<'p> From<&'p Name> for Names<'p> {
    fn from(name: &'p Name) -> Self {
        Self { bytes: name.as_bytes() }
    }
}

/// The result of a question about all names of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// The statement holds for all names.
    Holds,
    /// The statement fails for this name, a shortest one.
    Fails(Name),
    /// The search was given up; treat this as a no.
    Undecided,
}

impl Proof {
    /// Whether the statement is proven to hold.
    pub fn holds(&self) -> bool {
        *self == Self::Holds
    }
}

/// The limit after which a search is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The number of pattern positions to visit; some tens of nanoseconds each.
    pub steps: u64,
}

impl Default for Budget {
    /// Returns two million steps: well below a second.
    fn default() -> Self {
        Self { steps: 2_000_000 }
    }
}

/// The remainder of one part of a union after another union is removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest<'p> {
    /// The part of the union that is not covered completely.
    pub of: Names<'p>,
    /// The removed sets that overlap the part.
    pub without: Vec<Names<'p>>,
    /// A shortest name of the remainder; `None` if the search was given up.
    pub witness: Option<Name>,
}

/// Answers questions about the names of one dialect.
#[derive(Debug, Clone, Copy)]
pub struct Algebra {
    dialect: Dialect,
    budget: Budget,
}

impl Algebra {
    /// Uses the default budget for each question.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, budget: Budget::default() }
    }

    /// Uses `budget` for each question.
    #[must_use]
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// Decides whether every name of `part` is in the union `whole`.
    ///
    /// Linear in the lengths if one set of `whole` covers `part`; otherwise a search.
    pub fn covered<'p>(&self, part: impl Into<Names<'p>>, whole: &[Names<'p>]) -> Proof {
        let part = part.into();
        // Only a star covers a star, so a star in `part` acts like a character that no other pattern writes.
        if whole.iter().any(|names| covers(names.bytes, part.bytes)) {
            return Proof::Holds;
        }
        match self.search(&[part], whole) {
            SearchOutcome::Nothing => Proof::Holds,
            SearchOutcome::Name(name) => Proof::Fails(name),
            SearchOutcome::GivenUp => Proof::Undecided,
        }
    }

    /// Decides whether two sets are disjoint; [`Proof::Fails`] has a shortest common name.
    pub fn disjoint<'p>(&self, one: impl Into<Names<'p>>, other: impl Into<Names<'p>>) -> Proof {
        match self.search(&[one.into(), other.into()], &[]) {
            SearchOutcome::Nothing => Proof::Holds,
            SearchOutcome::Name(name) => Proof::Fails(name),
            SearchOutcome::GivenUp => Proof::Undecided,
        }
    }

    /// Whether two sets may have a common name; true if undecided.
    pub fn overlap<'p>(&self, one: impl Into<Names<'p>>, other: impl Into<Names<'p>>) -> bool {
        !self.disjoint(one, other).holds()
    }

    /// Decides whether every name of the union `part` is in the union `whole`.
    pub fn all_covered<'p>(&self, part: &[Names<'p>], whole: &[Names<'p>]) -> Proof {
        shortest(part.iter().map(|&names| self.covered(names, whole)))
    }

    /// Decides whether two unions are disjoint; [`Proof::Fails`] has a shortest common name.
    pub fn all_disjoint<'p>(&self, one: &[Names<'p>], other: &[Names<'p>]) -> Proof {
        let pairs = one.iter().flat_map(|&names| other.iter().map(move |&others| (names, others)));
        let near = pairs.filter(|(names, others)| names.may_overlap(others));
        shortest(near.map(|(names, others)| self.disjoint(names, others)))
    }

    /// Decides whether two unions are equal; [`Proof::Fails`] has a shortest name that only one of them contains.
    pub fn equivalent<'p>(&self, one: &[Names<'p>], other: &[Names<'p>]) -> Proof {
        shortest([self.all_covered(one, other), self.all_covered(other, one)].into_iter())
    }

    /// Returns the parts of `from` that `taken` does not cover completely.
    pub fn difference<'p>(&self, from: &[Names<'p>], taken: &[Names<'p>]) -> Vec<Rest<'p>> {
        let rest = |&of: &Names<'p>| {
            let witness = match self.covered(of, taken) {
                Proof::Holds => return None,
                Proof::Fails(name) => Some(name),
                Proof::Undecided => None,
            };
            let without = taken.iter().copied().filter(|&names| self.overlap(of, names)).collect();
            Some(Rest { of, without, witness })
        };
        from.iter().filter_map(rest).collect()
    }

    /// Searches for a shortest name that is in all sets of `inside` and in none of `outside`.
    fn search(&self, inside: &[Names<'_>], outside: &[Names<'_>]) -> SearchOutcome {
        let bytes = |names: &[Names<'_>]| names.iter().map(|names| names.bytes.to_vec()).collect::<Vec<_>>();
        Search::new(self.dialect, &bytes(inside), &bytes(outside)).run(self.budget.steps)
    }
}

/// Combines several results: fails with the shortest name that one of them has, the first of equally short ones.
fn shortest(proofs: impl Iterator<Item = Proof>) -> Proof {
    let (mut shortest, mut undecided) = (None::<(usize, Name)>, false);
    for proof in proofs {
        match proof {
            Proof::Holds => {}
            Proof::Undecided => undecided = true,
            Proof::Fails(name) => {
                let length = String::from_utf8_lossy(name.as_bytes()).chars().count();
                if shortest.as_ref().is_none_or(|(least, _)| length < *least) {
                    shortest = Some((length, name));
                }
            }
        }
    }
    match (shortest, undecided) {
        (Some((_, name)), _) => Proof::Fails(name),
        (None, true) => Proof::Undecided,
        (None, false) => Proof::Holds,
    }
}

impl<'p> Names<'p> {
    /// Wraps a name or a pattern in canonical form.
    pub fn of_canonical(bytes: &'p [u8]) -> Self {
        Self { bytes }
    }

    /// Returns the canonical form of the pattern or name.
    pub fn as_bytes(&self) -> &'p [u8] {
        self.bytes
    }

    /// Returns the name or pattern as `dialect` writes it.
    pub fn display(&self, dialect: Dialect) -> String {
        NameDisplay { bytes: self.bytes.into(), dialect }.to_string()
    }

    /// Whether there may be a name of both: whether neither begins as the other cannot.
    pub fn may_overlap(&self, other: &Self) -> bool {
        let prefix_length =
            |names: &Self| names.bytes.iter().position(|&byte| byte == STAR).unwrap_or(names.bytes.len());
        let both = prefix_length(self).min(prefix_length(other));
        self.bytes.get(..both) == other.bytes.get(..both)
    }

    /// Whether the set contains `name`.
    pub fn contain(&self, name: &Name) -> bool {
        covers(self.bytes, name.as_bytes())
    }
}
