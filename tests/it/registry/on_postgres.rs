//! The tests of both databases, on PostgreSQL. Without a server, they run on SQLite again.
#![allow(clippy::duplicate_mod, reason = "the same tests run on both databases")]

use portcullis_registry::Registry;

use super::{RunSql, on_sqlite};
use crate::postgres::Cluster;

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

pub(super) fn empty() -> Registry {
    let Some(cluster) = Cluster::shared() else { return Registry::in_memory().unwrap() };
    Registry::open(&cluster.database().location(), true).unwrap()
}

/// Returns an empty registry, and a function by which another program runs SQL on it.
fn empty_with_sql() -> (Registry, RunSql) {
    let Some(cluster) = Cluster::shared() else { return on_sqlite::empty_with_sql() };
    let database = cluster.database();
    let registry = Registry::open(&database.location(), true).unwrap();
    let mut raw = database.raw();
    let sql = move |sql: &str| raw.run(&format!("SET search_path TO portcullis; {sql}")).unwrap();
    (registry, Box::new(sql))
}
