//! Guesses whether a source without a type is a query (N6.4).

use memchr::{memchr, memmem};

use super::is_space;

/// The words that start a query.
const FIRST_WORDS: [&str; 6] = ["select", "with", "from", "call", "values", "table"];

/// Returns whether `text` looks like a query (N6.4).
///
/// Both must hold after trimming ASCII white space:
///
/// - the text contains ASCII white space;
/// - its first word, after white space, comments and opening parentheses, is one that starts a query, in any letter
///   case.
///
/// A word is a maximal run of ASCII letters and digits, `_`, `$` and non-ASCII characters. A block comment ends at the
/// first `*/`. The result determines the kind of source that the text is read as, not whether the text is well-formed.
///
/// Cost: linear in `text`. Does not allocate.
///
/// ```
/// use portcullis::query::looks_like_query;
///
/// assert!(looks_like_query("-- shops\n(SELECT 1)"));
/// assert!(!looks_like_query("selection of shops"));
/// assert!(!looks_like_query("select"));
/// ```
pub fn looks_like_query(text: &str) -> bool {
    let trimmed = text.as_bytes().trim_ascii();
    if !trimmed.iter().any(|byte| is_space(*byte)) {
        return false;
    }
    let Some(rest) = after_opening(trimmed) else { return false };
    let length = rest.iter().take_while(|byte| is_word(**byte)).count();
    let word = rest.get(..length).unwrap_or_default();
    FIRST_WORDS.iter().any(|first| word.eq_ignore_ascii_case(first.as_bytes()))
}

/// Returns the text after white space, comments and opening parentheses; `None` if a comment does not end.
fn after_opening(text: &[u8]) -> Option<&[u8]> {
    let mut rest = text;
    loop {
        rest = match rest {
            [first, after @ ..] if is_space(*first) || *first == b'(' => after,
            [b'-', b'-', after @ ..] => after.get(memchr(b'\n', after)?..)?,
            [b'/', b'*', after @ ..] => after.get(memmem::find(after, b"*/")? + 2..)?,
            _ => return Some(rest),
        };
    }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::looks_like_query;

    #[test]
    fn queries_are_recognized_by_their_first_word() {
        for (text, want, why) in [
            ("select 1", true, "a query"),
            ("SeLeCt\n1", true, "any case, any white space"),
            ("with a as (select 1) select * from a", true, "with"),
            ("from t select *", true, "from"),
            ("call p()", true, "call"),
            ("values (1)", true, "values"),
            ("table t", true, "table"),
            (" select ", false, "no white space once trimmed"),
            ("select", false, "nor here"),
            ("values(1)", false, "nor here"),
            ("values(1, 2)", true, "white space anywhere"),
            ("(select 1)", true, "an opening parenthesis"),
            ("( ( /* a */ ( -- b\n select(1)", true, "everything that may precede the word"),
            ("/* b */select", true, "white space in a comment counts"),
            ("/* a select 1", false, "a comment without an end"),
            ("-- a select 1", false, "only a comment"),
            ("--\nselect", true, "an empty comment"),
            ("/**/ select", true, "an empty comment"),
            ("/*/ select 1", false, "a comment that only starts"),
            ("/* /* */ select */", true, "the first end is the end"),
            ("/ select 1", false, "no comment"),
            ("- select 1", false, "no comment"),
            ("select1 x", false, "another word"),
            ("select_ x", false, "another word"),
            ("select$ x", false, "another word"),
            ("selecté x", false, "another word"),
            ("é select x", false, "another word"),
            ("\u{a0}select x", false, "a no-break space is a word"),
            ("select\u{a0}x", false, "and not ASCII white space"),
            ("select-1 x", true, "a minus ends a word"),
            ("select\"a\" , b", true, "so does a quote"),
            ("insert into t", false, "not a query"),
            (") select 1", false, "a closing parenthesis"),
            ("; select 1", false, "a semicolon"),
            ("", false, "nothing"),
            ("( )", false, "no word"),
        ] {
            assert_eq!(looks_like_query(text), want, "{text:?}: {why}");
        }
    }
}
