//! The sources that a text with blanks, lists, wildcards of `LIKE` or quotes of another dialect probably means.

use portcullis::model::{GrantKind, GrantSource, Limits};
use portcullis::name::{Dialect, MAX_NAME_BYTES, Name};

/// Pairs of quotes of identifiers in any database, and of strings.
const QUOTES: [(char, char); 4] = [('"', '"'), ('`', '`'), ('[', ']'), ('\'', '\'')];

/// The max number of sources that one text means.
const MAX_SOURCES: usize = 8;

/// Returns the sources that `text` means, each valid in `dialect` and none of them `text`; empty if that is unclear.
///
/// Never returns all sources: these are granted only by the word of the author.
pub(crate) fn meant(text: &str, dialect: Dialect) -> Vec<String> {
    if text.len() > MAX_NAME_BYTES {
        return Vec::new();
    }
    let trimmed = trim(text);
    [Some(trimmed), unquoted(trimmed)]
        .into_iter()
        .flatten()
        .find_map(|text| all(&items(text), dialect))
        .filter(|sources| !sources.iter().any(|source| source == text))
        .unwrap_or_default()
}

/// Returns the source of each item; `None` unless all items are sources.
fn all(items: &[String], dialect: Dialect) -> Option<Vec<String>> {
    if items.is_empty() || items.len() > MAX_SOURCES {
        return None;
    }
    items.iter().map(|item| source(item, dialect)).collect()
}

/// Splits a list, and expands the braces of a shell.
fn items(text: &str) -> Vec<String> {
    if let Some((before, rest)) = text.split_once('{')
        && let Some((inside, after)) = rest.split_once('}')
    {
        return inside.split(',').map(|item| format!("{before}{}{after}", trim(item))).collect();
    }
    let items = text.split([',', ';', '\n']).map(trim);
    items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Returns the valid source that one item means: its own text, or that of its segments without foreign quotes.
fn source(item: &str, dialect: Dialect) -> Option<String> {
    let path = |item: &str| item.split('.').map(|text| segment(text, dialect)).collect::<Option<Vec<_>>>();
    let candidates = [path(item), unquoted(item).and_then(path)];
    candidates.into_iter().flatten().map(|segments| segments.join(".")).find(|source| is_valid(source, dialect))
}

fn is_valid(source: &str, dialect: Dialect) -> bool {
    let read = GrantSource::guess(source, dialect, &Limits::default());
    read.is_ok_and(|read| matches!(read.kind(), GrantKind::Resource | GrantKind::Pattern | GrantKind::NamedSource))
}

/// Returns a segment without blanks around it, with `*` for `%`, and in no quotes of another dialect.
fn segment(text: &str, dialect: Dialect) -> Option<String> {
    let text = trim(text);
    let Some(inner) = unquoted(text) else {
        return Some(if text.contains('*') { text.to_owned() } else { text.replace("%%", "%").replace('%', "*") });
    };
    let quote = dialect.quote();
    if text.starts_with(quote) {
        return Some(text.to_owned());
    }
    // A star in quotes is not a wildcard in every database.
    if inner.contains('*') {
        return None;
    }
    let is_bare = Name::parse(inner, dialect).is_ok();
    Some(if is_bare { inner.to_owned() } else { format!("{quote}{inner}{quote}") })
}

/// Returns the text inside one pair of quotes around all of `text`.
fn unquoted(text: &str) -> Option<&str> {
    let inner = |(open, close)| text.strip_prefix(open)?.strip_suffix(close);
    let pair = |(open, close): (char, char)| {
        inner((open, close)).filter(|inner| !inner.contains([open, close])).map(trim).filter(|inner| !inner.is_empty())
    };
    QUOTES.into_iter().find_map(pair)
}

/// Returns `text` without blanks, invisible characters and separators around it.
fn trim(text: &str) -> &str {
    text.trim_matches(|found: char| {
        found.is_whitespace() || matches!(found, ';' | ',' | '\u{feff}' | '\u{200b}' | '\u{2060}')
    })
}

#[cfg(test)]
mod tests {
    use super::{is_valid, meant};
    use portcullis::name::Dialect::{self, BigQuery, Databricks, Generic, Postgres, Snowflake};

    #[test]
    fn names_with_leftovers_mean_valid_sources_in_every_dialect() {
        for (text, want, why) in [
            ("a.b.c ", &["a.b.c"][..], "a blank after it"),
            (" a.b.c", &["a.b.c"], "a blank before it"),
            ("a.b.c\n", &["a.b.c"], "a line break"),
            ("a.b.c\u{a0}", &["a.b.c"], "a no-break space"),
            ("\u{3000}a.b.c\t", &["a.b.c"], "wide blanks and tabs"),
            ("a. b .c", &["a.b.c"], "blanks around segments"),
            ("a.b .c_*", &["a.b.c_*"], "a blank in a pattern"),
            ("a.b.%", &["a.b.*"], "the wildcard of `LIKE`"),
            ("a.b.c%", &["a.b.c*"], "the wildcard of `LIKE` after a prefix"),
            ("a.b.%%", &["a.b.*"], "two wildcards of `LIKE`"),
            ("[a].[b].[c]", &["a.b.c"], "brackets"),
            ("'a.b.c'", &["a.b.c"], "a string"),
            ("[a.b.c]", &["a.b.c"], "a list"),
            ("a.b.c;", &["a.b.c"], "the end of a statement"),
            ("a.b.c,", &["a.b.c"], "an item of a list"),
            ("a.b.c, a.b.d", &["a.b.c", "a.b.d"], "a list"),
            ("a.b.c;a.b.d_*", &["a.b.c", "a.b.d_*"], "a list with a pattern"),
            ("a.b.c\na.b.d\n", &["a.b.c", "a.b.d"], "lines"),
            ("a.b.{c,d}", &["a.b.c", "a.b.d"], "braces of a shell"),
            ("a.{b, c}.d", &["a.b.d", "a.c.d"], "braces inside"),
            ("roads_2024 ", &["roads_2024"], "a named source"),
            ("a.b.c", &[], "it is a source"),
            ("%", &[], "never all sources"),
            ("'*'", &[], "never all sources"),
            ("a.b.c; drop table d", &[], "not a list of sources"),
            ("a.b c.d", &[], "a blank inside"),
            ("a..b", &[], "an empty segment"),
            ("", &[], "nothing"),
            (";", &[], "nothing"),
            ("[a].[b*]", &[], "a star in quotes"),
        ] {
            for dialect in Dialect::ALL {
                let found = meant(text, dialect);
                assert_eq!(found, want, "{dialect} {text:?}: {why}");
                assert!(found.iter().all(|source| is_valid(source, dialect)));
            }
        }
    }

    #[test]
    fn quotes_of_another_dialect_are_removed_or_replaced() {
        for (text, dialect, want) in [
            ("`a`.`b`.`c`", Snowflake, "a.b.c"),
            ("`a`.`b`.`c`", Postgres, "a.b.c"),
            ("`a.b.c`", Postgres, "a.b.c"),
            ("\"a\".\"b\".\"c\"", BigQuery, "a.b.c"),
            ("\"a\".\"b\".\"c\"", Databricks, "a.b.c"),
            ("[a].[my table]", Postgres, "a.\"my table\""),
            ("\"A\".\"b\".c ", Snowflake, "\"A\".\"b\".c"),
            ("`a`.\"b\".c ", Generic, "a.\"b\".c"),
            ("\"a.b.c\";", Postgres, "a.b.c"),
        ] {
            assert_eq!(meant(text, dialect), [want], "{dialect} {text:?}");
        }
    }
}
