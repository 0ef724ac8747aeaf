//! Pairs connections and sources of the arguments by position.

use std::fmt::Write as _;

use portcullis_registry::RegistryError;

use crate::bounds::expected;
use crate::registry::invalid;

/// Pairs each connection with its source.
///
/// Fails if the numbers differ, and suggests a complete command. `rest` has the other options of that command.
pub(super) fn pair(
    connections: &[String],
    sources: &[String],
    command: &str,
    rest: &[(&str, &str)],
) -> Result<Vec<(String, String)>, RegistryError> {
    if connections.len() == sources.len() {
        return Ok(connections.iter().cloned().zip(sources.iter().cloned()).collect());
    }
    let count =
        |count: usize, what: &str| if count == 1 { format!("1 `--{what}`") } else { format!("{count} `--{what}`s") };
    // A single connection is meant for every source. With several, the missing ones are left for the user to name.
    let only = connections.first().filter(|first| connections.iter().all(|other| other == *first));
    let mut suggested = String::from(command);
    for index in 0..connections.len().max(sources.len()) {
        let connection = connections.get(index).or(only).map_or("CONNECTION", |name| name);
        let source = sources.get(index).map_or("SOURCE", |source| source);
        let _ = write!(suggested, " --connection {} --source {}", word(connection), word(source));
    }
    for (option, value) in rest {
        let _ = write!(suggested, " --{option} {}", word(value));
    }
    Err(invalid(
        format!(
            "{} and {}: expected one connection for each source, in the same order",
            count(connections.len(), "connection"),
            count(sources.len(), "source")
        ),
        format!("write\n  {suggested}"),
    ))
}

/// Parses a grant `connection,source`. The source may contain commas.
pub(super) fn grant(text: &str) -> Result<(String, String), String> {
    match text.split_once(',') {
        Some((connection, source)) if !connection.is_empty() && !source.is_empty() => {
            Ok((connection.to_owned(), source.to_owned()))
        }
        _ => Err(expected("a connection, a comma and a source", "carto_dw,carto.shared.roads")),
    }
}

/// Quotes `text` as one word of a shell. A URL that may contain a password becomes `URL`.
pub(crate) fn word(text: &str) -> String {
    if text.contains("://") && text.contains('@') {
        return "URL".to_owned();
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{grant, word};

    #[test]
    fn word_quotes_for_a_shell_and_hides_passwords() {
        for (text, want) in [
            ("a.b", "a.b"),
            ("a.*", "'a.*'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
            ("a b", "'a b'"),
            ("https://a:b@c/", "URL"),
        ] {
            assert_eq!(word(text), want);
        }
    }

    #[test]
    fn grant_accepts_commas_in_source() {
        assert_eq!(grant("dw,SELECT a, b"), Ok(("dw".to_owned(), "SELECT a, b".to_owned())));
        assert!(["dw", "dw,", ",a.b"].iter().all(|text| grant(text).is_err()));
    }
}
