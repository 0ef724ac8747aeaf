//! Joins names with their links to other databases.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use portcullis::name::Dialect;

/// Joins each name and its link to one word: `"T"@link`, `t@"LINK"`, `t @ link`. The tokenizer itself joins bare names
/// without white space. Returns other tokens unchanged. Linear in their number.
pub(super) fn join(tokens: Vec<TokenWithSpan>, dialect: Dialect) -> Vec<TokenWithSpan> {
    if !matches!(dialect, Dialect::Oracle | Dialect::Generic) {
        return tokens;
    }
    let mut joined: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for token in tokens {
        let start = match &token.token {
            Token::Word(word) => linked(word, &joined, dialect),
            _ => None,
        };
        match start.and_then(|start| Some((start, joined.get(start)?.span.start))) {
            None => joined.push(token),
            Some((start, begins)) => {
                let parts = joined.drain(start..).chain([token.clone()]).map(|part| part.token);
                let parts = parts.filter(|part| !matches!(part, Token::Whitespace(_)));
                let value = parts.map(|part| part.to_string()).collect();
                let word = Word { value, quote_style: None, keyword: Keyword::NoKeyword };
                joined.push(TokenWithSpan::new(Token::Word(word), Span::new(begins, token.span.end)));
            }
        }
    }
    joined
}

/// Returns the index of the name whose link is `word`, with or without the sign before it.
fn linked(word: &Word, before: &[TokenWithSpan], dialect: Dialect) -> Option<usize> {
    // In other databases than Oracle, a sign between white space may be an operator or a stage.
    let is_skipped = |token: &Token| dialect == Dialect::Oracle && matches!(token, Token::Whitespace(_));
    let mut before = before.iter().map(|token| &token.token).enumerate().rev().filter(|(_, token)| !is_skipped(token));
    match before.next()? {
        (at, Token::Word(name)) => {
            let has_sign = name.quote_style.is_none() && name.value.len() > 1 && name.value.ends_with('@');
            let is_sign = word.quote_style.is_none() && word.value.starts_with('@') && name.quote_style.is_some();
            (has_sign || is_sign).then_some(at)
        }
        (_, Token::AtSign) => match before.next()? {
            (at, Token::Word(name)) => (name.quote_style.is_some() || name.keyword == Keyword::NoKeyword).then_some(at),
            _ => None,
        },
        _ => None,
    }
}
