//! What patterns have in common, and what sets them apart: exact answers, with a name that shows each *no*.
//!
//! Names and patterns are a small regular language (N3): a star stands for any run of characters within one segment. So
//! whether every name of one pattern is a name of some others is decided, not sampled: the search walks, character by
//! character, through all ways in which a name can begin, and ways that no pattern tells apart are one. It goes by length,
//! so the first name that it meets is a shortest one.
//!
//! **The alphabet** is that of the dialect's canonical names (N2): folded, unquoted, every character that can stand
//! between quotes. Of the characters that no pattern at hand writes at some place, one stands for all: a lower-case letter
//! where it can, an upper-case one where the dialect folds to those. Where a name can be no such text (an empty segment;
//! in BigQuery a first segment with dots but no colon after them, or a colon in a later segment alone), the search does not go.
//!
//! **Limits.** A question about a union can take time exponential in the number of its patterns. Each search has a
//! [`Budget`], and beyond that the answer is [`Answer::Undecided`], which must be taken for a *no*. A name of more bytes than
//! N2.4 allows is no witness either: if only such names are left, the answer is undecided, too.
//!
//! ```
//! use portcullis_diff::algebra::{Algebra, Answer};
//! use portcullis::name::Dialect;
//! use portcullis::pattern::Pattern;
//!
//! let pattern = |text| Pattern::parse(text, Dialect::Generic);
//! let algebra = Algebra::new(Dialect::Generic);
//! let (wide, narrow) = (pattern("db.*.raw_*")?, pattern("db.sales.raw_*")?);
//! assert_eq!(algebra.covered(&narrow, &[(&wide).into()]), Answer::Yes);
//! let Answer::No(witness) = algebra.covered(&wide, &[(&narrow).into()]) else { panic!() };
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
use search::{Found, Search};

/// The names that one pattern covers, or one name.
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

/// Whether something holds for all names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Yes,
    /// It does not for this name, a shortest one.
    No(Name),
    /// The search was given up: to be taken for a no.
    Undecided,
}

impl Answer {
    /// Whether it is a proven yes.
    pub fn is_yes(&self) -> bool {
        *self == Self::Yes
    }
}

/// How much a search may take before it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Places in patterns that are looked at; some tens of nanoseconds each.
    pub steps: u64,
}

impl Default for Budget {
    /// Two million steps: well below a second.
    fn default() -> Self {
        Self { steps: 2_000_000 }
    }
}

/// What is left of a union when another is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest<'p> {
    /// A part of the union of which something is left.
    pub of: Names<'p>,
    /// What takes something of it away, but not all.
    pub without: Vec<Names<'p>>,
    /// A shortest name that is left; `None` if the search was given up.
    pub witness: Option<Name>,
}

/// Answers for the names of one dialect.
#[derive(Debug, Clone, Copy)]
pub struct Algebra {
    dialect: Dialect,
    budget: Budget,
}

impl Algebra {
    /// With the default budget for each question.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, budget: Budget::default() }
    }

    /// With this budget for each question.
    #[must_use]
    pub fn with_budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// Whether every name of `part` is a name of one of `whole`.
    ///
    /// Where one of `whole` covers all of `part`, linear in their lengths; else a search.
    pub fn covered<'p>(&self, part: impl Into<Names<'p>>, whole: &[Names<'p>]) -> Answer {
        let part = part.into();
        // A star is any character, so only a star covers one: as if it were a character that is written nowhere else.
        if whole.iter().any(|names| covers(names.bytes, part.bytes)) {
            return Answer::Yes;
        }
        match self.search(&[part], whole) {
            Found::Nothing => Answer::Yes,
            Found::Name(name) => Answer::No(name),
            Found::GivenUp => Answer::Undecided,
        }
    }

    /// A shortest name of both; `No` holds it, `Yes` says that they have none in common.
    pub fn disjoint<'p>(&self, one: impl Into<Names<'p>>, other: impl Into<Names<'p>>) -> Answer {
        match self.search(&[one.into(), other.into()], &[]) {
            Found::Nothing => Answer::Yes,
            Found::Name(name) => Answer::No(name),
            Found::GivenUp => Answer::Undecided,
        }
    }

    /// Whether two patterns have a name in common.
    pub fn overlap<'p>(&self, one: impl Into<Names<'p>>, other: impl Into<Names<'p>>) -> bool {
        !self.disjoint(one, other).is_yes()
    }

    /// Whether every name of one of `part` is a name of one of `whole`.
    pub fn all_covered<'p>(&self, part: &[Names<'p>], whole: &[Names<'p>]) -> Answer {
        shortest(part.iter().map(|&names| self.covered(names, whole)))
    }

    /// Whether no name of one of `one` is a name of one of `other`; `No` holds a shortest name of both unions.
    pub fn all_disjoint<'p>(&self, one: &[Names<'p>], other: &[Names<'p>]) -> Answer {
        let pairs = one.iter().flat_map(|&names| other.iter().map(move |&others| (names, others)));
        let near = pairs.filter(|(names, others)| names.may_overlap(others));
        shortest(near.map(|(names, others)| self.disjoint(names, others)))
    }

    /// Whether both unions have the same names; else a shortest name that only one of them has.
    pub fn equivalent<'p>(&self, one: &[Names<'p>], other: &[Names<'p>]) -> Answer {
        shortest([self.all_covered(one, other), self.all_covered(other, one)].into_iter())
    }

    /// What of `from` is in none of `taken`: nothing, where `taken` covers all of it.
    pub fn difference<'p>(&self, from: &[Names<'p>], taken: &[Names<'p>]) -> Vec<Rest<'p>> {
        let rest = |&of: &Names<'p>| {
            let witness = match self.covered(of, taken) {
                Answer::Yes => return None,
                Answer::No(name) => Some(name),
                Answer::Undecided => None,
            };
            let without = taken.iter().copied().filter(|&names| self.overlap(of, names)).collect();
            Some(Rest { of, without, witness })
        };
        from.iter().filter_map(rest).collect()
    }

    /// A shortest name of all of `inside` and of none of `outside`.
    fn search(&self, inside: &[Names<'_>], outside: &[Names<'_>]) -> Found {
        let bytes = |names: &[Names<'_>]| names.iter().map(|names| names.bytes.to_vec()).collect::<Vec<_>>();
        Search::new(self.dialect, &bytes(inside), &bytes(outside)).run(self.budget.steps)
    }
}

/// What several answers come to: the shortest name that one of them holds, of equally short ones the first.
fn shortest(answers: impl Iterator<Item = Answer>) -> Answer {
    let (mut shortest, mut undecided) = (None::<(usize, Name)>, false);
    for answer in answers {
        match answer {
            Answer::Yes => {}
            Answer::Undecided => undecided = true,
            Answer::No(name) => {
                let length = String::from_utf8_lossy(name.as_bytes()).chars().count();
                if shortest.as_ref().is_none_or(|(least, _)| length < *least) {
                    shortest = Some((length, name));
                }
            }
        }
    }
    match (shortest, undecided) {
        (Some((_, name)), _) => Answer::No(name),
        (None, true) => Answer::Undecided,
        (None, false) => Answer::Yes,
    }
}

impl<'p> Names<'p> {
    /// Of a name, or a pattern, in canonical form.
    pub fn of_canonical(bytes: &'p [u8]) -> Self {
        Self { bytes }
    }

    /// As the dialect writes it.
    pub fn display(&self, dialect: Dialect) -> String {
        NameDisplay { bytes: self.bytes.into(), dialect }.to_string()
    }

    /// Whether there may be a name of both: whether neither begins as the other cannot.
    pub fn may_overlap(&self, other: &Self) -> bool {
        let beginning = |names: &Self| names.bytes.iter().position(|&byte| byte == STAR).unwrap_or(names.bytes.len());
        let both = beginning(self).min(beginning(other));
        self.bytes.get(..both) == other.bytes.get(..both)
    }

    /// Whether `name` is one of them.
    pub fn contain(&self, name: &Name) -> bool {
        covers(self.bytes, name.as_bytes())
    }
}
