//! A naive matcher of patterns: the recursive definition of N3, for tests. Decisions do not use it.

use crate::name::Dialect;
use crate::name::naive::{Piece, pieces};

/// Returns the segments of the pattern `text`; `None` if N3.3 rejects it.
pub fn parse(text: &str, dialect: Dialect) -> Option<Vec<Vec<Piece>>> {
    let segments = pieces(text, dialect)?;
    let star = segments.iter().any(|segment| segment.contains(&Piece::Star));
    let adjacent = segments.iter().any(|segment| segment.windows(2).any(|pair| pair == [Piece::Star, Piece::Star]));
    if star && !adjacent && segments.len() >= 2 { Some(segments) } else { None }
}

/// Returns whether the pattern covers the name: all segments match, and both have equally many (N3.1, N3.2).
pub fn covers(pattern: &[Vec<Piece>], name: &[String]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([segment, pattern @ ..], [text, name @ ..]) => {
            let text: Vec<char> = text.chars().collect();
            segment_covers(segment, &text) && covers(pattern, name)
        }
        _ => false,
    }
}

/// Returns whether a segment of a pattern covers a segment of a name. A star matches nothing, or one character followed
/// by any run.
fn segment_covers(segment: &[Piece], text: &[char]) -> bool {
    match (segment, text) {
        ([], []) => true,
        ([Piece::Star, tail @ ..], []) => segment_covers(tail, text),
        ([Piece::Star, tail @ ..], [_, rest @ ..]) => segment_covers(tail, text) || segment_covers(segment, rest),
        ([Piece::Char(expected), tail @ ..], [found, rest @ ..]) => expected == found && segment_covers(tail, rest),
        _ => false,
    }
}

/// Returns the number of literal characters of a pattern. A pattern with more is more specific (N10).
pub fn literal_characters(pattern: &[Vec<Piece>]) -> usize {
    pattern.iter().flatten().filter(|&&piece| piece != Piece::Star).count()
}
