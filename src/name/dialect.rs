//! How a data warehouse writes identifiers (N2.5).

use std::fmt;
use std::str::FromStr;

/// The SQL dialect of a connection: its quotes and its folding of letter case (N2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Dialect {
    /// Any warehouse: `"` and `` ` `` quote, nothing folds. The dialect of a connection that no document declares.
    #[default]
    Generic,
    /// `` ` `` stands around one or several segments, nothing folds, a project may hold a domain (N2.6).
    BigQuery,
    /// `"` quotes, bare ASCII letters fold to upper case.
    Snowflake,
    /// `"` quotes, bare ASCII letters fold to upper case.
    Oracle,
    /// `"` quotes, bare ASCII letters fold to lower case.
    Postgres,
    /// `"` quotes, bare ASCII letters fold to lower case.
    Redshift,
    /// `` ` `` quotes, all ASCII letters fold to lower case, inside quotes too.
    Databricks,
}

/// A dialect's name that is not one of [`Dialect::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a dialect: expected one of {}", Dialect::names())]
pub struct DialectError {
    found: Box<str>,
}

/// What folding does to the letters of an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fold {
    AsWritten,
    Upper,
    Lower,
}

impl Fold {
    pub(crate) fn apply(self, byte: u8) -> u8 {
        match self {
            Self::AsWritten => byte,
            Self::Upper => byte.to_ascii_uppercase(),
            Self::Lower => byte.to_ascii_lowercase(),
        }
    }
}

impl Dialect {
    /// Every dialect, in the order of N2.5.
    pub const ALL: [Self; 7] = [
        Self::Generic,
        Self::BigQuery,
        Self::Snowflake,
        Self::Oracle,
        Self::Postgres,
        Self::Redshift,
        Self::Databricks,
    ];

    /// The name that a document writes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::BigQuery => "bigquery",
            Self::Snowflake => "snowflake",
            Self::Oracle => "oracle",
            Self::Postgres => "postgres",
            Self::Redshift => "redshift",
            Self::Databricks => "databricks",
        }
    }

    /// How many segments a table's full path has, where the warehouse fixes it: a shorter pattern matches no table.
    pub const fn depth(self) -> Option<u8> {
        match self {
            Self::BigQuery | Self::Snowflake | Self::Databricks => Some(3),
            Self::Generic | Self::Oracle | Self::Postgres | Self::Redshift => None,
        }
    }

    /// Whether `byte` opens a quoted identifier.
    pub(crate) const fn is_quote(self, byte: u8) -> bool {
        match self {
            Self::Generic => matches!(byte, b'"' | b'`'),
            Self::BigQuery | Self::Databricks => byte == b'`',
            Self::Snowflake | Self::Oracle | Self::Postgres | Self::Redshift => byte == b'"',
        }
    }

    /// The quote to write an identifier with.
    pub(crate) const fn quote(self) -> char {
        match self {
            Self::BigQuery | Self::Databricks => '`',
            Self::Generic | Self::Snowflake | Self::Oracle | Self::Postgres | Self::Redshift => '"',
        }
    }

    pub(crate) const fn bare_fold(self) -> Fold {
        match self {
            Self::Generic | Self::BigQuery => Fold::AsWritten,
            Self::Snowflake | Self::Oracle => Fold::Upper,
            Self::Postgres | Self::Redshift | Self::Databricks => Fold::Lower,
        }
    }

    pub(crate) const fn quoted_fold(self) -> Fold {
        match self {
            Self::Databricks => Fold::Lower,
            _ => Fold::AsWritten,
        }
    }

    fn names() -> String {
        Self::ALL.map(|dialect| format!("`{dialect}`")).join(", ")
    }
}

impl FromStr for Dialect {
    type Err = DialectError;

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
