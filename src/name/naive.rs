//! A naive parser of names: the oracle in tests of this module. Decisions do not use it.
//!
//! Each function follows the text of N2, over characters and owned lists. It shares no code with the parser of
//! requests.

use super::Dialect;

/// One character of an identifier, unquoted and folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// An ordinary character.
    Char(char),
    /// A bare `*`: in a pattern, any run of characters.
    Star,
}

/// Returns the segments of the requested name `text`; `None` if it is malformed (N2.4).
pub fn segments(text: &str, dialect: Dialect) -> Option<Vec<String>> {
    let segments = pieces(&without_partition(text, dialect), dialect)?;
    Some(segments.iter().map(|segment| segment.iter().map(|&piece| in_a_name(piece)).collect()).collect())
}

/// Removes the partition decorator from the last segment of a requested name in dialect `bigquery` (N2.8).
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

/// Converts a piece of a name, in which a bare star is an ordinary character (N3.5).
fn in_a_name(piece: Piece) -> char {
    match piece {
        Piece::Char(character) => character,
        Piece::Star => '*',
    }
}

/// Returns the segments of `text` in a grant, with bare stars distinct from quoted ones; `None` if it is malformed
/// (N2.4).
pub fn pieces(text: &str, dialect: Dialect) -> Option<Vec<Vec<Piece>>> {
    if text.len() > 4096 || (dialect == Dialect::BigQuery && text.contains('$')) {
        return None;
    }
    // N2.6: dots before the first colon do not separate segments.
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

/// Parses identifiers that are separated by dots. Returns each with its byte offset.
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

/// Returns the quotes of a dialect (N2.5, second column).
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

/// Parses and folds a bare identifier (N2.2).
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

/// Folds a letter of a bare identifier (N2.5, third column).
fn bare_folded(letter: char, dialect: Dialect) -> Option<char> {
    match dialect {
        Dialect::Generic | Dialect::BigQuery => Some(letter),
        Dialect::Snowflake => Some(letter.to_ascii_uppercase()),
        Dialect::Oracle => one(letter, &letter.to_uppercase().collect::<String>()),
        Dialect::Postgres | Dialect::Redshift | Dialect::RedshiftCaseSensitive => Some(letter.to_ascii_lowercase()),
        Dialect::Databricks => one(letter, &letter.to_lowercase().collect::<String>()),
    }
}

/// Folds a letter of a quoted identifier (N2.5, fourth column).
fn quoted_folded(letter: char, dialect: Dialect) -> Option<char> {
    match dialect {
        Dialect::Redshift => Some(letter.to_ascii_lowercase()),
        Dialect::Databricks => one(letter, &letter.to_lowercase().collect::<String>()),
        _ => Some(letter),
    }
}

/// Returns the only character of `mapping`; `None` if there are several, or if only one of it and `letter` is ASCII.
fn one(letter: char, mapping: &str) -> Option<char> {
    let folded = mapping.chars().next()?;
    (mapping.chars().count() == 1 && folded.is_ascii() == letter.is_ascii()).then_some(folded)
}

/// Identifiers between quotes, each with the offset of its first byte from the opening quote.
type Quoted = Vec<(usize, Vec<Piece>)>;

/// Parses a quoted identifier (N2.3), in `bigquery` one or several, and returns the text after the closing quote.
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
            // A doubled quote is one quote character.
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
