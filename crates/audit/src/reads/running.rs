//! Finds functions that read tables, files or services which only their arguments name.
//!
//! The tree of the parser does not show them in every position: methods and the functions of XML have nodes of their own.
//! The words of the text do.

use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

use super::words::literal;
use portcullis::name::Dialect;

/// Functions that read a table, run a query, or read a file, from their arguments.
const FUNCTIONS: &[&str] = &[
    "bfilename",
    "build_scoped_file_url",
    "build_stage_file_url",
    "bt_metap",
    "bt_multi_page_stats",
    "bt_page_items",
    "bt_page_stats",
    "connectby",
    "dburitype",
    "external_query",
    "find_extent",
    "get_ddl",
    "get_presigned_url",
    "get_raw_page",
    "get_stage_location",
    "geturi",
    "httpuritype",
    "load_extension",
    "load_file",
    "lo_export",
    "lo_get",
    "lo_import",
    "loread",
    "parse_document",
    "pg_background_launch",
    "pg_stat_file",
    "pgrowlocks",
    "readfile",
    "remote_query",
    "st_estimated_extent",
    "st_estimatedextent",
    "st_find_extent",
    "st_findextent",
    "sys_dburigen",
    "to_file",
    "to_query",
    "ts_rewrite",
    "ts_stat",
    "xdburitype",
    "xpath_table",
];

/// The prefixes of the names of more such functions.
const PREFIXES: &[&str] = &[
    "cdb_estimaterowcount",
    "cdb_query",
    "crosstab",
    "cursor_to_xml",
    "database_to_xml",
    "dblink",
    "dictget",
    "joinget",
    "pg_file_",
    "pg_logical_",
    "pg_ls_",
    "pg_read_",
    "pgr_",
    "pgstat",
    "query_to_xml",
    "run_command_on_",
    "schema_to_xml",
    "system$",
    "table_to_xml",
];

/// Functions that run code, call a service or read a secret. In other dialects, these are names that people choose.
const OF_DATABRICKS: &[&str] =
    &["ai_query", "http_request", "java_method", "reflect", "secret", "try_reflect", "try_secret"];

/// Functions that start like the others, but read nothing.
const HARMLESS: &[&str] = &["system$typeof", "system$wait"];

/// Functions that evaluate a text in `XQuery`.
const XQUERY: &[&str] = &["xmlexists", "xmlquery", "xmltable"];

/// Words of `XQuery` that read something else than the values that are passed to it. Comments may follow them, so their
/// parentheses are not looked for.
const XQUERY_READS: &[&str] = &["collection", "doc", "import", "json", "oradb", "unparsed", "uri", "view"];

/// Returns each call of such a function, such as `query_to_xml()`.
pub(super) fn calls(tokens: &[TokenWithSpan], dialect: Dialect) -> Vec<String> {
    let words: Vec<&Token> = tokens.iter().map(|token| &token.token).collect();
    let words: Vec<&Token> = words.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let calls = words.windows(2).enumerate().filter_map(|(at, pair)| match pair {
        [Token::Word(word), Token::LParen] if reads(word, words.get(at + 2..).unwrap_or_default(), dialect) => {
            Some(format!("{}()", path(&words, at)))
        }
        _ => None,
    });
    calls.collect()
}

/// Whether a function reads more than its arguments, which start at the first of `rest`.
fn reads(function: &Word, rest: &[&Token], dialect: Dialect) -> bool {
    let name = function.value.to_ascii_lowercase();
    if XQUERY.contains(&&*name) {
        return arguments(rest).filter_map(literal).any(is_reading_xquery);
    }
    let is_known = FUNCTIONS.contains(&&*name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let is_local = matches!(dialect, Dialect::Databricks | Dialect::Generic) && OF_DATABRICKS.contains(&&*name);
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
