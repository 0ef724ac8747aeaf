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
            Token::Whitespace(Whitespace::SingleLineComment { prefix, .. }) if prefix == "#" => {
                (dialect == Dialect::Snowflake).then_some("a comment that starts with `#`")
            }
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
