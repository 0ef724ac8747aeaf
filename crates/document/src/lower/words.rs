//! Lists of names in messages.

use std::fmt::Write;

use portcullis::base::{nearest, quoted};

/// Returns `names`, each in backticks, separated by commas.
pub(crate) fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    names.into_iter().fold(String::new(), |mut all, name| {
        let comma = if all.is_empty() { "" } else { ", " };
        let _ = write!(all, "{comma}{}", quoted(name));
        all
    })
}

/// Returns a help text for the unknown `name`: the nearest of `known`, or else all of them.
pub(super) fn one_of<'n>(name: &str, known: impl IntoIterator<Item = &'n str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(nearest) => format!("did you mean {}?", quoted(nearest)),
        None => format!("write one of {}", list(known)),
    }
}

#[cfg(test)]
mod tests {
    use super::one_of;

    #[test]
    fn help_names_the_nearest_or_all() {
        assert_eq!(one_of("sqll", ["maps", "sql"]), "did you mean `sql`?");
        assert_eq!(one_of("x", ["a", "b"]), "write one of `a`, `b`");
    }
}
