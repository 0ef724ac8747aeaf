//! Patterns, and names that they cover or nearly cover.

use portcullis::name::naive::{Piece, segments};
use portcullis::name::{CanonicalName, Dialect, Name, NameBuffer};
use portcullis::pattern::{Pattern, naive};

use super::Parts;
use crate::choices::Choices;
use crate::texts;

/// The maximum number of ways to fill the stars. The naive matcher tries all of them.
const MAX_WAYS: u64 = 100_000;

/// Reads an input: a pattern, a name, and choices for near misses. The choices also generate an empty pattern or name.
pub(crate) fn property(input: &[u8]) {
    let mut parts = Parts::of(input);
    let (pattern, name, edits) = (parts.text(), parts.text(), parts.bytes());
    for dialect in Dialect::ALL {
        let mut choices = Choices::of(edits);
        let pattern = if pattern.is_empty() {
            let segments = 2 + choices.below(3);
            texts::path(&mut choices, dialect, segments, true)
        } else {
            pattern.clone().into_owned()
        };
        let name = if name.is_empty() { texts::filled(&mut choices, &pattern) } else { name.clone().into_owned() };
        check(&pattern, &name, dialect);
        check(&pattern, &texts::near_name(&mut choices, &name, dialect), dialect);
    }
}

/// The parsers and matchers agree on the pattern and the name. Parsing the displayed pattern gives the pattern again.
pub(crate) fn check(text: &str, name: &str, dialect: Dialect) {
    let pattern = Pattern::parse(text, dialect).ok();
    let expected = naive::parse(text, dialect);
    assert_eq!(pattern.is_some(), expected.is_some(), "{dialect} {text:?}");
    let (Some(pattern), Some(expected)) = (pattern, expected) else { return };
    assert_eq!(pattern.segment_count(), expected.len(), "{dialect} {text:?}");
    assert_eq!(pattern.literal_characters(), naive::literal_characters(&expected), "{dialect} {text:?}");
    let written = pattern.display(dialect).to_string();
    let again = Pattern::parse(&written, dialect);
    assert_eq!(again.as_ref(), Ok(&pattern), "{dialect} {text:?} is displayed as {written:?}");

    let (Ok(read), Some(segments)) = (Name::parse(name, dialect), segments(name, dialect)) else { return };
    if ways(&expected, &segments) > MAX_WAYS {
        return;
    }
    let covers = naive::covers(&expected, &segments);
    assert_eq!(pattern.covers(&read), covers, "{dialect} {text:?} {name:?}");
    let mut buffer = NameBuffer::new();
    let read = CanonicalName::read(name, dialect, &mut buffer).unwrap();
    assert_eq!(pattern.covers_canonical(read), covers, "{dialect} {text:?} {name:?}, as requests are read");
}

/// Returns an upper bound for the ways in which the stars of each segment can match its text, summed over the segments.
fn ways(pattern: &[Vec<Piece>], name: &[String]) -> u64 {
    let ways = |(pattern, name): (&Vec<Piece>, &String)| {
        let stars = pattern.iter().filter(|&&piece| piece == Piece::Star).count() as u64;
        let length = name.chars().count() as u64;
        (1..=stars).try_fold(1_u64, |ways, star| Some(ways.checked_mul(length + star)? / star)).unwrap_or(u64::MAX)
    };
    pattern.iter().zip(name).map(ways).fold(0, u64::saturating_add)
}
