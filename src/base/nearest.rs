//! The name that a misspelt one was probably meant to be.

/// Names that are more alike than this are taken for one another.
const MIN_SIMILARITY: f64 = 0.85;

/// Longer names, in bytes, are not compared.
const MAX_NAME_BYTES: usize = 64;

/// Returns the name of `known` that is most like `name`, if any is like it.
///
/// Letter case, surrounding white space, and the choice of space, `-` or `_` do not count. The similarity is that of
/// Jaro and Winkler. Among names that are equally like `name`, the last is returned.
///
/// ```
/// use portcullis::base::nearest;
///
/// assert_eq!(nearest("Map", ["maps", "sql"]), Some("maps"));
/// assert_eq!(nearest("geocoding", ["maps", "sql"]), None);
/// ```
pub fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let plain = |name: &str| name.trim().to_lowercase().replace([' ', '-'], "_");
    let name = plain(name);
    let alike = known.into_iter().map(|known| (strsim::jaro_winkler(&name, &plain(known)), known));
    let alike = alike.filter(|(similarity, _)| *similarity > MIN_SIMILARITY);
    alike.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn similar_names_are_found_and_others_are_not() {
        let known = ["maps", "sql", "imports", "lds", "Tiles", "data-warehouse"];
        for (name, want) in [
            ("sqll", Some("sql")),
            ("Map", Some("maps")),
            ("import", Some("imports")),
            ("tile", Some("Tiles")),
            ("LDS", Some("lds")),
            (" data warehouse", Some("data-warehouse")),
            ("geocoding", None),
            ("expires", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), want, "{name}");
        }
        assert_eq!(nearest(&"a".repeat(65), [&*"a".repeat(65)]), None);
        assert_eq!(nearest("a", []), None);
    }
}
