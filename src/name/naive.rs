//! Names read the slow way, one rule after the other: the oracle of this module. Nothing that decides uses it.
//!
//! Each function is the text of N2, over characters and owned lists; none of it is shared with the reader of requests.

use super::Dialect;

/// One character of an identifier, unquoted and folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The character stands for itself.
    Char(char),
    /// A bare `*`: in a pattern, any run of characters.
    Star,
}

/// The segments of the requested name `text`; `None` where it is malformed (N2.4).
pub fn segments(text: &str, dialect: Dialect) -> Option<Vec<String>> {
    let written = pieces(&without_partition(text, dialect), dialect)?;
    Some(written.iter().map(|segment| segment.iter().map(|&piece| in_a_name(piece)).collect()).collect())
}

/// N2.8: in `bigquery`, a requested name without the partition decorator of its last segment.
fn without_partition(text: &str, dialect: Dialect) -> String {
    let (open, quote) = match text.strip_suffix('`') {
        Some(open) => (open, "`"),
        None => (text, ""),
    };
    match open.rsplit_once('$') {
        Some((table, partition))
            if dialect == Dialect::BigQuery
                && !table.ends_with('`')
                && !partition.is_empty()
                && partition.chars().all(|character| character.is_ascii_alphanumeric() || character == '_') =>
        {
            format!("{table}{quote}")
        }
        _ => text.to_owned(),
    }
}

/// In a name, a bare star is an ordinary character (N3.5).
fn in_a_name(piece: Piece) -> char {
    match piece {
        Piece::Char(character) => character,
        Piece::Star => '*',
    }
}

/// The segments of `text` as a grant writes it, bare stars distinct from quoted ones; `None` where it is malformed (N2.4).
pub fn pieces(text: &str, dialect: Dialect) -> Option<Vec<Vec<Piece>>> {
    if text.len() > 4096 || (dialect == Dialect::BigQuery && text.contains('$')) {
        return None;
    }
    // N2.6: up to the first colon, dots do not separate.
    let project = if dialect == Dialect::BigQuery { text.find(':').unwrap_or(0) } else { 0 };
    let mut segments: Vec<Vec<Piece>> = Vec::new();
    for (start, label) in labels(text, dialect)? {
        match segments.last_mut() {
            Some(first) if start <= project => {
                first.push(Piece::Char('.'));
                first.extend(label);
            }
            _ => segments.push(label),
        }
    }
    if segments.len() > 16 { None } else { Some(segments) }
}

/// Identifiers with a dot between each two of them, and at which byte each begins.
fn labels(text: &str, dialect: Dialect) -> Option<Vec<(usize, Vec<Piece>)>> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        let start = text.len() - rest.len();
        let quote = rest.chars().next().filter(|&first| quotes(dialect).contains(&first));
        rest = if let Some(quote) = quote {
            let (inside, after) = quoted(rest.strip_prefix(quote)?, quote, dialect)?;
            labels.extend(inside.into_iter().map(|(offset, label)| (start + offset, label)));
            after
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (identifier, after) = rest.split_at_checked(end)?;
            labels.push((start, bare(identifier, dialect)?));
            after
        };
        if rest.is_empty() {
            return Some(labels);
        }
        rest = rest.strip_prefix('.')?;
    }
}

/// N2.5, the second column.
fn quotes(dialect: Dialect) -> &'static [char] {
    match dialect {
        Dialect::Generic => &['"', '`'],
        Dialect::BigQuery | Dialect::Databricks => &['`'],
        Dialect::Snowflake
        | Dialect::Oracle
        | Dialect::Postgres
        | Dialect::Redshift
        | Dialect::RedshiftCaseSensitive => &['"'],
    }
}

/// A bare identifier (N2.2), folded.
fn bare(identifier: &str, dialect: Dialect) -> Option<Vec<Piece>> {
    if identifier.is_empty() {
        return None;
    }
    identifier.chars().map(|character| bare_character(character, dialect)).collect()
}

fn bare_character(character: char, dialect: Dialect) -> Option<Piece> {
    match character {
        '*' => Some(Piece::Star),
        '0'..='9' | '_' | '-' | '$' | '#' => Some(Piece::Char(character)),
        ':' if matches!(dialect, Dialect::Generic | Dialect::BigQuery) => Some(Piece::Char(character)),
        'a'..='z' | 'A'..='Z' => bare_folded(character, dialect).map(Piece::Char),
        _ if character.is_ascii() || character.is_whitespace() || character.is_control() => None,
        _ if dialect == Dialect::Snowflake => None,
        _ => bare_folded(character, dialect).map(Piece::Char),
    }
}

/// N2.5, the third column.
fn bare_folded(letter: char, dialect: Dialect) -> Option<char> {
    match dialect {
        Dialect::Generic | Dialect::BigQuery => Some(letter),
        Dialect::Snowflake => Some(letter.to_ascii_uppercase()),
        Dialect::Oracle => one(letter, &letter.to_uppercase().collect::<String>()),
        Dialect::Postgres | Dialect::Redshift | Dialect::RedshiftCaseSensitive => Some(letter.to_ascii_lowercase()),
        Dialect::Databricks => one(letter, &letter.to_lowercase().collect::<String>()),
    }
}

/// N2.5, the fourth column.
fn quoted_folded(letter: char, dialect: Dialect) -> Option<char> {
    match dialect {
        Dialect::Redshift => Some(letter.to_ascii_lowercase()),
        Dialect::Databricks => one(letter, &letter.to_lowercase().collect::<String>()),
        _ => Some(letter),
    }
}

/// The one character of `mapping`, ASCII only where `letter` is.
fn one(letter: char, mapping: &str) -> Option<char> {
    let folded = mapping.chars().next()?;
    (mapping.chars().count() == 1 && folded.is_ascii() == letter.is_ascii()).then_some(folded)
}

/// Identifiers between quotes, each with the offset of its first byte from the opening quote.
type Quoted = Vec<(usize, Vec<Piece>)>;

/// A quoted identifier (N2.3), or in `bigquery` one or several, and the text after the closing quote.
fn quoted(text: &str, quote: char, dialect: Dialect) -> Option<(Quoted, &str)> {
    let bigquery = dialect == Dialect::BigQuery;
    let mut labels = vec![(1, Vec::new())];
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        let doubled = !bigquery && characters.as_str().starts_with(quote);
        if character == quote && !doubled {
            let empty = labels.iter().any(|(_, label)| label.is_empty());
            return if empty { None } else { Some((labels, characters.as_str())) };
        }
        match character {
            // Doubled, it stands for itself.
            _ if character == quote => {
                characters.next();
                labels.last_mut()?.1.push(Piece::Char(quote));
            }
            '.' if bigquery => labels.push((index + 2, Vec::new())),
            '\\' if bigquery => return None,
            _ if character.is_control() => return None,
            _ => labels.last_mut()?.1.push(Piece::Char(quoted_folded(character, dialect)?)),
        }
    }
    None
}
