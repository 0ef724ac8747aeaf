//! Text of a document in a message, and the known name that was probably meant.

use std::fmt::Write;

/// Names that are more alike than this are taken for one another.
const ALIKE: f64 = 0.8;

/// Longer names are not compared.
const LONGEST_NAME: usize = 64;

/// How many characters of a text a message repeats.
const EXCERPT: usize = 80;

/// `text` in backticks, on one line, cut off where it is long.
pub(super) fn quoted(text: &str) -> String {
    let mut shown = String::from("`");
    let mut characters = text.chars();
    for character in characters.by_ref().take(EXCERPT) {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.push_str(if characters.next().is_some() { "…`" } else { "`" });
    shown
}

/// `names`, each in backticks.
pub(super) fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().fold(String::new(), |mut all, name| {
        let comma = if all.is_empty() { "" } else { ", " };
        let _ = write!(all, "{comma}{}", quoted(name));
        all
    })
}

/// The name of `known` that `name` was probably meant to be.
pub(super) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let name = name.trim().to_lowercase().replace([' ', '-'], "_");
    let alike = known.into_iter().map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), known));
    alike.filter(|(likeness, _)| *likeness > ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, known)| known)
}

/// What to write instead of `name`: the nearest of `known`, else any of them.
pub(super) fn one_of<'n>(name: &str, known: impl IntoIterator<Item = &'n str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(nearest) => format!("did you mean {}?", quoted(nearest)),
        None => format!("write one of {}", list(known)),
    }
}

#[cfg(test)]
mod tests {
    use super::{nearest, one_of, quoted};

    #[test]
    fn text_is_shown_on_one_line() {
        for (text, want) in [
            ("a", "`a`".to_owned()),
            ("a\nb\u{0}", "`a\\nb\\u{0}`".to_owned()),
            (&"é".repeat(80), format!("`{}`", "é".repeat(80))),
            (&"é".repeat(81), format!("`{}…`", "é".repeat(80))),
        ] {
            assert_eq!(quoted(text), want);
        }
    }

    #[test]
    fn near_names() {
        let known = ["maps", "sql", "imports", "lds", "Tiles"];
        for (name, want) in [
            ("sqll", Some("sql")),
            ("Map", Some("maps")),
            ("import", Some("imports")),
            ("tile", Some("Tiles")),
            ("LDS", Some("lds")),
            ("geocoding", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), want, "{name}");
        }
        assert_eq!(one_of("x", ["a", "b"]), "write one of `a`, `b`");
    }
}
