//! URLs without the marks that texts put around them: `<https://a.example>`, `(https://a.example).`, `"https://a.example"`.

use portcullis::name::is_typographic_quote;

/// Returns `text` without quotes, brackets and punctuation around it.
///
/// The brackets of an IPv6 address stay.
pub(crate) fn bare(text: &str) -> &str {
    let is_quote = |character: char| {
        matches!(character, '"' | '\'' | '`' | '\u{ab}' | '\u{bb}' | '\u{2039}' | '\u{203a}')
            || is_typographic_quote(character)
    };
    let is_url = text.contains("://");
    let is_start = |character: char| {
        is_quote(character)
            || character.is_whitespace()
            || matches!(character, '<' | '(' | '{')
            || (character == '[' && is_url)
    };
    let is_end = |character: char| {
        is_quote(character) || character.is_whitespace() || matches!(character, '>' | ')' | '}' | ',' | ';')
    };
    let trimmed = text.trim();
    let bare = text.trim_start_matches(is_start).trim_end_matches(is_end);
    // A full stop or a bracket ends the URL only if something before the URL was removed.
    let is_wrapped = !trimmed.starts_with(bare);
    let is_end_of_wrapped = |character: char| is_end(character) || matches!(character, '.' | ']' | '!' | '?');
    if is_wrapped && is_url { bare.trim_end_matches(is_end_of_wrapped) } else { bare }
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn marks_around_a_url_are_removed() {
        for text in [
            "(https://a.com)",
            "(https://a.com).",
            "<https://a.com>",
            "\"https://a.com\"",
            "'https://a.com'",
            "`https://a.com`",
            "\u{2018}https://a.com\u{2019}",
            "\u{201c}https://a.com\u{201d}",
            "\u{201e}https://a.com\u{201c}",
            "\u{ab}https://a.com\u{bb}",
            "[https://a.com]",
            "{https://a.com}",
            "https://a.com,",
            "https://a.com)",
            " https://a.com ",
            "\"<https://a.com>\",",
        ] {
            assert_eq!(bare(text), "https://a.com", "{text}");
        }
        for text in ["https://a.com", "https://a.com.", "https://[::1]", "[::1]:3000", "a.com", ""] {
            assert_eq!(bare(text), text);
        }
    }
}
