//! SQL dialects of data warehouses: quotes and letter case of identifiers (N2.5).

use std::fmt;
use std::str::FromStr;

use crate::base::quoted;

/// The SQL dialect of a connection: the quotes and the letter case folding of identifiers (N2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Dialect {
    /// Any warehouse: `"` and `` ` `` quote, nothing folds. Connections that no document declares have this dialect.
    #[default]
    Generic,
    /// `` ` `` quotes one or several segments, nothing folds, a project may contain a domain (N2.6).
    BigQuery,
    /// `"` quotes, bare ASCII letters fold to upper case.
    Snowflake,
    /// `"` quotes, bare letters fold to upper case.
    Oracle,
    /// `"` quotes, bare ASCII letters fold to lower case.
    Postgres,
    /// `"` quotes, ASCII letters fold to lower case, also inside quotes.
    Redshift,
    /// Redshift with `enable_case_sensitive_identifier`: quoted letters do not fold. A document declares the dialect
    /// `redshift` with `"case_sensitive": true`.
    RedshiftCaseSensitive,
    /// `` ` `` quotes, letters fold to lower case, also inside quotes.
    Databricks,
}

/// The error for a name that is not the name of a dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} is not a dialect: expected one of {}", quoted(found), Dialect::names())]
pub struct DialectError {
    found: Box<str>,
}

/// The letter case folding of an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    /// No letter folds.
    AsWritten,
    /// ASCII letters fold to upper case.
    AsciiUpper,
    /// ASCII letters fold to lower case.
    AsciiLower,
    /// All letters fold to upper case, by Unicode mappings of one character to one character.
    Upper,
    /// All letters fold to lower case, by Unicode mappings of one character to one character.
    Lower,
}

impl Fold {
    /// Folds an ASCII letter. Other ASCII characters do not change.
    pub fn apply_ascii(self, byte: u8) -> u8 {
        match self {
            Self::AsWritten => byte,
            Self::AsciiUpper | Self::Upper => byte.to_ascii_uppercase(),
            Self::AsciiLower | Self::Lower => byte.to_ascii_lowercase(),
        }
    }

    /// Folds a non-ASCII character.
    ///
    /// # Errors
    ///
    /// If the character maps to several characters or to an ASCII character, because two distinct names of the
    /// warehouse could become equal. The error is the mapping.
    pub fn apply(self, character: char) -> Result<char, String> {
        match self {
            Self::AsWritten | Self::AsciiUpper | Self::AsciiLower => Ok(character),
            Self::Upper => one_to_one(character.to_uppercase()),
            Self::Lower => one_to_one(character.to_lowercase()),
        }
    }

    /// Returns whether letters fold to upper case; `None` if they do not fold.
    pub const fn is_upper(self) -> Option<bool> {
        match self {
            Self::AsWritten => None,
            Self::AsciiUpper | Self::Upper => Some(true),
            Self::AsciiLower | Self::Lower => Some(false),
        }
    }
}

fn one_to_one(mut mapping: impl Iterator<Item = char> + Clone) -> Result<char, String> {
    let whole = mapping.clone();
    match (mapping.next(), mapping.next()) {
        (Some(folded), None) if !folded.is_ascii() => Ok(folded),
        _ => Err(whole.collect()),
    }
}

impl Dialect {
    /// Every dialect, in the order of N2.5.
    pub const ALL: [Self; 8] = [
        Self::Generic,
        Self::BigQuery,
        Self::Snowflake,
        Self::Oracle,
        Self::Postgres,
        Self::Redshift,
        Self::RedshiftCaseSensitive,
        Self::Databricks,
    ];

    /// The names that documents use.
    pub const NAMES: [&str; 7] = ["generic", "bigquery", "snowflake", "oracle", "postgres", "redshift", "databricks"];

    /// Returns the dialect of a connection that declares `case_sensitive`; `None` if the dialect has no such option
    /// (N2.5).
    pub const fn with_case_sensitive(self, case_sensitive: bool) -> Option<Self> {
        match (self, case_sensitive) {
            (Self::Redshift | Self::RedshiftCaseSensitive, true) => Some(Self::RedshiftCaseSensitive),
            (Self::Redshift | Self::RedshiftCaseSensitive, false) => Some(Self::Redshift),
            _ => None,
        }
    }

    /// Returns whether a document declares this dialect with `"case_sensitive": true`.
    pub const fn is_case_sensitive(self) -> bool {
        matches!(self, Self::RedshiftCaseSensitive)
    }

    /// Returns the name that a document uses. Together with [`Dialect::is_case_sensitive`], it identifies the dialect.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::BigQuery => "bigquery",
            Self::Snowflake => "snowflake",
            Self::Oracle => "oracle",
            Self::Postgres => "postgres",
            Self::Redshift | Self::RedshiftCaseSensitive => "redshift",
            Self::Databricks => "databricks",
        }
    }

    /// Returns the number of segments of a table's full path, if the warehouse fixes it. A shorter pattern matches no
    /// table.
    pub const fn depth(self) -> Option<u8> {
        match self {
            Self::BigQuery | Self::Snowflake | Self::Databricks => Some(3),
            Self::Generic | Self::Oracle | Self::Postgres | Self::Redshift | Self::RedshiftCaseSensitive => None,
        }
    }

    /// Returns whether `byte` opens a quoted identifier.
    pub(crate) const fn is_quote(self, byte: u8) -> bool {
        match self {
            Self::Generic => matches!(byte, b'"' | b'`'),
            Self::BigQuery | Self::Databricks => byte == b'`',
            Self::Snowflake | Self::Oracle | Self::Postgres | Self::Redshift | Self::RedshiftCaseSensitive => {
                byte == b'"'
            }
        }
    }

    /// Returns the quote for writing an identifier.
    pub const fn quote(self) -> char {
        match self {
            Self::BigQuery | Self::Databricks => '`',
            _ => '"',
        }
    }

    /// Returns the folding of a bare identifier (N2.2).
    pub const fn bare_fold(self) -> Fold {
        match self {
            Self::Generic | Self::BigQuery => Fold::AsWritten,
            Self::Snowflake => Fold::AsciiUpper,
            Self::Oracle => Fold::Upper,
            Self::Postgres | Self::Redshift | Self::RedshiftCaseSensitive => Fold::AsciiLower,
            Self::Databricks => Fold::Lower,
        }
    }

    /// Returns the folding of a quoted identifier (N2.8).
    pub const fn quoted_fold(self) -> Fold {
        match self {
            Self::Redshift => Fold::AsciiLower,
            Self::Databricks => Fold::Lower,
            _ => Fold::AsWritten,
        }
    }

    /// Returns whether a bare identifier may contain non-ASCII characters (N2.2).
    pub(crate) const fn bare_beyond_ascii(self) -> bool {
        !matches!(self, Self::Snowflake)
    }

    fn names() -> String {
        Self::NAMES.map(|name| format!("`{name}`")).join(", ")
    }
}

impl FromStr for Dialect {
    type Err = DialectError;

    /// Parses the name that a document uses: `redshift` is [`Dialect::Redshift`].
    fn from_str(text: &str) -> Result<Self, DialectError> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == text)
            .ok_or_else(|| DialectError { found: text.into() })
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
