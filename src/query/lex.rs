//! The lexical rules of SQL that all dialects share (N4.3): the start and end of quotes and comments.

use super::is_space;
use super::marks::Marks;

/// The error for a text that dialects tokenize differently. Such a text is compared unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotPlain;

/// A run of white space outside quotes and comments that normal form replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fold {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Whether the run starts with the line feed that ends a `--` comment. A line feed must then stay.
    pub(super) after_comment: bool,
}

/// The lexical context of a byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Code,
    Quote(u8),
    LineComment,
    BlockComment,
}

/// Returns the first run to fold at or after `from`, which must be outside quotes and comments. Returns `None` if the
/// text is plain to its end and nothing is left to fold.
///
/// Takes one pass over the bytes up to the end of the run. Calls that resume at the end of each run read each byte
/// once.
///
/// A text is plain if all calls up to its end succeed. No sequence that makes a text not plain contains white space, so
/// resuming never splits one.
pub(super) fn next_fold(text: &str, from: usize) -> Result<Option<Fold>, NotPlain> {
    let mut marks = Marks::new(text.as_bytes(), from);
    let (mut within, mut at) = (Within::Code, from);
    while let Some(mark) = marks.next_from(at) {
        at = mark;
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        let Some((&byte, after)) = rest.split_first() else { break };
        let (next, third) = (after.first().copied(), after.get(1).copied());
        match byte {
            b'\\' | b'#' => return Err(NotPlain),
            b'/' if next == Some(b'/') => return Err(NotPlain),
            b'\'' | b'"' if next == Some(byte) && third == Some(byte) => return Err(NotPlain),
            b'$' if opens_dollar_quote(text.get(at + 1..).unwrap_or_default()) => return Err(NotPlain),
            _ => {}
        }
        let after_comment = within == Within::LineComment && byte == b'\n';
        if after_comment || (within == Within::Code && is_space(byte)) {
            let run = rest.iter().take_while(|byte| is_space(**byte)).count();
            let normal = if after_comment { b'\n' } else { b' ' };
            if run != 1 || byte != normal {
                return Ok(Some(Fold { start: at, end: at + run, after_comment }));
            }
            within = Within::Code;
            at += 1;
            continue;
        }
        let step;
        (within, step) = match (within, byte) {
            (Within::Code, b'\'' | b'"' | b'`') => (Within::Quote(byte), 1),
            (Within::Code, b'-') if next == Some(b'-') => (Within::LineComment, 2),
            (Within::Code, b'/') if next == Some(b'*') => (Within::BlockComment, 2),
            (Within::Quote(quote), _) if byte == quote => (Within::Code, 1),
            // Some dialects end the comment at a carriage return alone.
            (Within::LineComment, b'\r') if next != Some(b'\n') => return Err(NotPlain),
            // Some dialects nest comments.
            (Within::BlockComment, b'/') if next == Some(b'*') => return Err(NotPlain),
            // The first slash ends the comment, but a `//` makes a text not plain anywhere.
            (Within::BlockComment, b'*') if next == Some(b'/') && third == Some(b'/') => return Err(NotPlain),
            (Within::BlockComment, b'*') if next == Some(b'/') => (Within::Code, 2),
            _ => (within, 1),
        };
        at += step;
    }
    match within {
        Within::Code | Within::LineComment => Ok(None),
        Within::Quote(_) | Within::BlockComment => Err(NotPlain),
    }
}

/// Returns whether a `$` followed by `after` opens a dollar quote in dialects that have them.
fn opens_dollar_quote(after: &str) -> bool {
    after.chars().next().is_some_and(|next| next.is_alphabetic() || matches!(next, '_' | '$'))
}
