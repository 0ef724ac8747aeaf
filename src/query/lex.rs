//! The part of SQL's lexical rules that all dialects share (N4.3): where quotes and comments begin and end.

use super::is_space;

/// The text is not one that every dialect lexes alike: compare it as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotPlain;

/// A run of white space outside quotes and comments that normal form writes in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fold {
    pub(super) start: usize,
    pub(super) end: usize,
    /// It begins with the line feed that ends a `--` comment, so that a line feed must stay.
    pub(super) after_comment: bool,
}

/// What the byte at hand stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Code,
    Quote(u8),
    LineComment,
    BlockComment,
}

/// The first run to fold at or after `from`, which must stand outside quotes and comments; `None` when the text is
/// plain to its end and nothing is left to fold.
///
/// One pass over the bytes up to the end of the run, so that resuming at each run's end reads each byte once. A text is
/// plain when the calls that walk it to its end all succeed: no sequence that makes it otherwise holds white space, so
/// none is cut by resuming.
pub(super) fn next_fold(text: &str, from: usize) -> Result<Option<Fold>, NotPlain> {
    let mut within = Within::Code;
    let mut at = from;
    while let Some(rest) = text.as_bytes().get(at..) {
        let Some(skip) = rest.iter().position(|byte| matters(*byte)) else { break };
        let rest = rest.get(skip..).unwrap_or_default();
        at += skip;
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
            // The slash belongs to the comment's end, but a `//` is one wherever it stands.
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

/// Whether a byte can begin, end or fold anything.
const fn matters(byte: u8) -> bool {
    is_space(byte) || matches!(byte, b'\\' | b'#' | b'/' | b'\'' | b'"' | b'`' | b'$' | b'-' | b'*')
}

/// Whether a `$` followed by `after` opens a dollar quote in a dialect that has them.
fn opens_dollar_quote(after: &str) -> bool {
    after.chars().next().is_some_and(|next| next.is_alphabetic() || matches!(next, '_' | '$'))
}
