//! Quotes, brackets and blanks that people copy together with a value.

use std::net::Ipv6Addr;

/// Pairs of characters that people and programs write around names and URLs.
pub(crate) const PAIRS: [(char, char); 10] = [
    ('\'', '\''),
    ('"', '"'),
    ('`', '`'),
    ('[', ']'),
    ('(', ')'),
    ('<', '>'),
    ('\u{2018}', '\u{2019}'),
    ('\u{201c}', '\u{201d}'),
    ('\u{201e}', '\u{201c}'),
    ('\u{ab}', '\u{bb}'),
];

/// Whether the character may be around a value without being a part of it.
pub(crate) fn is_around(character: char) -> bool {
    character.is_whitespace() || matches!(character, ';' | ',' | '\u{feff}' | '\u{200b}')
}

/// Returns `text` without the blanks, separators, quotes and pairs of brackets around it: the value that an error proposes.
/// The brackets of an IPv6 address are a part of it.
///
/// ```
/// use portcullis::base::unwrapped;
///
/// assert_eq!(unwrapped(" (https://a.example), "), "https://a.example");
/// assert_eq!(unwrapped("[::1]"), "[::1]");
/// ```
pub fn unwrapped(text: &str) -> &str {
    let mut text = text.trim_matches(is_around);
    while let Some(inner) = PAIRS.iter().find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close)) {
        if inner.parse::<Ipv6Addr>().is_ok() {
            break;
        }
        text = inner.trim_matches(is_around);
    }
    text.trim_matches(['\'', '"', '`'])
}

#[cfg(test)]
mod tests {
    use super::unwrapped;

    #[test]
    fn pairs_blanks_and_separators_are_removed() {
        for (text, want) in [
            ("a", "a"),
            ("", ""),
            (" ", ""),
            ("\"", ""),
            ("()", ""),
            ("(a)", "a"),
            ("<a>", "a"),
            ("[\"a\"]", "a"),
            ("[\"a\",]", "a"),
            ("\u{201c}a\u{201d}", "a"),
            ("\u{ab} a \u{bb}", "a"),
            ("'a", "a"),
            ("a(b)", "a(b)"),
            ("(a)b", "(a)b"),
            ("[::1]", "[::1]"),
            ("([::1])", "[::1]"),
            ("[::1]:80", "[::1]:80"),
            ("\u{feff}a;", "a"),
        ] {
            assert_eq!(unwrapped(text), want, "{text:?}");
        }
    }
}
