//! The tests of both databases, on SQLite.
#![allow(clippy::duplicate_mod, reason = "the same tests run on both databases")]

use portcullis_registry::{Location, Registry};

use super::RunSql;
use super::raw::Raw;

#[path = "credentials.rs"]
mod credentials;
#[path = "documents.rs"]
mod documents;
#[path = "lists.rs"]
mod lists;
#[path = "origins.rs"]
mod origins;
#[path = "references.rs"]
mod references;
#[path = "rules.rs"]
mod rules;
#[path = "users.rs"]
mod users;

fn empty() -> Registry {
    Registry::in_memory().unwrap()
}

/// Returns an empty registry, and a function by which another program runs SQL on it.
pub(super) fn empty_with_sql() -> (Registry, RunSql) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::open(&Location::file(folder.path().join("registry.db")), true).unwrap();
    let sql = move |sql: &str| Raw::open(&folder.path().join("registry.db")).run(sql).unwrap();
    (registry, Box::new(sql))
}
