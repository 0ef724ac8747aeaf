//! Measures nesting that the parser follows without a limit.

use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// Returns an upper bound of the depth of brackets, of joins that the parser nests, and of alternatives in row patterns.
///
/// In some dialects, the parser nests `a JOIN b JOIN c ON … ON …`: each join without a condition before the next join is one
/// level. In a row pattern, the parser nests each alternative in the one before.
pub(super) fn depth(tokens: &[TokenWithSpan], dialect: &dyn Dialect) -> usize {
    let nests_joins = !dialect.supports_left_associative_joins_without_parens();
    let (mut brackets, mut deepest, mut joins, mut is_open) = (0_usize, 0, 0_usize, false);
    let (mut has_pattern, mut alternatives) = (false, 0_usize);
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                brackets += 1;
                deepest = deepest.max(brackets);
            }
            Token::RParen | Token::RBracket | Token::RBrace => brackets = brackets.saturating_sub(1),
            Token::Pipe if has_pattern => alternatives += 1,
            Token::Word(word) => match word.keyword {
                Keyword::MATCH_RECOGNIZE => has_pattern = true,
                Keyword::JOIN if nests_joins => {
                    joins += usize::from(is_open);
                    is_open = true;
                }
                Keyword::ON | Keyword::USING => is_open = false,
                _ => {}
            },
            _ => {}
        }
    }
    deepest.max(joins).max(alternatives)
}
