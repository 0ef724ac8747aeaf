//! The name of a row: complete, or in parts.

use portcullis::name::{Dialect, Fold};

/// The name of a resource, as a catalog writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenName<'a> {
    /// A complete name in the dialect of the connection.
    Whole(&'a str),
    /// The parts of a name as in `INFORMATION_SCHEMA.TABLES`: neither quoted nor to be folded.
    Parts {
        /// `table_catalog`, if present and not empty.
        catalog: Option<&'a str>,
        /// `table_schema`.
        schema: &'a str,
        /// `table_name`.
        table: &'a str,
        /// Whether a tool will write the parts without quotes where the dialect folds bare names to upper case. `dbt`
        /// does.
        unquoted: bool,
    },
}

impl WrittenName<'_> {
    /// Appends the name to `text` in `dialect`, with quotes where required. Linear in the length of the name.
    ///
    /// Parts that no name of the dialect can have, such as an inner dot in BigQuery, become a malformed name.
    pub fn write(self, dialect: Dialect, text: &mut String) {
        match self {
            Self::Whole(name) => text.push_str(name),
            Self::Parts { catalog, schema, table, unquoted } => {
                let parts = catalog.into_iter().chain([schema, table]);
                let is_bare = unquoted && dialect.bare_fold().apply_ascii(b'a') == b'A';
                let mut first = None;
                for part in parts {
                    if first.is_some() {
                        text.push('.');
                    }
                    if is_bare && !part.is_empty() && part.bytes().all(is_plain) {
                        text.push_str(part);
                    } else {
                        write_part(part, first, dialect, text);
                    }
                    first = first.or(Some(part));
                }
            }
        }
    }
}

/// Appends `part`; `first` is the first part of the name, or `None` if `part` is the first.
fn write_part(part: &str, first: Option<&str>, dialect: Dialect, text: &mut String) {
    let fold = dialect.bare_fold();
    let as_it_stands = |byte: u8| is_plain(byte) && unfolded(byte, fold);
    if !part.is_empty() && part.bytes().all(as_it_stands) {
        return text.push_str(part);
    }
    let quote = dialect.quote();
    // BigQuery's quotes keep a dot in its part only before the colon of a project (N2.6), and only a project holds one.
    // Two quotes side by side, two dots or a backslash make the name malformed.
    let bigquery = dialect == Dialect::BigQuery;
    let inner = if first.is_none() { part.split_once(':').map_or(part, |(_, rest)| rest) } else { part };
    let dots = bigquery && inner.contains('.');
    let colons = bigquery && first.is_some_and(|first| !first.contains(':'));
    text.push(quote);
    for character in part.chars() {
        match character {
            '.' if dots => text.push('.'),
            ':' if colons => text.push('\\'),
            _ if character == quote => text.push(quote),
            _ => {}
        }
        text.push(character);
    }
    text.push(quote);
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn unfolded(byte: u8, fold: Fold) -> bool {
    fold.apply_ascii(byte) == byte
}
