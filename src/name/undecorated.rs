//! The name that a text with quotes, blanks or other characters around it probably means.

use super::{Dialect, MAX_NAME_BYTES, Name};
use crate::base::{PAIRS, is_around};

/// Whether the character is a quote of a text program: `“`, `’`, `«`, or a mark that looks like one.
///
/// ```
/// use portcullis::name::is_typographic_quote;
///
/// assert!(is_typographic_quote('“') && !is_typographic_quote('"'));
/// ```
pub const fn is_typographic_quote(character: char) -> bool {
    matches!(character,
        '\u{ab}' | '\u{b4}' | '\u{bb}' | '\u{2018}'..='\u{201f}' | '\u{2032}'..='\u{2036}' | '\u{2039}' | '\u{203a}'
        | '\u{300c}'..='\u{300f}' | '\u{301d}'..='\u{301f}' | '\u{ff02}' | '\u{ff07}')
}

/// Whether the character is written for a quote.
const fn is_quote(character: char) -> bool {
    matches!(character, '\'' | '"' | '`' | '[' | ']') || is_typographic_quote(character)
}

/// Returns the valid name that `text` means if it has white space, semicolons or quotes around it, or quotes of
/// another dialect; `None` if there is none. The result is another text than `text`.
///
/// ```
/// use portcullis::name::{Dialect, undecorated};
///
/// assert_eq!(undecorated(" 'a.b'; ", Dialect::Postgres), Some("a.b".to_owned()));
/// assert_eq!(undecorated("\"a\".\"b\"", Dialect::BigQuery), Some("`a`.`b`".to_owned()));
/// assert_eq!(undecorated("a.b", Dialect::Postgres), None);
/// assert_eq!(undecorated("a b", Dialect::Postgres), None);
/// ```
pub fn undecorated(text: &str, dialect: Dialect) -> Option<String> {
    if text.len() > MAX_NAME_BYTES {
        return None;
    }
    let valid = |name: &str| (name != text && Name::parse(name, dialect).is_ok()).then(|| name.to_owned());
    let trimmed = text.trim_matches(is_around);
    let inner = PAIRS.iter().find_map(|(open, close)| {
        let inner = trimmed.strip_prefix(*open)?.strip_suffix(*close)?.trim_matches(is_around);
        (!inner.contains([*open, *close])).then_some(inner)
    });
    let requoted = || trimmed.replace(is_quote, &dialect.quote().to_string());
    valid(trimmed).or_else(|| valid(inner?)).or_else(|| valid(&requoted()))
}

#[cfg(test)]
mod tests {
    use super::{Dialect, undecorated};

    #[test]
    fn decorations_are_removed_only_if_a_name_is_left() {
        use Dialect::{BigQuery, Databricks, Generic, Oracle, Postgres, Snowflake};
        for (text, dialect, name, why) in [
            ("a.b", Postgres, None, "it is a name"),
            ("\"a\".\"b\"", Postgres, None, "it is a name with the quotes of its dialect"),
            (" a.b ", Postgres, Some("a.b"), "blanks around it"),
            ("a.b\n", Postgres, Some("a.b"), "a line break of a file"),
            ("\u{a0}a.b", Postgres, Some("a.b"), "a no-break space of a web page"),
            ("\u{feff}a.b", Postgres, Some("a.b"), "a byte order mark"),
            ("a.b;", Postgres, Some("a.b"), "the end of a statement"),
            ("a.b ; ", Postgres, Some("a.b"), "the end of a statement"),
            ("a.b,", Postgres, Some("a.b"), "an item of a list"),
            ("'a.b'", Postgres, Some("a.b"), "quotes of the shell"),
            ("'\"A\".b'", Postgres, Some("\"A\".b"), "quotes of the shell around those of the dialect"),
            ("`a.b`", Postgres, Some("a.b"), "one pair of another dialect"),
            ("`a`.`b`", Postgres, Some("\"a\".\"b\""), "quotes of another dialect"),
            ("[a].[b]", Postgres, Some("\"a\".\"b\""), "brackets of another database"),
            ("\"a\".\"b\"", BigQuery, Some("`a`.`b`"), "quotes of another dialect"),
            ("\"a\".\"b\"", Databricks, Some("`a`.`b`"), "quotes of another dialect"),
            ("\u{201c}a\u{201d}.\u{201c}b\u{201d}", Postgres, Some("\"a\".\"b\""), "quotes of a text program"),
            ("\u{201c}a.b\u{201d}", Snowflake, Some("a.b"), "one pair of a text program"),
            ("\u{2018}a.b\u{2019}", Oracle, Some("a.b"), "one pair of a text program"),
            ("\u{ab}a\u{bb}.b", Postgres, Some("\"a\".b"), "quotes of another language"),
            ("a.b@link", Oracle, None, "a database link: the table of another database"),
            ("a b.c", Generic, None, "a blank inside"),
            ("'", Postgres, None, "nothing is left"),
            ("", Postgres, None, "nothing"),
            ("..", Postgres, None, "no name"),
        ] {
            assert_eq!(undecorated(text, dialect).as_deref(), name, "{text}: {why}");
        }
    }
}
