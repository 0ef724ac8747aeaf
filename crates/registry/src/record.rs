//! What the registry holds, as it is read: serialised with the field names that scripts rely on, never with a secret.

use serde::{Deserialize, Serialize, Serializer};

use portcullis::base::Timestamp;
use portcullis::model::{GrantKind, SecretDigest};
use portcullis::name::Dialect;

/// A data warehouse that tokens may be granted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "WrittenConnection")]
pub struct Connection {
    /// What grants call it.
    pub name: String,
    /// How it writes identifiers.
    pub dialect: Dialect,
    /// Whether queries on it are denied whatever the grants (N8.7).
    pub named_sources_only: bool,
}

/// A connection as a document writes it.
#[derive(Serialize)]
struct WrittenConnection {
    name: String,
    dialect: &'static str,
    named_sources_only: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    case_sensitive: bool,
}

impl From<Connection> for WrittenConnection {
    fn from(connection: Connection) -> Self {
        Self {
            name: connection.name,
            dialect: connection.dialect.as_str(),
            named_sources_only: connection.named_sources_only,
            case_sensitive: connection.dialect.is_case_sensitive(),
        }
    }
}

/// A query that somebody gave a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedSource {
    /// The name (N5).
    pub name: String,
    /// The connection that has it; `None`: each has.
    pub connection: Option<String>,
    /// Its SQL.
    pub query: String,
}

/// An API beyond the built-in ones (N8.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Api {
    /// What tokens call it.
    pub name: String,
    /// The kinds of grant that it considers.
    pub accepts: Vec<String>,
}

/// An API access token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// What decisions and logs call it.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// The digest of its secret.
    #[serde(skip)]
    pub digest: SecretDigest,
    /// The APIs that it may use.
    pub allowed_apis: Vec<String>,
    /// What it may read or write.
    pub grants: Vec<Grant>,
    /// From where it may be used; none: from anywhere.
    pub referers: Vec<String>,
    /// Until when.
    #[serde(serialize_with = "instant")]
    pub expiration_date: Option<Timestamp>,
    /// Since when, where that is known.
    #[serde(serialize_with = "instant")]
    pub created_at: Option<Timestamp>,
}

/// What a token may read or write on one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// The connection.
    #[serde(rename = "connection_name")]
    pub connection: String,
    /// What kind of source.
    #[serde(rename = "type", serialize_with = "kind")]
    pub kind: GrantKind,
    /// The source as it was written.
    pub source: String,
}

/// How much a token was used, as far as those who decide requests have told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// The token.
    pub token: String,
    /// Requests allowed.
    pub allowed: u64,
    /// When a request was last allowed, to the second.
    #[serde(serialize_with = "at")]
    pub last_used: Timestamp,
}

/// What kind of OAuth client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKind {
    /// A single-page application: it has URLs, and no secret.
    Spa,
    /// A machine: it has a secret, and no URLs.
    M2m,
}

/// An OAuth client, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Client {
    /// What it identifies itself by.
    #[serde(rename = "client_id")]
    pub id: String,
    /// What kind.
    #[serde(rename = "type")]
    pub kind: ClientKind,
    /// What people call it.
    pub title: String,
    /// Whose it is.
    pub owner: String,
    /// The digest of its secret, of a machine.
    #[serde(skip)]
    pub digest: Option<SecretDigest>,
    /// Its URLs, of a single-page application.
    #[serde(flatten)]
    pub urls: Urls,
    /// Since when.
    #[serde(serialize_with = "at")]
    pub created_at: Timestamp,
}

/// The URLs of a single-page application, by what each is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Urls {
    /// Where a login begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_uri: Option<String>,
    /// Where a login may end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub callbacks: Vec<String>,
    /// Where a logout may end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logout_urls: Vec<String>,
    /// Origins that may renew a login silently.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub web_origins: Vec<String>,
    /// Origins that may call across origins.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
}

/// One change that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrailEntry {
    /// Its place, from 1, without gaps.
    pub number: u64,
    /// The revision that it made, alone or with others.
    pub revision: u64,
    /// When.
    #[serde(serialize_with = "at")]
    pub at: Timestamp,
    /// Who.
    pub user: String,
    /// What was done, such as `create`.
    pub action: String,
    /// To what kind of thing, such as `token`.
    pub kind: String,
    /// To which: its id, or a name that is one.
    pub id: String,
    /// Whose it is; `None` for what is everybody's.
    pub owner: Option<String>,
    /// What it was before.
    pub before: Option<serde_json::Value>,
    /// What it was afterwards.
    pub after: Option<serde_json::Value>,
}

impl Token {
    /// Whether it can be used no more (N9.1).
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expiration_date.is_some_and(|end| now >= end)
    }
}

impl ClientKind {
    /// `spa` or `m2m`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spa => "spa",
            Self::M2m => "m2m",
        }
    }
}

fn at<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(instant)
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn instant<S: Serializer>(instant: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => serializer.collect_str(instant),
        None => serializer.serialize_none(),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn kind<S: Serializer>(kind: &GrantKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}
