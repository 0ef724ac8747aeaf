//! The data of a report.

use crate::lint::Severity;
use portcullis::base::Timestamp;
use portcullis::model::Expiry;
use portcullis::snapshot::ContentId;

/// All data of the page. Lists are in the order of the page. A part that is `None` is not shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The subject, such as the names of the policy's files.
    pub title: String,
    /// The time of the report.
    pub made: Timestamp,
    /// The id of the policy's content.
    pub content: Option<ContentId>,
    /// The name of the catalog.
    pub catalog: Option<String>,
    /// The SHA-256 of the catalog's file, in hexadecimal.
    pub catalog_sha256: Option<String>,
    /// The number of tokens.
    pub tokens: u64,
    /// The number of grants.
    pub grants: u64,
    /// The number of connections.
    pub connections: u64,
    /// The exposure of the catalog.
    pub exposure: Option<Exposure>,
    /// The names that tokens can read, by schema.
    pub matrix: Option<Matrix>,
    /// Calls in granted queries that may read more names than the exposure has.
    pub calls: Vec<CallRow>,
    /// The first tokens; with a catalog, those that expose the most names come first.
    pub token_rows: Vec<TokenRow>,
    /// The number of tokens that are not listed.
    pub tokens_left_out: u64,
    /// The expiry of tokens.
    pub lives: Lives,
    /// The findings, the most severe first.
    pub findings: Vec<FindingRow>,
    /// The number of further findings of each severity, in the order of [`Severity::ALL`].
    pub findings_left_out: [u64; 3],
}

impl Default for Report {
    fn default() -> Self {
        Self {
            title: String::new(),
            made: Timestamp::from_unix(0, 0),
            content: None,
            catalog: None,
            catalog_sha256: None,
            tokens: 0,
            grants: 0,
            connections: 0,
            exposure: None,
            matrix: None,
            calls: Vec::new(),
            token_rows: Vec::new(),
            tokens_left_out: 0,
            lives: Lives::default(),
            findings: Vec::new(),
            findings_left_out: [0; 3],
        }
    }
}

/// The exposure of a catalog by unexpired tokens.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exposure {
    /// The number of names in the catalog.
    pub names: u64,
    /// The number of names that some token exposes itself.
    pub exposed: u64,
    /// The number of further names that are exposed only through queries and named sources.
    pub through_queries: u64,
    /// The number of queries and named sources whose tables are unknown.
    pub not_followed: u64,
    /// The exposure by token, the largest first.
    pub tokens: Vec<Exposed>,
    /// The number of exposing tokens that are left out.
    pub tokens_left_out: u64,
    /// The exposure by schema, the largest schema first.
    pub schemas: Vec<ExposedSchema>,
    /// The number of schemas that are left out.
    pub schemas_left_out: u64,
}

/// The exposure of one token.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Exposed {
    /// The id of the token.
    pub token: String,
    /// The number of names that the token exposes itself.
    pub names: u64,
    /// The number of further names that it exposes only through queries and named sources.
    pub through_queries: u64,
    /// Whether the token has referers, so that web pages contain it.
    pub public: bool,
}

/// The exposure of one schema.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExposedSchema {
    /// The connection and path of the schema.
    pub schema: String,
    /// The number of names in the schema.
    pub names: u64,
    /// The number of names that some token exposes itself.
    pub exposed: u64,
    /// The number of further names that are exposed only through queries and named sources.
    pub through_queries: u64,
}

/// The exposure of tokens by schema.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    /// The schemas, each with its number of names.
    pub schemas: Vec<(String, u64)>,
    /// The rows of tokens.
    pub rows: Vec<MatrixRow>,
    /// The numbers of tokens and schemas that are left out.
    pub left_out: (u64, u64),
}

/// The exposure of each schema by one token.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MatrixRow {
    /// The id of the token.
    pub token: String,
    /// For each schema, the number of names that the token exposes, itself or through queries.
    pub names: Vec<u64>,
}

/// A number of names that a token exposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Names {
    /// The number of names that the token exposes itself.
    pub own: u64,
    /// The number of further names that it exposes only through queries and named sources.
    pub through_queries: u64,
}

impl Names {
    /// Returns the number of all names that the token exposes.
    pub fn total(self) -> u64 {
        self.own + self.through_queries
    }
}

/// A token of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// The id.
    pub id: String,
    /// The expiry.
    pub expiry: Expiry,
    /// Whether the token is expired.
    pub expired: bool,
    /// The names of its APIs.
    pub apis: Vec<String>,
    /// The first referers; `any` if it lists none.
    pub referers: String,
    /// The number of its grants.
    pub grants: u64,
    /// The exposure of the catalog; `None` without a catalog.
    pub exposed: Option<Names>,
}

/// A call in granted queries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRow {
    /// The connection of the queries.
    pub connection: String,
    /// The call.
    pub call: String,
    /// The number of queries and named sources with the call.
    pub queries: u64,
}

/// The numbers of tokens by expiry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lives {
    /// The number of expired tokens.
    pub expired: u64,
    /// The numbers of tokens that expire in each calendar month, from the current one.
    pub months: Vec<Month>,
    /// The number of tokens that expire later.
    pub later: u64,
    /// The number of tokens that never expire.
    pub never: u64,
}

/// A calendar month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    /// The year.
    pub year: i16,
    /// The month, from 1.
    pub month: i8,
    /// The number of tokens that expire in the month.
    pub ends: u64,
}

/// A finding of the lint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRow {
    /// The severity.
    pub severity: Severity,
    /// The code of the rule.
    pub code: String,
    /// The file without its folders, the line and the JSON path.
    pub position: String,
    /// The id of the token, if the finding is about one.
    pub token: Option<String>,
    /// The problem.
    pub message: String,
    /// The instruction to fix it.
    pub fix: String,
    /// The text to paste, if there is one.
    pub paste: Option<String>,
}
