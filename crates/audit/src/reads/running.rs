//! Finds functions that read tables, files or services which only their arguments name, and objects of other databases.
//!
//! The tree of the parser does not show them in every position: methods and the functions of XML have nodes of their own.
//! The words of the text do.

use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::words::literal;
use portcullis::name::Dialect;

/// Functions that read a table, run a query, or read a file, from their arguments.
const FUNCTIONS: &[&str] = &[
    "addgeometrycolumn",
    "associate_semantic_category_tags",
    "bfilename",
    "build_scoped_file_url",
    "build_stage_file_url",
    "connectby",
    "copytopology",
    "currtid",
    "currtid2",
    "currval",
    "dburitype",
    "dropgeometrycolumn",
    "dropgeometrytable",
    "explain_model",
    "external_query",
    "extract_semantic_categories",
    "find_extent",
    "find_srid",
    "get_ddl",
    "get_presigned_url",
    "get_raw_page",
    "get_stage_location",
    "geturi",
    "httpuritype",
    "lastval",
    "load_extension",
    "load_file",
    "loread",
    "nextval",
    "parse_document",
    "pg_background_launch",
    "pg_prewarm",
    "pg_stat_file",
    "pgrowlocks",
    "populate_geometry_columns",
    "readfile",
    "remote_query",
    "setval",
    "st_estimated_extent",
    "st_estimatedextent",
    "st_find_extent",
    "st_findextent",
    "sys_dburigen",
    "to_file",
    "to_query",
    "totopogeom",
    "ts_rewrite",
    "ts_stat",
    "updategeometrysrid",
    "xdburitype",
    "xpath_table",
];

/// The prefixes of the names of more such functions.
const PREFIXES: &[&str] = &[
    "brin_",
    "bt_",
    "cdb_estimaterowcount",
    "cdb_query",
    "crosstab",
    "cursor_to_xml",
    "database_to_xml",
    "dblink",
    "dictget",
    "gin_",
    "http_",
    "hypopg_",
    "joinget",
    "lo_",
    "pg_file_",
    "pg_get_",
    "pg_logical_",
    "pg_ls_",
    "pg_read_",
    "pg_sequence_",
    "pg_truncate_",
    "pgr_",
    "pgstat",
    "postgres_fdw_",
    "query_to_xml",
    "read_",
    "run_command_on_",
    "schema_to_xml",
    "system$",
    "table_to_xml",
];

/// Functions that run code, call a service or read a secret. In other dialects, these are names that people choose.
const OF_DATABRICKS: &[&str] =
    &["ai_query", "http_request", "java_method", "reflect", "secret", "try_reflect", "try_secret"];

/// Functions that read a file, a model or the definition of a table. In warehouses, these are names that people choose.
const OF_GENERIC: &[&str] = &["catboostevaluate", "evalmlmethod", "file", "getenv", "glob", "hascolumnintable"];

/// The pseudo columns of a sequence.
const SEQUENCE: &[&str] = &["currval", "nextval"];

/// Functions that start like the others, but read nothing.
const HARMLESS: &[&str] = &["system$typeof", "system$wait"];

/// Functions that evaluate a text in `XQuery`.
const XQUERY: &[&str] = &["xmlexists", "xmlquery", "xmltable"];

/// Words of `XQuery` that read something else than the values that are passed to it. Comments may follow them, so their
/// parentheses are not looked for.
const XQUERY_READS: &[&str] = &["collection", "doc", "import", "json", "oradb", "unparsed", "uri", "view"];

/// Returns each call of such a function, such as `query_to_xml()`, each object of another database, such as `f@link()`,
/// and each sequence, such as `orders.nextval`.
pub(super) fn calls(tokens: &[TokenWithSpan], dialect: Dialect) -> Vec<String> {
    let words: Vec<&Token> = tokens.iter().map(|token| &token.token).collect();
    let words: Vec<&Token> = words.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let calls = words.iter().enumerate().filter_map(|(at, word)| {
        let Token::Word(word) = word else { return None };
        if is_remote(word, dialect) {
            return Some(remote(&words, at));
        }
        let reads = match words.get(at + 1..).unwrap_or_default() {
            [Token::LParen, arguments @ ..] => {
                reads(word, arguments, dialect) || (dialect == Dialect::Snowflake && reads_stage(arguments))
            }
            _ if is_sequence(word, at.checked_sub(1).and_then(|before| words.get(before)), dialect) => {
                return Some(path(&words, at));
            }
            _ => false,
        };
        reads.then(|| format!("{}()", path(&words, at)))
    });
    calls.collect()
}

/// Returns the object of another database whose link starts in the word at an index. The domain of the link follows.
fn remote(words: &[&Token], mut at: usize) -> String {
    while let Some([Token::Period, Token::Word(_)]) = words.get(at + 1..at + 3) {
        at += 2;
    }
    let call = if matches!(words.get(at + 1), Some(Token::LParen)) { "()" } else { "" };
    format!("{}{call}", path(words, at))
}

/// Whether a word has the link to another database: `f@link`. The tokenizer reads both as one word.
fn is_remote(word: &Word, dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Oracle | Dialect::Generic)
        && word.quote_style.is_none()
        && word.value.find('@').is_some_and(|at| at > 0)
}

/// Whether a word after a dot reads a sequence.
fn is_sequence(word: &Word, before: Option<&&Token>, dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Oracle | Dialect::Snowflake | Dialect::Generic)
        && matches!(before, Some(Token::Period))
        && SEQUENCE.iter().any(|name| word.value.eq_ignore_ascii_case(name))
}

/// Whether an argument of a function is a stage: `@stage/path`, or a text that starts with a stage.
fn reads_stage(arguments_and_rest: &[&Token]) -> bool {
    let mut depth = 0_usize;
    let mut before = &Token::LParen;
    for token in arguments(arguments_and_rest) {
        let starts = depth == 0 && matches!(before, Token::LParen | Token::Comma | Token::RArrow);
        let is_stage = match token {
            Token::AtSign => starts,
            _ => starts && literal(token).is_some_and(is_stage),
        };
        if is_stage {
            return true;
        }
        match token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = token;
    }
    false
}

/// Whether a text may be the path of a file in a stage.
fn is_stage(text: &str) -> bool {
    let path = text.strip_prefix('@').unwrap_or_default();
    path.starts_with(|first: char| first.is_alphabetic() || matches!(first, '_' | '~' | '%' | '"'))
        && !path.contains(char::is_whitespace)
}

/// Whether a function reads more than its arguments, which start at the first of `rest`.
fn reads(function: &Word, rest: &[&Token], dialect: Dialect) -> bool {
    let name = function.value.to_ascii_lowercase();
    if XQUERY.contains(&&*name) {
        return arguments(rest).filter_map(literal).any(is_reading_xquery);
    }
    let is_known = FUNCTIONS.contains(&&*name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let is_local = matches!(dialect, Dialect::Databricks | Dialect::Generic) && OF_DATABRICKS.contains(&&*name);
    let is_local = is_local || (dialect == Dialect::Generic && OF_GENERIC.contains(&&*name));
    (is_known || is_local) && !HARMLESS.contains(&&*name)
}

/// Returns the tokens before the parenthesis that closes the arguments.
fn arguments<'t>(rest: &[&'t Token]) -> impl Iterator<Item = &'t Token> {
    let mut depth = 0_usize;
    rest.iter().copied().take_while(move |token| {
        match token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return false,
            Token::RParen => depth -= 1,
            _ => {}
        }
        true
    })
}

fn is_reading_xquery(text: &str) -> bool {
    let words = text.split(|character: char| !(character.is_alphanumeric() || character == '_'));
    words.map(str::to_ascii_lowercase).any(|word| XQUERY_READS.contains(&&*word))
}

/// Returns the name whose last word is at an index, as the text writes it.
fn path(words: &[&Token], last: usize) -> String {
    let mut start = last;
    while let Some([Token::Word(_), Token::Period]) = start.checked_sub(2).and_then(|before| words.get(before..start)) {
        start -= 2;
    }
    words.get(start..=last).unwrap_or_default().iter().map(ToString::to_string).collect()
}
