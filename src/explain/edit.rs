//! The number of edits between two texts, and which edit it is.
//!
//! [`base::nearest`](crate::base::nearest) serves suggestions among a few known names: a similarity is enough there.
//! Here the edit itself is reported, texts run to kilobytes, and all comparisons of one explanation share a budget.

/// How many edits tell two texts apart, and which if it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edit {
    /// The first text has one character more.
    Insertion,
    /// The first text has one character less.
    Deletion,
    /// One character is another.
    Substitution,
    /// Two neighbours are exchanged.
    Transposition,
    /// Two of these.
    Two,
}

impl Edit {
    /// As in "differs by …".
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Insertion => "an insertion",
            Self::Deletion => "a deletion",
            Self::Substitution => "a substitution",
            Self::Transposition => "a transposition",
            Self::Two => "two edits",
        }
    }

    pub(super) const fn count(self) -> u8 {
        match self {
            Self::Two => 2,
            _ => 1,
        }
    }
}

/// Compares spellings, up to a bounded amount of work.
#[derive(Debug)]
pub(super) struct Speller {
    /// How many pairs of characters may still be compared.
    budget: usize,
}

impl Default for Speller {
    fn default() -> Self {
        Self { budget: 1 << 23 }
    }
}

impl Speller {
    /// By how few edits `asked` differs from `known`; `None` if by none, by too many for texts of their length, or if the
    /// budget is used up.
    pub(super) fn edit(&mut self, asked: &str, known: &str) -> Option<Edit> {
        let most = most_edits(asked.len().min(known.len()));
        if asked.len().abs_diff(known.len()) > most * 4 {
            return None;
        }
        let (asked, known) = differing(asked, known);
        let (asked_length, known_length) = (asked.chars().count(), known.chars().count());
        if asked_length.abs_diff(known_length) > most {
            return None;
        }
        self.budget = self.budget.checked_sub((asked_length + 1).saturating_mul(known_length + 1))?;
        match strsim::osa_distance(asked, known) {
            1 if most >= 1 => Some(match asked_length.cmp(&known_length) {
                std::cmp::Ordering::Greater => Edit::Insertion,
                std::cmp::Ordering::Less => Edit::Deletion,
                // What is left after the common beginning and end is what was edited.
                std::cmp::Ordering::Equal if asked_length == 1 => Edit::Substitution,
                std::cmp::Ordering::Equal => Edit::Transposition,
            }),
            2 if most >= 2 => Some(Edit::Two),
            _ => None,
        }
    }
}

/// In short texts, a few edits make any text of any other.
const fn most_edits(length: usize) -> usize {
    match length {
        0..3 => 0,
        3..8 => 1,
        _ => 2,
    }
}

/// What is left of both without their common beginning and end: their distance is the same.
fn differing<'a, 'b>(a: &'a str, b: &'b str) -> (&'a str, &'b str) {
    let common = |a: &str, b: &str| {
        let pairs = a.chars().zip(b.chars());
        pairs.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum::<usize>()
    };
    let start = common(a, b);
    let (a, b) = (a.get(start..).unwrap_or_default(), b.get(start..).unwrap_or_default());
    let pairs = a.chars().rev().zip(b.chars().rev());
    let end: usize = pairs.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    let shortened = |text: &str| text.len() - end;
    (a.get(..shortened(a)).unwrap_or_default(), b.get(..shortened(b)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edits() {
        use Edit::{Deletion, Insertion, Substitution, Transposition, Two};
        for (asked, known, want, why) in [
            ("demo_table", "demo_table", None, "the same"),
            ("demo_tabel", "demo_table", Some(Transposition), "two neighbours exchanged"),
            ("demo_tablee", "demo_table", Some(Insertion), "one more"),
            ("demo_tble", "demo_table", Some(Deletion), "one less"),
            ("demo_tible", "demo_table", Some(Substitution), "another"),
            ("dmo_tables", "demo_table", Some(Two), "one less and one more"),
            ("dmoo_tables", "demo_table", None, "three"),
            ("demo_tåble", "demo_table", Some(Substitution), "characters, not bytes"),
            ("aab", "ab", None, "too short"),
            ("abc", "abd", Some(Substitution), "just long enough for one"),
            ("abcdefg", "abcdegh", None, "too short for two"),
            ("", "abc", None, "nothing"),
        ] {
            assert_eq!(Speller::default().edit(asked, known), want, "{asked}, {known}: {why}");
        }
        assert_eq!(Speller { budget: 3 }.edit("demo_tible", "demo_table"), None, "no budget");
    }

    proptest! {
        #[test]
        fn what_is_common_does_not_count(a in "[abé]{0,12}", b in "[abé]{0,12}") {
            let (left, right) = differing(&a, &b);
            prop_assert_eq!(strsim::osa_distance(left, right), strsim::osa_distance(&a, &b));
        }
    }
}
