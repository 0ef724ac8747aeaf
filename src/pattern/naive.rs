//! Patterns matched the slow way: the recursive definition of N3. Nothing that decides uses it.

use crate::name::Dialect;
use crate::name::naive::{Piece, pieces};

/// The segments of the pattern `text`; `None` where N3.3 rejects it.
pub fn parse(text: &str, dialect: Dialect) -> Option<Vec<Vec<Piece>>> {
    let segments = pieces(text, dialect)?;
    let star = segments.iter().any(|segment| segment.contains(&Piece::Star));
    let adjacent = segments.iter().any(|segment| segment.windows(2).any(|pair| pair == [Piece::Star, Piece::Star]));
    if star && !adjacent && segments.len() >= 2 { Some(segments) } else { None }
}

/// Whether the pattern covers the name: segment by segment, as many as there are (N3.1, N3.2).
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

/// A star stands for nothing, or for one character and then again for any run.
fn segment_covers(segment: &[Piece], text: &[char]) -> bool {
    match (segment, text) {
        ([], []) => true,
        ([Piece::Star, behind @ ..], []) => segment_covers(behind, text),
        ([Piece::Star, behind @ ..], [_, rest @ ..]) => segment_covers(behind, text) || segment_covers(segment, rest),
        ([Piece::Char(expected), behind @ ..], [found, rest @ ..]) => expected == found && segment_covers(behind, rest),
        _ => false,
    }
}

/// How many characters of a pattern stand for themselves: the more, the more specific it is (N10).
pub fn literal_characters(pattern: &[Vec<Piece>]) -> usize {
    pattern.iter().flatten().filter(|&&piece| piece != Piece::Star).count()
}
