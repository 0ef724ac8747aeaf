//! The name of a row, in one piece or in parts.

use crate::name::{Dialect, Fold};

/// A resource's name as a catalog writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrittenName<'a> {
    /// As the connection's dialect writes names.
    Whole(&'a str),
    /// Each part bare, as `INFORMATION_SCHEMA.TABLES` gives it: nothing quoted, nothing to fold.
    Parts {
        /// `table_catalog`, where it is given and not empty.
        catalog: Option<&'a str>,
        /// `table_schema`.
        schema: &'a str,
        /// `table_name`.
        table: &'a str,
    },
}

impl WrittenName<'_> {
    /// Appends the name to `text` as `dialect` writes it, parts quoted where they must be. Linear in its length.
    ///
    /// What no name of the dialect stands for, such as a dot inside a part on BigQuery, becomes a name that is malformed.
    pub fn write(self, dialect: Dialect, text: &mut String) {
        match self {
            Self::Whole(name) => text.push_str(name),
            Self::Parts { catalog, schema, table } => {
                if let Some(part) = catalog {
                    // A domain-scoped project is bare: inside quotes its dots would separate (N2.6).
                    let domain = dialect == Dialect::BigQuery && part.contains(':');
                    if domain {
                        text.push_str(part);
                    } else {
                        write_part(part, dialect, text);
                    }
                    text.push('.');
                }
                write_part(schema, dialect, text);
                text.push('.');
                write_part(table, dialect, text);
            }
        }
    }
}

fn write_part(part: &str, dialect: Dialect, text: &mut String) {
    let fold = dialect.bare_fold();
    let as_it_stands = |byte: u8| (byte.is_ascii_alphanumeric() || byte == b'_') && unfolded(byte, fold);
    if !part.is_empty() && part.bytes().all(as_it_stands) {
        return text.push_str(part);
    }
    let quote = dialect.quote();
    // BigQuery's quotes cannot keep a dot in its part: two of them side by side are no name.
    let splits = dialect == Dialect::BigQuery && part.contains('.');
    text.push(quote);
    for character in part.chars() {
        if character == quote || (splits && character == '.') {
            text.push(character);
        }
        text.push(character);
    }
    text.push(quote);
}

fn unfolded(byte: u8, fold: Fold) -> bool {
    fold.apply(byte) == byte
}
