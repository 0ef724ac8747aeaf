//! The registry of credentials: tokens, OAuth clients, connections and named sources, in an embedded database or in
//! PostgreSQL.
//!
//! Every change is one transaction. It adds one to the [`revision`](Registry::revision), and the
//! [`trail`](Registry::trail) records who did what. Tokens are read by the same rules as policy files, so the contents
//! of a registry always compile. Secrets are created here, shown once, and stored as digests only.
//!
//! ```
//! use portcullis_registry::{Actor, NewToken, Registry};
//! use portcullis::{Options, Request, Snapshot, Source};
//!
//! let now = "2026-11-22T12:00:00Z".parse()?;
//! let mut registry = Registry::in_memory()?;
//! let ana = Actor::new("ana", now)?;
//! registry.add_connection(&ana, "carto_dw", "bigquery", None, false)?;
//! let created = registry.create_token(&ana, &NewToken {
//!     grants: vec![("carto_dw".into(), "carto.shared.CARTO_*".into())],
//!     apis: vec!["maps".into()],
//!     expiration: Some("7d".into()),
//!     ..NewToken::default()
//! })?;
//!
//! let snapshot = Snapshot::compile(&portcullis_document::read_policy(registry.policy_document()?)?, &Options::default())?;
//! let request = Request::new("maps", "carto_dw").secret(created.secret.expose());
//! let source = Source::Resource("carto.shared.CARTO_roads");
//! assert!(portcullis::decide(&snapshot, &request.source(source), now).is_allow());
//! assert_eq!(registry.revision()?, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A user who can open the database can change all of it. [`Actor`] names the user and separates the users' records;
//! only the permissions of the file keep other people out.
#![forbid(unsafe_code)]

mod access;
mod additions;
mod authorizations;
mod changes;
mod clients;
mod columns;
mod connections;
mod consents;
mod credential;
mod definition;
mod error;
mod excerpt;
mod leaks;
mod lists;
mod location;
mod look_alikes;
mod named_sources;
mod once;
mod origins;
pub mod owner_only;
mod page;
#[cfg(feature = "postgres")]
mod postgres;
mod postgres_url;
pub mod record;
mod scopes;
mod sizes;
mod spans;
mod sqlite;
mod storage;
mod tickets;
mod tokens;
mod transfer;
mod users;
mod watched;
mod words;

use std::path::Path;

use serde::Serialize;

pub use access::{Access, Issued, NewAccess};
pub use authorizations::{Granted, Lifetimes, NewCode, NotGranted, PresentedCode, PresentedRefresh, Successors};
pub use changes::Changes;
pub use clients::{ClientAccess, ClientEdit, CreatedClient};
pub use connections::{ConnectionEdit, Reread, UpdatedConnection};
pub use consents::{Asking, Consent};
pub use credential::Credential;
pub use error::{Advice, RegistryError, Result};
pub use leaks::Leaked;
pub use lists::Which;
pub use location::{Location, check_home};
pub use named_sources::NamedSourceEdit;
pub use once::{Answered, Once};
pub use origins::Origins;
pub use page::{TokenOrder, TokenPage, TokenPosition, TokenQuery, TrailQuery};
pub use record::LastChange;
pub use scopes::{ADMIN, OFFLINE_ACCESS, OPENID, SCOPES, USER_SCOPES, default_scopes};
pub use tokens::{Created, NEVER, NewToken, Rotated, TokenEdit, TypedGrant};
pub use transfer::{Imported, LeftOut};
pub use users::{Admission, SignedIn, UserEdit};
pub use watched::{RegistryVersion, WatchedRegistry};

use credential::check_credential;
use error::{invalid, refused};
use location::Database;
use portcullis::base::{Timestamp, hidden, is_control};
use portcullis_secret as secret;
use record::{Role, TrailEntry};
use sqlite::{Absent, SqliteStorage};
use storage::{NewEntry, Purpose, Records, Storage};
use words::quoted;

/// An open registry. Several processes may open the same one: readers see the last commit, writers wait for each
/// other.
pub struct Registry {
    storage: Box<dyn Storage>,
}

/// The user who acts, and the time.
#[derive(Debug, Clone)]
pub struct Actor {
    user: String,
    all_users: bool,
    is_read_only: bool,
    /// The scopes that the actor has; `None` for all.
    scopes: Option<Vec<String>>,
    /// How the user acts; `None` for a command on the registry's machine.
    how: Option<String>,
    /// What each change checks again; `None` for a command on the registry's machine.
    credential: Option<Credential>,
    now: Timestamp,
}

impl Actor {
    /// Creates an actor who acts at `now` on the records of `user` and on shared records.
    ///
    /// # Errors
    ///
    /// If `user` is empty, has control characters or is longer than 255 bytes.
    pub fn new(user: impl Into<String>, now: Timestamp) -> Result<Self> {
        let user = user.into();
        check_text("user", &user)?;
        let now = Timestamp::from_unix(now.seconds(), 0);
        Ok(Self { user, all_users: false, is_read_only: false, scopes: None, how: None, credential: None, now })
    }

    /// Makes the actor an administrator, who also acts on the records of other users.
    #[must_use]
    pub fn for_all_users(self) -> Self {
        Self { all_users: true, ..self }
    }

    /// Gives the actor the rights of `role`.
    #[must_use]
    pub fn with_role(self, role: Role) -> Self {
        Self { all_users: role != Role::Developer, is_read_only: role == Role::Auditor, ..self }
    }

    /// Limits the actor to the user's own records.
    #[must_use]
    pub fn for_own_records(self) -> Self {
        Self { all_users: false, ..self }
    }

    /// Limits the actor to `scopes`: it gets no secret or right of a client that has more.
    #[must_use]
    pub fn with_scopes(self, scopes: &[String]) -> Self {
        Self { scopes: Some(scopes.to_vec()), ..self }
    }

    /// Sets how the actor acts, such as `client m2m_5h3f9w2mzq`, for the trail.
    #[must_use]
    pub fn by(self, how: impl Into<String>) -> Self {
        Self { how: Some(how.into()), ..self }
    }

    /// Sets the credential by which the actor acts. Each change checks it again, in its transaction.
    #[must_use]
    pub fn with_credential(self, credential: Credential) -> Self {
        Self { credential: Some(credential), ..self }
    }

    /// Returns the name of the user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Whether the actor has the scope.
    fn has_scope(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.iter().any(|held| held == scope))
    }

    /// Whether the actor may see and change records of `owner`.
    fn may(&self, owner: &str) -> bool {
        self.all_users || self.user == owner
    }
}

impl Registry {
    /// Opens the registry at `location`. With `create`, creates a missing registry and migrates one of an earlier version.
    ///
    /// Without `create`, the registry may be read-only: see [`is_read_only`](Self::is_read_only).
    ///
    /// # Errors
    ///
    /// If it cannot be opened, is another kind of database, has a newer version, or its log was removed.
    pub fn open(location: &Location, create: bool) -> Result<Self> {
        Self::open_for(location, if create { Purpose::Create } else { Purpose::Read })
    }

    /// Calls `add` with the registry at `location`. Creates a missing registry. If `add` fails, removes the new file and its
    /// new folders: a rejected change leaves nothing. In PostgreSQL, empty tables stay.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and the error of `add`.
    pub fn add_to<T>(location: &Location, add: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let absent = location.path().map(Absent::of);
        let added = Self::open(location, true).and_then(|mut registry| add(&mut registry));
        if let (Err(_), Some(absent)) = (&added, absent) {
            absent.restore();
        }
        added
    }

    /// Returns the location of a database that is stored next to `location` and has the nearest name, or is the only one.
    pub fn near(location: &Location) -> Option<Location> {
        sqlite::near(location.path()?).map(Location::file)
    }

    /// Opens the existing registry at `location` to change it. Migrates one of an earlier version.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if the registry is read-only.
    pub fn open_to_change(location: &Location) -> Result<Self> {
        Self::open_for(location, Purpose::Change)
    }

    fn open_for(location: &Location, purpose: Purpose) -> Result<Self> {
        if purpose == Purpose::Create {
            location.make_folders()?;
        }
        Ok(Self {
            storage: match &location.database {
                Database::Sqlite(path) => Box::new(SqliteStorage::open(path, purpose)?),
                #[cfg(feature = "postgres")]
                Database::Postgres(url) => Box::new(postgres::PostgresStorage::open(url, purpose)?),
                #[cfg(not(feature = "postgres"))]
                Database::Postgres(_) => {
                    return Err(invalid(
                        "this build does not support PostgreSQL",
                        "build it with `--features postgres`, or use a registry such as `sqlite:registry.db`",
                    ));
                }
            },
        })
    }

    /// Creates a registry in memory, which is lost when dropped.
    ///
    /// # Errors
    ///
    /// If the system is out of memory or threads.
    pub fn in_memory() -> Result<Self> {
        Ok(Self { storage: Box::new(SqliteStorage::in_memory()?) })
    }

    /// Returns the number of committed changes. Recorded usage does not count: no decision depends on it. Cheap: one row.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn revision(&mut self) -> Result<u64> {
        self.storage.read()?.revision()
    }

    /// Returns the revision and the last change, of one state.
    fn version(&mut self) -> Result<(u64, LastChange)> {
        let mut records = self.storage.read()?;
        Ok((records.revision()?, records.last_change()?))
    }

    /// Returns a number that differs after another process has committed a change. It has no other meaning. Cheaper than
    /// [`revision`](Self::revision): SQLite reads no table, and PostgreSQL announces each change.
    ///
    /// With SQLite, the number also differs after usage was recorded. With PostgreSQL, a change may be noticed two seconds
    /// later, if the server does not announce changes on this connection.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn data_version(&mut self) -> Result<u64> {
        self.storage.data_version()
    }

    /// Checks that the open files are still those at the registry's path. Every read and write checks this first.
    ///
    /// # Errors
    ///
    /// If a file was replaced or removed. Open the registry again to use the files that the path now names.
    pub fn check_files(&self) -> Result<()> {
        self.storage.check_files()
    }

    /// Returns the trail, oldest entry first: the changes to the actor's own records and to shared ones. An administrator
    /// sees all changes.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn trail(&mut self, actor: &Actor) -> Result<Vec<TrailEntry>> {
        let mut trail = self.storage.read()?.trail()?;
        trail.retain(|entry| entry.owner.as_deref().is_none_or(|owner| actor.may(owner)) || entry.user == actor.user);
        Ok(trail)
    }

    /// Whether this process may not change the registry: for lack of permissions, or because its file system is read-only.
    ///
    /// Reads of such a registry are complete: they contain every committed change, or they fail.
    pub fn is_read_only(&self) -> bool {
        self.storage.is_read_only()
    }

    /// Writes a copy of the last committed state to the empty file at `path`. Other processes may use the registry
    /// meanwhile. The caller synchronizes the file to the disk.
    ///
    /// # Errors
    ///
    /// If the database fails, or the file is not empty.
    pub fn copy_to(&mut self, path: &Path) -> Result<()> {
        self.storage.copy_to(path)
    }

    /// Makes a change by `work`, in one transaction: nothing is changed if it fails.
    ///
    /// # Errors
    ///
    /// If `work` fails, the actor may change nothing or has lost its credential, or the database fails.
    pub fn changed<T>(&mut self, actor: &Actor, work: impl FnOnce(&mut Change<'_>) -> Result<T>) -> Result<T> {
        let mut change = self.change(actor)?;
        let made = work(&mut change)?;
        change.commit()?;
        Ok(made)
    }

    /// Returns a change that is never committed, to check what it would do.
    fn look<'r>(&'r mut self, actor: &'r Actor) -> Result<Change<'r>> {
        Ok(Change { records: self.storage.read()?, actor, revision: None, has_tickets: false })
    }

    fn change<'r>(&'r mut self, actor: &'r Actor) -> Result<Change<'r>> {
        if actor.is_read_only {
            let message = format!("the user {} may see everything and change nothing", quoted(&actor.user));
            return Err(refused(message, "ask an administrator to make the change").because("read_only"));
        }
        let mut records = self.storage.write()?;
        // Another change may have taken the rights away while this one waited for the lock.
        check_credential(&mut *records, actor)?;
        Ok(Change { records, actor, revision: None, has_tickets: false })
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// An open change, with the methods that change records. It is committed when the closure that received it succeeds: see
/// [`Registry::once`].
pub struct Change<'r> {
    records: Box<dyn Records + 'r>,
    actor: &'r Actor,
    /// The revision that the change creates, once it has a trail entry.
    revision: Option<u64>,
    /// Whether the change adds or removes tickets, which have no trail entry.
    has_tickets: bool,
}

impl std::fmt::Debug for Change<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Change").field("revision", &self.revision).finish_non_exhaustive()
    }
}

/// The record that a change is made to.
struct Subject<'a> {
    kind: &'static str,
    id: &'a str,
    owner: Option<&'a str>,
}

impl Change<'_> {
    /// Appends a trail entry for `action` on `subject`.
    fn note<T: Serialize>(
        &mut self,
        action: &str,
        subject: &Subject<'_>,
        before: Option<&T>,
        after: Option<&T>,
    ) -> Result<()> {
        let entry = self.entry(action, subject, before, after)?;
        self.records.append(&[entry])
    }

    /// Returns the trail entry for `action` on `subject`, of the revision that the change creates.
    fn entry<T: Serialize>(
        &mut self,
        action: &str,
        subject: &Subject<'_>,
        before: Option<&T>,
        after: Option<&T>,
    ) -> Result<NewEntry> {
        let revision = match self.revision {
            Some(revision) => revision,
            None => self.records.next_revision()?,
        };
        self.revision = Some(revision);
        Ok(noted(self.actor, revision, action, subject, before, after))
    }

    /// Commits the change. A change without a trail entry and without tickets has nothing to commit.
    fn commit(self) -> Result<()> {
        if self.revision.is_some() || self.has_tickets { self.records.commit() } else { Ok(()) }
    }
}

/// Returns the trail entry for `action` of `actor` on `subject`.
fn noted<T: Serialize>(
    actor: &Actor,
    revision: u64,
    action: &str,
    subject: &Subject<'_>,
    before: Option<&T>,
    after: Option<&T>,
) -> NewEntry {
    let json = |value: Option<&T>| value.and_then(|value| serde_json::to_string(value).ok());
    NewEntry {
        revision,
        at: actor.now,
        user: actor.user.clone(),
        how: actor.how.clone(),
        action: action.to_owned(),
        kind: subject.kind,
        id: subject.id.to_owned(),
        owner: subject.owner.map(ToOwned::to_owned),
        before: json(before),
        after: json(after),
    }
}

/// Checks a name or title that users choose: one line, not empty, no secret.
fn check_text(what: &str, text: &str) -> Result<()> {
    const MAX_LEN: usize = 255;
    if secret::contains_secret(text) {
        return Err(invalid(format!("the {what} holds a secret"), "remove the secret: other users can see this text")
            .because("secret_in_text"));
    }
    if text.trim().is_empty() {
        return Err(invalid(format!("the {what} is empty"), "write a name that users recognize"));
    }
    if text.trim() != text {
        let help = match text.trim() {
            bare if bare.chars().any(is_control) || hidden(bare).is_some() => "write it without them".to_owned(),
            bare => format!("write {}", quoted(bare)),
        };
        return Err(invalid(format!("the {what} {} has blanks around it", quoted(text)), help));
    }
    if text.len() > MAX_LEN || text.chars().any(is_control) {
        return Err(invalid(
            format!("the {what} {} is not one line of at most {MAX_LEN} bytes", quoted(text)),
            "write a shorter one, without control characters",
        ));
    }
    if let Some(found) = hidden(text) {
        let message = format!("the {what} {} has the invisible character U+{:04X}", quoted(text), u32::from(found));
        return Err(invalid(message, "write it with characters that readers see"));
    }
    Ok(())
}
