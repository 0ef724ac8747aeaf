//! Finds the tables that a query reads, from the text of the query.
//!
//! A grant of a query, or of a named source, exposes the tables that the query reads. [`reads`] parses the text in the
//! SQL dialect of the connection and returns every table that a statement names. Tables that a statement only writes are
//! included, because a client that may run it can access them. Names of visible `WITH` queries are not tables. A path
//! that starts with a table's alias is not a table if the dialect unnests arrays by paths.
//!
//! Two readings find the tables:
//!
//! - `visit` visits the tree of the parser. It knows exactly where names of `WITH` queries and aliases are visible.
//! - `words` scans the words of the text. It finds tables that the tree omits, and reads syntax that the parser rejects.
//!   There it returns each name that may be a table, and [`Reads::beyond`] has an entry for the syntax.
//!
//! **Limits.** A name without its database or schema matches every table whose name has this suffix, because only the
//! session of the connection determines the table. A wildcard table of BigQuery matches every table with its prefix.
//! Tables that views and functions read are not included. [`Reads::beyond`] has the names of table functions,
//! procedures, functions that are not built in, and statements that are not queries. A text that neither reading explains is an
//! error with a position: report it.
//!
//! ```
//! use portcullis_audit::reads::reads;
//! use portcullis::name::Dialect;
//!
//! let sql = "WITH recent AS (SELECT * FROM `acme-prod.sales.orders`) SELECT * FROM recent JOIN acme-prod.geo.regions USING (id)";
//! let reads = reads(sql, Dialect::BigQuery)?;
//! let tables: Vec<String> = reads.tables.iter().map(|table| table.display(Dialect::BigQuery)).collect();
//! assert_eq!(tables, ["acme-prod.geo.regions", "acme-prod.sales.orders"]);
//! # Ok::<(), portcullis_audit::reads::Unreadable>(())
//! ```

mod built_in;
mod calls;
mod followed;
mod lexical;
mod links;
mod nesting;
mod relation;
mod running;
mod scope;
#[cfg(test)]
mod tests;
mod visit;
mod words;

pub use calls::Call;
pub use followed::{Followed, GrantIndex, NamedSources, NamedSourcesError, Unfollowed};

use std::ops::ControlFlow;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use sqlparser::ast::{Statement, Visit};
use sqlparser::dialect::{
    BigQueryDialect, DatabricksDialect, Dialect as SqlDialect, GenericDialect, OracleDialect, PostgreSqlDialect,
    RedshiftSqlDialect, SnowflakeDialect,
};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use portcullis::model::GrantSource;
use portcullis::name::{Dialect, Name};
use visit::Visitor;
use words::Certainty;

/// Max words and signs of a query; people do not write longer ones.
pub const MAX_TOKENS: usize = 100_000;

/// Max nesting of parentheses, subqueries and operators.
const MAX_DEPTH: usize = 100;

/// Max nesting of queries in string literals of queries.
const MAX_LITERALS: usize = 3;

/// The stack for the deepest nesting of the parser, and for each word of a long chain of operators, which nests only
/// the tree. The system provides only the pages that are used.
const STACK: usize = 48 << 20;
const STACK_A_TOKEN: usize = 4 << 10;

/// The tables that a query reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reads {
    /// The distinct tables, sorted by name.
    pub tables: Vec<Table>,
    /// The distinct functions, procedures and statements that may read further tables.
    pub beyond: Vec<String>,
}

/// A table, as the query names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Table {
    /// The name: a resource, or the pattern of a wildcard table.
    pub(super) named: GrantSource,
    /// Sources that cover the matching names of a catalog.
    pub(super) sources: Vec<GrantSource>,
}

impl Table {
    /// Returns the table as `dialect` writes it.
    pub fn display(&self, dialect: Dialect) -> String {
        self.named.display(dialect)
    }

    /// Whether the name lacks its database or schema.
    pub fn is_partial(&self) -> bool {
        self.sources.len() > 1
    }

    /// Whether the table may be the one with this name.
    pub fn may_be(&self, name: &Name) -> bool {
        self.sources.iter().any(|source| match source {
            GrantSource::Resource(named) => named == name,
            GrantSource::Pattern(pattern) => pattern.covers(name),
            _ => false,
        })
    }

    /// Returns the resources and patterns that cover the names of a catalog that may be this table.
    pub fn sources(&self) -> &[GrantSource] {
        &self.sources
    }
}

/// The reason why the tables of a query are unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{why}", .at.map_or(String::new(), |(line, column)| format!("line {line}, column {column}: ")))]
pub struct Unreadable {
    /// Line and column in the text, from 1, if known.
    pub at: Option<(u64, u64)>,
    /// The reason.
    pub why: String,
}

/// Returns the tables that the statements of `sql` read.
///
/// Runs on a separate thread with a large stack. About linear in the text: a millisecond for a thousand words.
///
/// # Errors
///
/// Returns an error if the text cannot be parsed, nests deeper than a hundred levels, or has more than [`MAX_TOKENS`]
/// words.
pub fn reads(sql: &str, dialect: Dialect) -> Result<Reads, Unreadable> {
    on_deep_stack(sql.len(), || read(sql, dialect))
}

/// Runs `work` on a thread whose stack is large enough for queries with so many bytes.
fn on_deep_stack<T: Send>(bytes: usize, work: impl FnOnce() -> Result<T, Unreadable> + Send) -> Result<T, Unreadable> {
    let size = STACK + bytes.min(MAX_TOKENS) * STACK_A_TOKEN;
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(size).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| unplaced(format!("no memory to read it: {error}")))?;
        thread.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
    })
}

/// Like [`reads`], on the current stack, which must be large enough.
fn read(sql: &str, dialect: Dialect) -> Result<Reads, Unreadable> {
    read_nested(sql, dialect, 0)
}

/// Like [`read`], for a query that is a string literal in `nesting` other queries.
fn read_nested(sql: &str, dialect: Dialect, nesting: usize) -> Result<Reads, Unreadable> {
    let tokens = tokens(sql, dialect)?;
    if nesting::depth(&tokens, &*spoken(dialect)) > MAX_DEPTH {
        return Err(too_deep());
    }
    let words = words::scan(&tokens, dialect);
    let mut visitor = Visitor::new(dialect, &words.modifiers);
    for call in running::calls(&tokens, dialect) {
        visitor.beyond(call);
    }
    if let Some(what) = lexical::ambiguity(sql, &tokens, dialect) {
        visitor.beyond(what.to_owned());
    }
    match parse(tokens, dialect) {
        Ok(statements) => {
            let ControlFlow::Continue(()) = statements.visit(&mut visitor);
            let certain = words.tables.iter().filter(|candidate| candidate.certainty != Certainty::Unknown);
            certain.for_each(|candidate| visitor.candidate(candidate));
            words.functions.iter().for_each(|call| visitor.call(call));
        }
        Err(Unparsed::Syntax(why)) if words.unclear.is_none() => {
            words.tables.iter().for_each(|candidate| visitor.candidate(candidate));
            words.functions.iter().for_each(|call| visitor.call(call));
            visitor.beyond(match why.at {
                Some((line, column)) => format!("unknown syntax at line {line}, column {column}"),
                None => "unknown syntax at the end".to_owned(),
            });
        }
        Err(Unparsed::Syntax(why) | Unparsed::TooDeep(why)) => return Err(why),
    }
    for query in words.queries {
        if nesting < MAX_LITERALS
            && let Ok(reads) = read_nested(&query, dialect, nesting + 1)
        {
            visitor.add(reads);
        } else {
            visitor.beyond("a query in a string literal".to_owned());
        }
    }
    Ok(visitor.reads())
}

fn tokens(sql: &str, dialect: Dialect) -> Result<Vec<TokenWithSpan>, Unreadable> {
    let spoken = spoken(dialect);
    let tokens = Tokenizer::new(&*spoken, sql).tokenize_with_location();
    let tokens = tokens.map_err(|error| Unreadable {
        at: Some((error.location.line, error.location.column)),
        why: lower(&error.message),
    })?;
    let words = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_))).count();
    if words > MAX_TOKENS {
        return Err(unplaced(format!("it has {words} words and signs: at most {MAX_TOKENS} are read")));
    }
    Ok(links::join(tokens, dialect))
}

/// The reason why the parser rejects a query.
enum Unparsed {
    /// The parser does not know the syntax.
    Syntax(Unreadable),
    /// The query has no statement, or nests too deep.
    TooDeep(Unreadable),
}

fn parse(tokens: Vec<TokenWithSpan>, dialect: Dialect) -> Result<Vec<Statement>, Unparsed> {
    let spoken = spoken(dialect);
    // A parser that panics leaves no state.
    let parsed = panic::catch_unwind(AssertUnwindSafe(|| statements(&*spoken, tokens)));
    let statements = match parsed {
        Ok(Ok(statements)) => statements,
        Ok(Err(ParserError::TokenizerError(message) | ParserError::ParserError(message))) => {
            return Err(Unparsed::Syntax(placed(&message)));
        }
        Ok(Err(ParserError::RecursionLimitExceeded)) => {
            return Err(Unparsed::TooDeep(too_deep()));
        }
        Err(_) => {
            let why = "the parser breaks off at it, which is a mistake of the parser";
            return Err(Unparsed::Syntax(unplaced(why.to_owned())));
        }
    };
    if statements.is_empty() {
        return Err(Unparsed::TooDeep(unplaced("it holds no statement".to_owned())));
    }
    Ok(statements)
}

fn statements(dialect: &dyn SqlDialect, tokens: Vec<TokenWithSpan>) -> Result<Vec<Statement>, ParserError> {
    let mut parser = Parser::new(dialect).with_recursion_limit(MAX_DEPTH).with_tokens_with_locations(tokens);
    if !matches!(&parser.peek_token_ref().token, Token::Word(word) if word.keyword == Keyword::TABLE) {
        return parser.parse_statements();
    }
    // A query that the parser accepts only inside other queries.
    let query = parser.parse_query()?;
    while parser.consume_token(&Token::SemiColon) {}
    if parser.peek_token_ref().token != Token::EOF {
        return parser.expected_ref("end of statement", parser.peek_token_ref());
    }
    Ok(vec![Statement::Query(query)])
}

fn spoken(dialect: Dialect) -> Box<dyn SqlDialect> {
    match dialect {
        Dialect::Generic => Box::new(GenericDialect),
        Dialect::BigQuery => Box::new(BigQueryDialect),
        Dialect::Snowflake => Box::new(SnowflakeDialect),
        Dialect::Oracle => Box::new(OracleDialect),
        Dialect::Postgres => Box::new(PostgreSqlDialect {}),
        Dialect::Redshift | Dialect::RedshiftCaseSensitive => Box::new(RedshiftSqlDialect {}),
        Dialect::Databricks => Box::new(DatabricksDialect),
    }
}

/// Splits a parser error into message and position: `Expected: …, found: … at Line: 1, Column: 8`.
fn placed(message: &str) -> Unreadable {
    let split = message.rsplit_once(" at Line: ").and_then(|(why, place)| {
        let (line, column) = place.split_once(", Column: ")?;
        Some((why, (line.parse().ok()?, column.trim().parse().ok()?)))
    });
    match split {
        Some((why, at)) => Unreadable { at: Some(at), why: lower(why) },
        None => unplaced(lower(message)),
    }
}

fn too_deep() -> Unreadable {
    unplaced(format!("it nests deeper than {MAX_DEPTH} levels"))
}

fn unplaced(why: String) -> Unreadable {
    Unreadable { at: None, why }
}

/// Converts the first letter to lower case, and joins lines.
fn lower(text: &str) -> String {
    let text = text.trim().replace("Expected: ", "expected ").replace("found: ", "found ");
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_lowercase);
    let whole: String = first.chain(characters).collect();
    whole.split_whitespace().collect::<Vec<_>>().join(" ")
}
