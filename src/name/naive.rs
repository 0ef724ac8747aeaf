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

/// The segments of the name `text`; `None` where it is malformed (N2.4).
pub fn segments(text: &str, dialect: Dialect) -> Option<Vec<String>> {
    let written = pieces(text, dialect)?;
    Some(written.iter().map(|segment| segment.iter().map(|&piece| in_a_name(piece)).collect()).collect())
}

/// In a name, a bare star is an ordinary character (N3.5).
fn in_a_name(piece: Piece) -> char {
    match piece {
        Piece::Char(character) => character,
        Piece::Star => '*',
    }
}

/// The segments of `text`, bare stars told apart from quoted ones; `None` where it is malformed (N2.4).
pub fn pieces(text: &str, dialect: Dialect) -> Option<Vec<Vec<Piece>>> {
    if text.len() > 4096 {
        return None;
    }
    let segments = match domain(text, dialect) {
        Some((first, None)) => vec![domain_segment(first)?],
        Some((first, Some(rest))) => {
            let mut segments = vec![domain_segment(first)?];
            segments.extend(path(rest, dialect, true)?);
            segments
        }
        None => path(text, dialect, dialect == Dialect::Generic)?,
    };
    if segments.len() > 16 { None } else { Some(segments) }
}

/// N2.6: in `bigquery`, where a bare `:` stands before any quote, the first segment runs to the first dot behind it.
fn domain(text: &str, dialect: Dialect) -> Option<(&str, Option<&str>)> {
    if dialect != Dialect::BigQuery {
        return None;
    }
    let unquoted = text.split('`').next()?;
    let colon = unquoted.find(':')?;
    let (before, behind) = text.split_at_checked(colon)?;
    match behind.split_once('.') {
        None => Some((text, None)),
        Some((to_the_dot, rest)) => Some((text.get(..before.len() + to_the_dot.len())?, Some(rest))),
    }
}

/// A first segment with dots of its own: what stands between them is bare, and not empty.
fn domain_segment(text: &str) -> Option<Vec<Piece>> {
    let mut segment = Vec::new();
    for (index, label) in text.split('.').enumerate() {
        if index > 0 {
            segment.push(Piece::Char('.'));
        }
        segment.extend(bare(label, Dialect::BigQuery, true)?);
    }
    Some(segment)
}

/// Identifiers with a dot between each two of them.
fn path(text: &str, dialect: Dialect, colons: bool) -> Option<Vec<Vec<Piece>>> {
    let mut segments = Vec::new();
    let mut rest = text;
    loop {
        let quote = rest.chars().next().filter(|&first| quotes(dialect).contains(&first));
        rest = if let Some(quote) = quote {
            let (inside, behind) = quoted(rest.strip_prefix(quote)?, quote, dialect)?;
            segments.extend(inside);
            behind
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (identifier, behind) = rest.split_at_checked(end)?;
            segments.push(bare(identifier, dialect, colons)?);
            behind
        };
        if rest.is_empty() {
            return Some(segments);
        }
        rest = rest.strip_prefix('.')?;
    }
}

/// N2.5, the second column.
fn quotes(dialect: Dialect) -> &'static [char] {
    match dialect {
        Dialect::Generic => &['"', '`'],
        Dialect::BigQuery | Dialect::Databricks => &['`'],
        Dialect::Snowflake | Dialect::Oracle | Dialect::Postgres | Dialect::Redshift => &['"'],
    }
}

/// A bare identifier (N2.2), folded.
fn bare(identifier: &str, dialect: Dialect, colons: bool) -> Option<Vec<Piece>> {
    if identifier.is_empty() {
        return None;
    }
    identifier.chars().map(|character| bare_character(character, dialect, colons)).collect()
}

fn bare_character(character: char, dialect: Dialect, colons: bool) -> Option<Piece> {
    match character {
        '*' => Some(Piece::Star),
        'a'..='z' | 'A'..='Z' => Some(Piece::Char(folded(character, dialect))),
        '0'..='9' | '_' | '-' | '$' | '#' => Some(Piece::Char(character)),
        ':' if colons => Some(Piece::Char(character)),
        _ if character.is_ascii() || character.is_whitespace() || character.is_control() => None,
        _ => Some(Piece::Char(character)),
    }
}

/// N2.5, the third column.
fn folded(letter: char, dialect: Dialect) -> char {
    match dialect {
        Dialect::Generic | Dialect::BigQuery => letter,
        Dialect::Snowflake | Dialect::Oracle => letter.to_ascii_uppercase(),
        Dialect::Postgres | Dialect::Redshift | Dialect::Databricks => letter.to_ascii_lowercase(),
    }
}

/// A quoted identifier (N2.3), or in `bigquery` one or several: its segments, and what stands behind the closing quote.
fn quoted(text: &str, quote: char, dialect: Dialect) -> Option<(Vec<Vec<Piece>>, &str)> {
    let bigquery = dialect == Dialect::BigQuery;
    let mut segments = vec![Vec::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let doubled = !bigquery && characters.as_str().starts_with(quote);
        if character == quote && !doubled {
            let empty = segments.iter().any(Vec::is_empty);
            return if empty { None } else { Some((segments, characters.as_str())) };
        }
        match character {
            // Doubled, it stands for itself.
            _ if character == quote => {
                characters.next();
                segments.last_mut()?.push(Piece::Char(quote));
            }
            '.' if bigquery => segments.push(Vec::new()),
            '\\' if bigquery => return None,
            _ if character.is_control() => return None,
            _ => {
                let folded = if dialect == Dialect::Databricks { character.to_ascii_lowercase() } else { character };
                segments.last_mut()?.push(Piece::Char(folded));
            }
        }
    }
    None
}
