//! The number of edits between two texts, and which edit it is.
//!
//! [`base::nearest`](crate::base::nearest) serves suggestions among a few known names: a similarity is enough there.
//! Here the edit itself is reported, texts run to kilobytes, and all comparisons of one explanation share a budget.

/// The difference between two texts: the type of a single edit, or two edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edit {
    /// The first text has one additional character.
    Insertion,
    /// The first text lacks one character.
    Deletion,
    /// One character differs.
    Substitution,
    /// Two adjacent characters are swapped.
    Transposition,
    /// Two edits of any type.
    Two,
}

impl Edit {
    /// Returns the text for "differs by …".
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
    /// The number of character pairs that may still be compared.
    budget: usize,
}

impl Default for Speller {
    fn default() -> Self {
        Self { budget: 1 << 23 }
    }
}

impl Speller {
    /// Returns the edits by which `text` differs from `known`.
    ///
    /// Returns `None` if the texts are equal, if there are too many edits for their length, or if the budget is used
    /// up.
    pub(super) fn edit(&mut self, text: &str, known: &str) -> Option<Edit> {
        let max = max_edits(text.len().min(known.len()));
        if text.len().abs_diff(known.len()) > max * 4 {
            return None;
        }
        let (text, known) = differing(text, known);
        let (text_length, known_length) = (text.chars().count(), known.chars().count());
        if text_length.abs_diff(known_length) > max {
            return None;
        }
        self.budget = self.budget.checked_sub((text_length + 1).saturating_mul(known_length + 1))?;
        match strsim::osa_distance(text, known) {
            1 if max >= 1 => Some(match text_length.cmp(&known_length) {
                std::cmp::Ordering::Greater => Edit::Insertion,
                std::cmp::Ordering::Less => Edit::Deletion,
                // The common prefix and suffix are removed, so only edited characters are left.
                std::cmp::Ordering::Equal if text_length == 1 => Edit::Substitution,
                std::cmp::Ordering::Equal => Edit::Transposition,
            }),
            2 if max >= 2 => Some(Edit::Two),
            _ => None,
        }
    }
}

/// Returns the maximum number of edits for texts of this length. In a short text, a few edits lead to any other text.
const fn max_edits(length: usize) -> usize {
    match length {
        0..3 => 0,
        3..8 => 1,
        _ => 2,
    }
}

/// Removes the common prefix and suffix of both texts, which does not change their distance.
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
    fn edit_classifies_differences_of_two_texts() {
        use Edit::{Deletion, Insertion, Substitution, Transposition, Two};
        for (text, known, want, why) in [
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
            assert_eq!(Speller::default().edit(text, known), want, "{text}, {known}: {why}");
        }
        assert_eq!(Speller { budget: 3 }.edit("demo_tible", "demo_table"), None, "no budget");
    }

    proptest! {
        #[test]
        fn common_prefix_and_suffix_do_not_change_the_distance(a in "[abé]{0,12}", b in "[abé]{0,12}") {
            let (left, right) = differing(&a, &b);
            prop_assert_eq!(strsim::osa_distance(left, right), strsim::osa_distance(&a, &b));
        }
    }
}
