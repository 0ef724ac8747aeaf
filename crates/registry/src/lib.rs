//! The registry of credentials: tokens, OAuth clients, connections and named sources, in an embedded database.
//!
//! Every change is one transaction, which adds one to the [`revision`](Registry::revision) and tells the
//! [`trail`](Registry::trail) who did what. Tokens are read by the very same rules as policy files, so what the registry
//! holds always compiles. Secrets are made here, shown once, and kept as digests only.
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
//! Whoever can open the database can change all of it: [`Actor`] says who acts and keeps users out of each other's way, but
//! it is the permissions of the file that keep strangers out.
#![forbid(unsafe_code)]

mod changes;
mod clients;
mod connections;
mod definition;
mod error;
mod location;
mod named_sources;
pub mod owner_only;
pub mod record;
pub mod secret;
mod sqlite;
mod storage;
mod tokens;
mod transfer;
mod words;

use serde::Serialize;

pub use changes::Changes;
pub use clients::{ClientEdit, CreatedClient};
pub use connections::{Reread, UpdatedConnection};
pub use error::{Advice, RegistryError, Result};
pub use location::Location;
pub use named_sources::NamedSourceEdit;
pub use tokens::{Created, NewToken, Rotated, TokenEdit};
pub use transfer::Imported;

use error::invalid;
use portcullis::base::Timestamp;
use record::TrailEntry;
use sqlite::SqliteStorage;
use storage::{Records, Storage};
use words::quoted;

/// A registry that is open. Several processes may have the same one open: readers see what was last committed, writers wait
/// for each other.
pub struct Registry {
    storage: Box<dyn Storage>,
}

/// Who acts, and when.
#[derive(Debug, Clone)]
pub struct Actor {
    user: String,
    all_users: bool,
    now: Timestamp,
}

impl Actor {
    /// `user` acts at `now`, on what is theirs and on what is everybody's.
    ///
    /// # Errors
    ///
    /// If `user` is empty, has control characters or is longer than 255 bytes.
    pub fn new(user: impl Into<String>, now: Timestamp) -> Result<Self> {
        let user = user.into();
        check_text("user", &user)?;
        Ok(Self { user, all_users: false, now: Timestamp::from_unix(now.seconds(), 0) })
    }

    /// The same as an administrator: on what is others', too.
    #[must_use]
    pub fn for_all_users(self) -> Self {
        Self { all_users: true, ..self }
    }

    /// Whether what `owner` owns is shown to them, and theirs to change.
    fn may(&self, owner: &str) -> bool {
        self.all_users || self.user == owner
    }
}

impl Registry {
    /// Opens the registry at `location`. With `create`, makes it where there is none, and brings one of an earlier version up
    /// to date.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, is the database of something else, or of a newer version, or its log was removed.
    pub fn open(location: &Location, create: bool) -> Result<Self> {
        Ok(Self { storage: Box::new(SqliteStorage::open(location.path(), create)?) })
    }

    /// A registry that is gone when it is dropped.
    ///
    /// # Errors
    ///
    /// If the system is out of memory or threads.
    pub fn in_memory() -> Result<Self> {
        Ok(Self { storage: Box::new(SqliteStorage::in_memory()?) })
    }

    /// How many changes were committed. Recorded usage is no change: no decision depends on it. Cheap: one row.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn revision(&mut self) -> Result<u64> {
        self.storage.read()?.revision()
    }

    /// A number that is another one once another process has committed anything, usage included; of no other meaning.
    /// Cheaper than [`revision`](Self::revision): it reads no table.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn data_version(&mut self) -> Result<u64> {
        self.storage.data_version()
    }

    /// Checks that the files that are open are still those at the registry's path. Every read and write checks it first.
    ///
    /// # Errors
    ///
    /// If one was replaced or removed. Only a registry that is opened anew is the one that the path names.
    pub fn check_files(&self) -> Result<()> {
        self.storage.check_files()
    }

    /// What was changed, oldest first: by the user, of what is theirs, and of what is everybody's; all of it for an
    /// administrator.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn trail(&mut self, actor: &Actor) -> Result<Vec<TrailEntry>> {
        let mut trail = self.storage.read()?.trail()?;
        trail.retain(|entry| entry.owner.as_deref().is_none_or(|owner| actor.may(owner)) || entry.user == actor.user);
        Ok(trail)
    }

    fn change<'r>(&'r mut self, actor: &'r Actor) -> Result<Change<'r>> {
        Ok(Change { records: self.storage.write()?, actor, revision: None })
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// One change in the making. Dropped without [`commit`](Self::commit), nothing happened.
struct Change<'r> {
    records: Box<dyn Records + 'r>,
    actor: &'r Actor,
    /// The revision that it makes, once there is something to tell of.
    revision: Option<u64>,
}

/// What a change is made to.
struct Subject<'a> {
    kind: &'static str,
    id: &'a str,
    owner: Option<&'a str>,
}

impl Change<'_> {
    /// Tells the trail what is done to `subject`.
    fn note<T: Serialize>(
        &mut self,
        action: &str,
        subject: &Subject<'_>,
        before: Option<&T>,
        after: Option<&T>,
    ) -> Result<()> {
        let revision = match self.revision {
            Some(revision) => revision,
            None => self.records.next_revision()?,
        };
        self.revision = Some(revision);
        let json = |value: Option<&T>| value.and_then(|value| serde_json::to_value(value).ok());
        self.records.append(&TrailEntry {
            number: 0,
            revision,
            at: self.actor.now,
            user: self.actor.user.clone(),
            action: action.to_owned(),
            kind: subject.kind.to_owned(),
            id: subject.id.to_owned(),
            owner: subject.owner.map(ToOwned::to_owned),
            before: json(before),
            after: json(after),
        })
    }

    /// Makes it last; where there was nothing to tell of, there is nothing to keep.
    fn commit(self) -> Result<()> {
        if self.revision.is_some() { self.records.commit() } else { Ok(()) }
    }
}

/// Checks what people may call things: one line, not empty, no secret.
fn check_text(what: &str, text: &str) -> Result<()> {
    const LONGEST: usize = 255;
    if secret::is_held_by(text) {
        return Err(invalid(
            format!("the {what} holds a secret"),
            "what is stored here is shown to others: leave it out",
        ));
    }
    if text.trim().is_empty() {
        return Err(invalid(format!("the {what} is empty"), "write what people are to call it"));
    }
    if text.len() > LONGEST || text.chars().any(char::is_control) {
        return Err(invalid(
            format!("the {what} {} is not one line of at most {LONGEST} bytes", quoted(text)),
            "write a shorter one, without control characters",
        ));
    }
    Ok(())
}
