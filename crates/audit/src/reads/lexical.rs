//! Finds text that a warehouse may split into words differently than the tokenizer.

use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use portcullis::name::Dialect;

/// Returns what is read differently, if anything: text after it may be a comment or a string, or the reverse.
pub(super) fn ambiguity(sql: &str, tokens: &[TokenWithSpan], dialect: Dialect) -> Option<&'static str> {
    let escapes_quote = sql.contains("\\'") || sql.contains("\\\"") || sql.contains("\\`");
    let mut before: Option<&TokenWithSpan> = None;
    tokens.iter().find_map(|token| {
        let touched = before.replace(token).filter(|before| before.span.end == token.span.start);
        match &token.token {
            // The documents of the other dialects say whether comments nest.
            Token::Whitespace(Whitespace::MultiLineComment(comment)) if comment.contains("/*") => matches!(
                dialect,
                Dialect::Generic | Dialect::Redshift | Dialect::RedshiftCaseSensitive | Dialect::Snowflake
            )
            .then_some("a comment in a comment"),
            Token::Whitespace(Whitespace::SingleLineComment { prefix, .. })
                if prefix == "#" && dialect == Dialect::Snowflake =>
            {
                Some("a comment that starts with `#`")
            }
            Token::Whitespace(Whitespace::SingleLineComment { comment, .. }) => line_end(comment, dialect),
            _ if !escapes_quote => None,
            // Only some warehouses read the backslash as an escape.
            Token::SingleQuotedString(text) if dialect == Dialect::Generic => {
                (text.ends_with('\\') || text.contains("\\'")).then_some("a backslash before a quote")
            }
            // The tokenizer does not know these raw strings.
            Token::SingleQuotedString(_) | Token::DoubleQuotedString(_) if dialect == Dialect::Databricks => {
                let is_raw = touched.is_some_and(
                    |before| matches!(&before.token, Token::Word(word) if word.value.eq_ignore_ascii_case("r")),
                );
                is_raw.then_some("a backslash before a quote in a raw string")
            }
            // In BigQuery, the quote after the backslash does not end them.
            Token::SingleQuotedRawStringLiteral(text)
            | Token::DoubleQuotedRawStringLiteral(text)
            | Token::TripleSingleQuotedRawStringLiteral(text)
            | Token::TripleDoubleQuotedRawStringLiteral(text) => {
                text.ends_with('\\').then_some("a backslash before a quote in a raw string")
            }
            Token::Word(word) if dialect == Dialect::BigQuery && word.quote_style.is_some() => {
                word.value.ends_with('\\').then_some("a backslash before a quote in a name")
            }
            _ => None,
        }
    })
}

/// Characters at which only some warehouses end a line: the tokenizer ends one at a line feed.
const LINE_ENDS: [char; 6] = ['\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

/// Returns what is read differently if a warehouse ends the comment of a line elsewhere: words may follow the comment, or
/// the next line may belong to it.
fn line_end(comment: &str, dialect: Dialect) -> Option<&'static str> {
    let mut lines = comment.split(LINE_ENDS);
    let _ = lines.next();
    let has_words = |line: &str| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with("--")
    };
    if lines.any(has_words) {
        return Some("a comment with a line end other than a line feed");
    }
    // In Databricks, the comment includes the next line.
    let continues = comment.trim_end_matches('\n').ends_with('\\');
    (continues && matches!(dialect, Dialect::Databricks | Dialect::Generic))
        .then_some("a comment with a backslash at its end")
}
