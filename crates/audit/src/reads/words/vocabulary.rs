//! The words that tell a scan where the tables of a query are.

use sqlparser::keywords::Keyword::{
    self, ALL, ANALYZE, AND, APPLY, AS, ASC, ASOF, BETWEEN, BY, CACHE, COLLATE, CONCURRENTLY, CONNECT, COPY, CROSS,
    DELETE, DESC, DESCRIBE, DISTINCT, ELSE, END, EXCEPT, EXECUTE, EXISTS, EXPLAIN, EXTENDED, FETCH, FOR, FORMATTED,
    FROM, FULL, GROUP, HAVING, IF, IN, INNER, INSERT, INTERSECT, INTO, IS, JOIN, LATERAL, LEFT, LIKE, LIMIT, LOCK,
    MATERIALIZED, MERGE, MINUS, NAME, NATURAL, NOT, NULLS, OF, OFFSET, ON, ONLY, OPTIMIZE, OR, ORDER, OUTER, OVERWRITE,
    PIVOT, QUALIFY, REFRESH, RETURNING, RIGHT, SAMPLE, SELECT, SET, START, TABLE, TABLESAMPLE, TEMP, TEMPORARY, THEN,
    TRUNCATE, UNION, UNLOGGED, UNPIVOT, UPDATE, USING, VACUUM, VALUES, VERBOSE, VIEW, WHEN, WHERE, WINDOW, WITH,
};
use sqlparser::tokenizer::{Token, Word};

/// The first words of the statements that the scan knows.
const STATEMENTS: &[&str] = &[
    "alter", "analyze", "apply", "begin", "cache", "call", "cluster", "comment", "copy", "create", "declare", "delete",
    "desc", "describe", "do", "drop", "execute", "explain", "export", "for", "from", "if", "import", "insert", "let",
    "load", "lock", "loop", "merge", "optimize", "prepare", "refresh", "reindex", "repeat", "replace", "restore",
    "return", "select", "set", "show", "table", "truncate", "uncache", "undrop", "unload", "update", "vacuum",
    "values", "while", "with",
];

/// Words that cannot be the first word of a table after `TABLE`, `UPDATE` and similar words.
pub(super) const NEVER_TABLE: &[Keyword] =
    &[ALL, AND, AS, BY, FROM, INTO, OF, ON, OR, SELECT, SET, TABLE, USING, VALUES, WHEN, WHERE, WITH];

/// Words that follow a column: `TABLE` before them is the name of the column.
pub(super) const AFTER_COLUMN: &[Keyword] = &[
    ASC, BETWEEN, COLLATE, CROSS, DESC, ELSE, END, EXCEPT, FULL, GROUP, HAVING, IN, INNER, INTERSECT, IS, JOIN, LEFT,
    LIKE, LIMIT, MINUS, NATURAL, NOT, NULLS, OFFSET, ORDER, QUALIFY, RIGHT, THEN, UNION,
];

/// Words that an expression, a name or a clause must follow.
pub(super) const NEVER_LAST: &[Keyword] = &[AND, BY, FROM, INTO, JOIN, ON, OR, SELECT, SET, UNION, USING, WHERE, WITH];

/// Words that may follow the name of a table.
pub(super) const ENDS_TABLE: &[Keyword] = &[
    APPLY,
    AS,
    ASOF,
    CONNECT,
    CROSS,
    EXCEPT,
    FETCH,
    FOR,
    FROM,
    FULL,
    GROUP,
    HAVING,
    INNER,
    INTERSECT,
    JOIN,
    LEFT,
    LIMIT,
    MINUS,
    NATURAL,
    OFFSET,
    ON,
    ORDER,
    PIVOT,
    QUALIFY,
    RETURNING,
    RIGHT,
    SAMPLE,
    SELECT,
    SET,
    START,
    TABLESAMPLE,
    UNION,
    UNPIVOT,
    USING,
    VALUES,
    WHEN,
    WHERE,
    WINDOW,
    WITH,
];

/// Words between a word that precedes tables and the name.
pub(super) const MODIFIERS: &[Keyword] = &[
    CONCURRENTLY,
    EXISTS,
    EXTENDED,
    FORMATTED,
    IF,
    INTO,
    LATERAL,
    MATERIALIZED,
    NOT,
    ONLY,
    OUTER,
    OVERWRITE,
    TABLE,
    TEMP,
    TEMPORARY,
    UNLOGGED,
    VERBOSE,
    VIEW,
];

/// The first words of queries after `AS`, and `AS OF`: what follows is not an alias.
pub(super) const NEVER_ALIAS: &[Keyword] =
    &[DELETE, EXECUTE, FROM, INSERT, MERGE, OF, SELECT, TABLE, UPDATE, VALUES, WITH];

/// Words after which `TABLE name` is a query.
pub(super) const BEFORE_QUERY: &[Keyword] =
    &[ALL, ANALYZE, AS, DISTINCT, EXCEPT, EXPLAIN, INTERSECT, MINUS, NAME, UNION, VERBOSE];

/// Words that start the clauses of a query, in which names are columns. No comma of these clauses separates tables.
pub(super) const CLAUSES: &[Keyword] = &[FETCH, HAVING, LIMIT, OFFSET, QUALIFY, VALUES, WHERE];

/// Statements that name tables without a further word.
pub(super) const NAMING_STATEMENTS: &[Keyword] =
    &[ANALYZE, CACHE, COPY, DESC, DESCRIBE, LOCK, OPTIMIZE, REFRESH, TRUNCATE, VACUUM];

/// The first words of statements that describe a table, and that some warehouses accept in the position of a table.
pub(super) const DESCRIBING: &[&str] = &["desc", "describe", "show", "summarize"];

/// The meaning of a string literal that is the first argument of a function or statement.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    /// A query.
    Query,
    /// A table.
    Table,
    /// A table, if the call is in the position of a table.
    Identifier,
    /// A value.
    Value,
}

/// Returns the meaning of a string literal in parentheses after a word.
pub(super) fn argument(word: &Word) -> Argument {
    match word.value.to_ascii_lowercase().as_str() {
        "unload" | "query_to_xml" | "query_to_xml_and_xmlschema" | "query_to_xmlschema" | "ts_stat" | "crosstab" => {
            Argument::Query
        }
        "table_changes" | "table_to_xml" | "table_to_xml_and_xmlschema" => Argument::Table,
        "identifier" | "table" => Argument::Identifier,
        _ => Argument::Value,
    }
}

/// Whether a statement that the scan knows starts with a word.
pub(super) fn starts_statement(word: &Word) -> bool {
    STATEMENTS.iter().any(|known| word.value.eq_ignore_ascii_case(known))
}

/// Returns the text of a string literal.
pub(in crate::reads) fn literal(token: &Token) -> Option<&str> {
    match token {
        Token::SingleQuotedString(text)
        | Token::DoubleQuotedString(text)
        | Token::TripleSingleQuotedString(text)
        | Token::TripleDoubleQuotedString(text)
        | Token::SingleQuotedRawStringLiteral(text)
        | Token::DoubleQuotedRawStringLiteral(text)
        | Token::TripleSingleQuotedRawStringLiteral(text)
        | Token::TripleDoubleQuotedRawStringLiteral(text)
        | Token::NationalStringLiteral(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text) => Some(text),
        Token::DollarQuotedString(text) => Some(&text.value),
        Token::QuoteDelimitedStringLiteral(text) | Token::NationalQuoteDelimitedStringLiteral(text) => {
            Some(&text.value)
        }
        _ => None,
    }
}

/// Whether a name follows a word, and is not a table.
pub(super) fn is_prefix(word: Option<&Word>) -> bool {
    const PREFIXES: &[&str] = &["agent", "connection", "graph", "model", "scn"];
    word.is_some_and(|word| PREFIXES.iter().any(|known| word.value.eq_ignore_ascii_case(known)))
}

/// Whether the first argument of a function is a table.
pub(super) fn reads_argument(function: &Word) -> bool {
    const FUNCTIONS: &[&str] = &["containers", "semantic_view", "shards"];
    FUNCTIONS.iter().any(|known| function.value.eq_ignore_ascii_case(known))
}

/// Whether a word after a table or column belongs to a clause, although it is not a keyword of the parser.
pub(super) fn is_syntax(word: Option<&Word>) -> bool {
    const SYNTAX: &[&str] = &["directed", "siblings", "wait"];
    word.is_some_and(|word| SYNTAX.iter().any(|known| word.value.eq_ignore_ascii_case(known)))
}
