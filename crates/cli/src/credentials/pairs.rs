//! Connections and sources of the arguments: paired by position, never guessed.

use std::fmt::Write as _;

use portcullis_registry::RegistryError;

use crate::registry::invalid;

/// Pairs each connection with its source. `rest` is what else was typed, for the command that would be right.
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
    // One connection was surely meant for every source; of several, which was is not for us to say.
    let only = connections.first().filter(|first| connections.iter().all(|other| other == *first));
    let mut right = String::from(command);
    for at in 0..connections.len().max(sources.len()) {
        let connection = connections.get(at).or(only).map_or("CONNECTION", |name| name);
        let source = sources.get(at).map_or("SOURCE", |source| source);
        let _ = write!(right, " --connection {} --source {}", word(connection), word(source));
    }
    for (option, value) in rest {
        let _ = write!(right, " --{option} {}", word(value));
    }
    Err(invalid(
        format!(
            "{} and {}: each source needs the connection that it is on, in the same order",
            count(connections.len(), "connection"),
            count(sources.len(), "source")
        ),
        format!("write\n  {right}"),
    ))
}

/// A grant written `connection,source`: the source may hold commas.
pub(super) fn grant(text: &str) -> Result<(String, String), String> {
    match text.split_once(',') {
        Some((connection, source)) if !connection.is_empty() && !source.is_empty() => {
            Ok((connection.to_owned(), source.to_owned()))
        }
        _ => Err("expected a connection, a comma and a source, such as `carto_dw,carto.shared.roads`".to_owned()),
    }
}

/// `text` as a shell takes it for one word. A URL that may hold a password is not repeated.
pub(super) fn word(text: &str) -> String {
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
    fn words_are_quoted_for_a_shell() {
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
    fn a_source_may_hold_commas() {
        assert_eq!(grant("dw,SELECT a, b"), Ok(("dw".to_owned(), "SELECT a, b".to_owned())));
        assert!(["dw", "dw,", ",a.b"].iter().all(|text| grant(text).is_err()));
    }
}
