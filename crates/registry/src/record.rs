//! Records of the registry, as they are read. Serialized with the field names that scripts rely on, never with a secret.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use portcullis::base::Timestamp;
use portcullis::model::{GrantKind, SecretDigest};
use portcullis::name::Dialect;

/// A connection to a data warehouse, on which tokens may have grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "WrittenConnection")]
pub struct Connection {
    /// The name that grants use.
    pub name: String,
    /// The dialect of its identifiers.
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

/// A stored query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedSource {
    /// The name (N5).
    pub name: String,
    /// The connection that it runs on; `None` means every connection.
    pub connection: Option<String>,
    /// Its SQL.
    pub query: String,
}

/// An API beyond the built-in ones (N8.5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Api {
    /// The name that tokens use.
    pub name: String,
    /// The kinds of grant that the API considers.
    pub accepts: Vec<String>,
}

/// An API access token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Token {
    /// The id in decisions and logs.
    pub id: String,
    /// The name that its owner chose.
    pub name: String,
    /// The owner.
    pub owner: String,
    /// The digest of its secret.
    #[serde(skip)]
    pub digest: SecretDigest,
    /// The APIs that the token may use.
    pub allowed_apis: Vec<String>,
    /// The sources that the token may read or write.
    pub grants: Vec<Grant>,
    /// The referers from which it may be used. An empty list allows every referer.
    pub referers: Vec<String>,
    /// The expiry, if any.
    #[serde(serialize_with = "instant")]
    pub expiration_date: Option<Timestamp>,
    /// The time of creation, if known.
    #[serde(serialize_with = "instant")]
    pub created_at: Option<Timestamp>,
}

/// A source that a token may read or write on one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grant {
    /// The connection.
    #[serde(rename = "connection_name")]
    pub connection: String,
    /// The kind of source.
    #[serde(rename = "type", serialize_with = "kind")]
    pub kind: GrantKind,
    /// The source as written.
    pub source: String,
}

/// The usage of a token, as far as servers have recorded it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// The id of the token.
    pub token: String,
    /// The number of allowed requests.
    pub allowed: u64,
    /// The time of the last allowed request, to the second.
    #[serde(serialize_with = "at")]
    pub last_used: Timestamp,
}

/// The kind of an OAuth client.
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
    /// The id that the client presents.
    #[serde(rename = "client_id")]
    pub id: String,
    /// The kind.
    #[serde(rename = "type")]
    pub kind: ClientKind,
    /// The title that people see.
    pub title: String,
    /// The owner.
    pub owner: String,
    /// The digest of a machine's secret.
    #[serde(skip)]
    pub digest: Option<SecretDigest>,
    /// The URLs of a single-page application.
    #[serde(flatten)]
    pub urls: Urls,
    /// The time of creation.
    #[serde(serialize_with = "at")]
    pub created_at: Timestamp,
    /// The APIs that access tokens may use. Without APIs, they read no source.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_apis: Vec<String>,
    /// The sources that access tokens may read or write.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<Grant>,
    /// The scopes that the client may request; `None` means the default scopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Rotated secrets of a machine that are still valid.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier_secrets: Vec<EarlierSecret>,
}

/// A rotated secret of a client, which is valid for a limited time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EarlierSecret {
    /// The digest of the secret.
    #[serde(skip)]
    pub digest: SecretDigest,
    /// The time from which it is invalid.
    #[serde(serialize_with = "at")]
    pub until: Timestamp,
}

/// A user of the workspace. A user without a record is a developer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// The name, which owns tokens and clients.
    pub name: String,
    /// The role.
    pub role: Role,
    /// Whether the user may neither sign in nor call.
    #[serde(rename = "disabled", skip_serializing_if = "std::ops::Not::not")]
    pub is_disabled: bool,
    /// Whether an administrator has added the user. Other users must match the rules of the workspace at each sign-in.
    #[serde(rename = "invited", skip_serializing_if = "Clone::clone")]
    pub is_invited: bool,
    /// The e-mail address: of the invitation, and after a sign-in the one that the OpenID provider has verified last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The OpenID provider at which the user has signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The identifier of the user at that provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

impl User {
    /// Returns an invited user with this name and role.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        let name = name.into();
        Self { name, role, is_disabled: false, is_invited: true, email: None, issuer: None, subject: None }
    }

    /// Returns what a user without a record is: a developer without an invitation.
    pub fn unrecorded(name: impl Into<String>) -> Self {
        Self { is_invited: false, ..Self::new(name, Role::default()) }
    }
}

/// The rights of a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees and changes the user's own tokens and clients.
    #[default]
    Developer,
    /// Sees and changes everything.
    Administrator,
    /// Sees everything, and changes nothing.
    Auditor,
}

/// The kind of a short-lived record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketKind {
    /// A link that signs a user in once.
    LoginLink,
    /// A session of the console.
    Session,
    /// An OAuth access token.
    AccessToken,
    /// An OAuth authorization code.
    Code,
    /// An OAuth refresh token.
    RefreshToken,
    /// The remembered answer to a request with an `Idempotency-Key`.
    Answer,
    /// What a user lets a single-page application do.
    Consent,
    /// A public key that verifies ID tokens. The private key is never stored.
    PublicKey,
}

/// A short-lived record that is found by the digest of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The kind.
    pub kind: TicketKind,
    /// The digest of the secret.
    pub digest: SecretDigest,
    /// The user for whom the ticket was made.
    pub user: String,
    /// The OAuth client, if any. Deleting the client removes the ticket.
    pub client: Option<String>,
    /// The authorization that the ticket descends from: all its tickets are revoked together.
    pub family: Option<String>,
    /// The token that decides requests with the secret, if any. Deleting the token removes the ticket.
    pub token: Option<String>,
    /// The expiry, to the second.
    pub expires: Timestamp,
    /// The content, by kind. Never a secret in plain text.
    pub body: Vec<u8>,
}

/// The URLs of a single-page application, by purpose.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Urls {
    /// The page where a login starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login_uri: Option<String>,
    /// Pages where a login may end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub callbacks: Vec<String>,
    /// Pages where a logout may end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logout_urls: Vec<String>,
    /// Origins that may renew a login silently. Access tokens are valid on their pages only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub web_origins: Vec<String>,
    /// Origins that may make cross-origin calls.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_origins: Vec<String>,
}

/// The last change of a registry: its entry in the trail. Numbers alone do not identify entries: a registry that was restored
/// from a copy continues with numbers that other changes had before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct LastChange {
    /// The number of the entry; 0 before the first.
    pub number: u64,
    /// The kind of the changed record.
    pub kind: String,
    /// The id of the changed record.
    pub id: String,
    /// The digest of the rest of the entry: after a restore, the same record may change again.
    pub(super) digest: Option<SecretDigest>,
}

/// The columns of the trail for a [`LastChange`]: number, kind, id, time, action, and the record after the change.
pub(super) type ChangeRow = (i64, String, String, String, String, Option<String>);

/// One change in the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrailEntry {
    /// The position in the trail, from 1, without gaps.
    pub number: u64,
    /// The revision that the change belongs to. Several entries may share one.
    pub revision: u64,
    /// The time of the change.
    #[serde(serialize_with = "at")]
    pub at: Timestamp,
    /// The user who made it.
    pub user: String,
    /// How the user made it, such as `client m2m_5h3f9w2mzq`; `None` for a command on the registry's machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// The action, such as `create`.
    pub action: String,
    /// The kind of record, such as `token`.
    pub kind: String,
    /// The id of the record, or the name that identifies it.
    pub id: String,
    /// The owner of the record; `None` for a shared one.
    pub owner: Option<String>,
    /// The record before the change.
    pub before: Option<serde_json::Value>,
    /// The record after the change.
    pub after: Option<serde_json::Value>,
}

impl LastChange {
    /// Returns the entry that a row of the trail holds.
    pub(super) fn of((number, kind, id, at, action, after): ChangeRow) -> Self {
        let rest = format!("{at}\n{action}\n{}", after.unwrap_or_default());
        Self { number: number.unsigned_abs(), kind, id, digest: Some(SecretDigest::of(&rest)) }
    }
}

impl Token {
    /// Whether the token has expired (N9.1).
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expiration_date.is_some_and(|end| now >= end)
    }
}

impl ClientKind {
    /// Returns `spa` or `m2m`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Spa => "spa",
            Self::M2m => "m2m",
        }
    }
}

/// Returns a text that differs whenever one of `parts` differs.
fn version(parts: &[&dyn ErasedJson]) -> String {
    let json: Vec<String> = parts.iter().map(|part| part.json()).collect();
    SecretDigest::of(&json.join("\n")).to_hex().chars().take(32).collect()
}

/// A value that is written as JSON.
trait ErasedJson {
    fn json(&self) -> String;
}

impl<T: Serialize> ErasedJson for T {
    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Token {
    /// Returns the version: equal only while the token, its secret included, is unchanged.
    pub fn version(&self) -> String {
        version(&[self, &self.digest.to_hex()])
    }
}

impl NamedSource {
    /// Returns the version: equal only while the named source is unchanged.
    pub fn version(&self) -> String {
        version(&[self])
    }
}

impl Connection {
    /// Returns the version: equal only while the connection is unchanged.
    pub fn version(&self) -> String {
        version(&[self])
    }
}

impl Client {
    /// Returns the version: equal only while the client, its secrets included, is unchanged.
    pub fn version(&self) -> String {
        version(&[self, &self.digest.map(|digest| digest.to_hex())])
    }

    /// Returns the digests of all secrets of the client, rotated ones included.
    pub fn digests(&self) -> impl Iterator<Item = &SecretDigest> {
        self.digest.iter().chain(self.earlier_secrets.iter().map(|earlier| &earlier.digest))
    }

    /// Whether `digest` is of a secret of the client that is valid at `now`.
    pub fn has_secret(&self, digest: &SecretDigest, now: Timestamp) -> bool {
        self.digest.as_ref() == Some(digest)
            || self.earlier_secrets.iter().any(|earlier| earlier.digest == *digest && now < earlier.until)
    }
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Developer, Self::Administrator, Self::Auditor];

    /// Returns the name, such as `developer`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Developer => "developer",
            Self::Administrator => "administrator",
            Self::Auditor => "auditor",
        }
    }

    /// Returns the role with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl TicketKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::LoginLink,
        Self::Session,
        Self::AccessToken,
        Self::Code,
        Self::RefreshToken,
        Self::Answer,
        Self::Consent,
        Self::PublicKey,
    ];

    /// Returns the name in the database, such as `session`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoginLink => "login_link",
            Self::Session => "session",
            Self::AccessToken => "access_token",
            Self::Code => "code",
            Self::RefreshToken => "refresh_token",
            Self::Answer => "answer",
            Self::Consent => "consent",
            Self::PublicKey => "public_key",
        }
    }

    /// Returns the kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("kind", &self.kind).field("user", &self.user).finish_non_exhaustive()
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

/// A table or view of a warehouse, by the parts of its name: neither quoted nor to be folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The database.
    pub catalog: String,
    /// The schema.
    pub schema: String,
    /// The name.
    pub name: String,
}
