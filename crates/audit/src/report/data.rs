//! What a report says.

use crate::lint::Severity;
use portcullis::base::Timestamp;

/// Everything on the page. Lists are in the order in which they are shown; what is `None` was not asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What is reported on, such as the names of the policy's files.
    pub title: String,
    /// When it was made.
    pub made: Timestamp,
    /// The catalog, as it is named.
    pub catalog: Option<String>,
    /// How many tokens the policy has.
    pub tokens: u64,
    /// How many grants.
    pub grants: u64,
    /// How many connections.
    pub connections: u64,
    /// What of the catalog is exposed.
    pub exposure: Option<Exposure>,
    /// Who reads what.
    pub matrix: Option<Matrix>,
    /// When tokens end.
    pub lives: Lives,
    /// What was found, the worst first.
    pub findings: Vec<FindingRow>,
    /// How many more there are of each severity, in the order of [`Severity::ALL`].
    pub findings_left_out: [u64; 3],
}

impl Default for Report {
    fn default() -> Self {
        Self {
            title: String::new(),
            made: Timestamp::from_unix(0, 0),
            catalog: None,
            tokens: 0,
            grants: 0,
            connections: 0,
            exposure: None,
            matrix: None,
            lives: Lives::default(),
            findings: Vec::new(),
            findings_left_out: [0; 3],
        }
    }
}

/// What of a catalog tokens that are not expired expose.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exposure {
    /// How many names the catalog has.
    pub names: u64,
    /// How many of them some token exposes itself.
    pub exposed: u64,
    /// How many more are exposed only through queries and named sources.
    pub through_queries: u64,
    /// Of how many queries and named sources it is not known what they read.
    pub not_followed: u64,
    /// By token, the most first.
    pub tokens: Vec<Exposed>,
    /// How many tokens that expose something are left out.
    pub tokens_left_out: u64,
    /// By schema, the largest first.
    pub schemas: Vec<ExposedSchema>,
    /// How many schemas are left out.
    pub schemas_left_out: u64,
}

/// What one token exposes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exposed {
    /// Its id.
    pub token: String,
    /// How many names itself.
    pub names: u64,
    /// How many more through queries and named sources.
    pub through_queries: u64,
    /// Whether web pages show it: it has referers.
    pub public: bool,
}

/// What of one schema is exposed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExposedSchema {
    /// Its connection and path.
    pub schema: String,
    /// How many names it has.
    pub names: u64,
    /// How many of them some token exposes itself.
    pub exposed: u64,
    /// How many more are exposed only through queries and named sources.
    pub through_queries: u64,
}

/// Tokens by schemas.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    /// The schemas, each with how many names it has.
    pub schemas: Vec<(String, u64)>,
    /// The tokens.
    pub rows: Vec<MatrixRow>,
    /// How many tokens, and schemas, are left out.
    pub left_out: (u64, u64),
}

/// What one token exposes of each schema.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MatrixRow {
    /// Its id.
    pub token: String,
    /// How many names of each schema, itself or through queries.
    pub names: Vec<u64>,
}

/// When tokens end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lives {
    /// Have ended.
    pub expired: u64,
    /// By calendar month, from this one on.
    pub months: Vec<Month>,
    /// End later.
    pub later: u64,
    /// Never end.
    pub never: u64,
}

/// A calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    /// The year.
    pub year: i16,
    /// The month, from 1.
    pub month: i8,
    /// How many tokens end in it.
    pub ends: u64,
}

/// A finding of the lint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRow {
    /// How much it matters.
    pub severity: Severity,
    /// The code of its rule.
    pub code: String,
    /// File, line, and place in the document.
    pub place: String,
    /// The id of the token, where it is of one.
    pub token: Option<String>,
    /// What was found.
    pub message: String,
    /// What to do.
    pub fix: String,
    /// The text to paste, where there is one.
    pub paste: Option<String>,
}
