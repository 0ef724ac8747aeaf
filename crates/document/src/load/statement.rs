//! Recognizes texts that are not SQL, because no statement starts with their first word.

/// The words that start a statement of a warehouse, or of its scripts.
const WORDS: [&str; 96] = [
    "alter",
    "analyze",
    "apply",
    "assert",
    "attach",
    "audit",
    "begin",
    "cache",
    "call",
    "cancel",
    "case",
    "checkpoint",
    "clear",
    "clone",
    "close",
    "cluster",
    "comment",
    "commit",
    "connect",
    "convert",
    "copy",
    "create",
    "deallocate",
    "declare",
    "delete",
    "desc",
    "describe",
    "detach",
    "discard",
    "do",
    "drop",
    "end",
    "exec",
    "execute",
    "explain",
    "export",
    "fetch",
    "flashback",
    "for",
    "from",
    "fsck",
    "generate",
    "get",
    "grant",
    "if",
    "import",
    "insert",
    "let",
    "list",
    "listen",
    "load",
    "lock",
    "loop",
    "ls",
    "merge",
    "move",
    "msck",
    "noaudit",
    "notify",
    "optimize",
    "pivot",
    "prepare",
    "purge",
    "put",
    "raise",
    "reassign",
    "refresh",
    "reindex",
    "release",
    "remove",
    "rename",
    "reorg",
    "repeat",
    "replace",
    "reset",
    "restore",
    "revoke",
    "rm",
    "rollback",
    "savepoint",
    "select",
    "set",
    "show",
    "start",
    "sync",
    "table",
    "truncate",
    "uncache",
    "undrop",
    "unload",
    "unset",
    "update",
    "use",
    "vacuum",
    "values",
    "with",
];

/// Whether a statement may start with the first word of `query`, after white space, comments, opening parentheses and the
/// signs of templates. A text without a word may be a template.
///
/// ```
/// use portcullis_document::load::may_be_statement;
///
/// assert!(may_be_statement("-- shops\n(SELECT 1)") && may_be_statement("{{ query }}"));
/// assert!(!may_be_statement("hello world") && !may_be_statement("a.b"));
/// ```
pub fn may_be_statement(query: &str) -> bool {
    let Some(rest) = after_comments(query) else { return true };
    let is_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '$');
    let word = rest.split(|character| !is_word(character)).next().unwrap_or_default();
    // A template, a parameter or a label: `{{ x }}`, `@x`, `<<x>>`.
    let is_template = rest.starts_with(['{', '@', ':', '%', '&', '<', '$', '|', '\\']);
    is_template || WORDS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Returns the rest of `query` after white space, comments and opening parentheses; `None` if a comment does not end.
fn after_comments(query: &str) -> Option<&str> {
    let mut rest = query;
    loop {
        rest = rest.trim_start_matches(|character: char| character.is_whitespace() || matches!(character, '(' | ';'));
        rest = if rest.starts_with("--") || rest.starts_with('#') {
            rest.split_once('\n')?.1
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/")?.1
        } else {
            return Some(rest);
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{WORDS, may_be_statement};

    #[test]
    fn words_are_sorted() {
        assert!(WORDS.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn only_texts_that_start_no_statement_are_found() {
        for text in [
            "SELECT 1",
            "select\n1",
            "SELECT",
            "((select 1))",
            "/* a */ with x as (select 1) select * from x",
            "# of MySQL and BigQuery\nselect 1",
            "-- a\n-- b\nselect 1",
            "FROM t |> SELECT *",
            "VALUES (1)",
            "TABLE t",
            "CALL p()",
            "EXPLAIN SELECT 1",
            "SHOW TABLES",
            "DECLARE x INT64; SELECT x",
            "{{ query }}",
            "{% if x %}select 1",
            "@{query}",
            "$1",
            "$body$",
            "<<label>> BEGIN END",
            ";select 1",
            "EXECUTE IMMEDIATE 'x'",
            "DESC t",
            "/* open",
            "select\u{2003}1",
        ] {
            assert!(may_be_statement(text), "{text}");
        }
        for text in [
            "hello world",
            "a.b",
            "acme.public.stores",
            "orders",
            "'SELECT 1'",
            "\"select 1\"",
            "* from t",
            "1",
            "selct 1",
            "sélect 1",
            "= 1",
            "`a`.`b`",
        ] {
            assert!(!may_be_statement(text), "{text}");
        }
    }
}
