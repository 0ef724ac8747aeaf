//! The registry commands, on a database file.

mod backup;
mod carto;
mod carto_fields;
mod clients;
mod commands;
mod crash;
mod errors;
mod files;
mod missing;
mod model;
mod other_users;
mod postgres;
mod read_only;
mod rejected;
mod unloadable;

use portcullis_registry::Location;

use super::util::{Dir, TestCommand};
use crate::postgres::Cluster;

impl Dir {
    /// A command on the registry of this directory, as `ana`.
    fn ana(&self, args: &str) -> TestCommand {
        self.command(args).arg("--db").arg("sqlite:registry.db").arg("--user").arg("ana")
    }

    /// Creates a directory with a registry that has the connection `dw`.
    fn with_registry() -> Self {
        let dir = Self::new();
        dir.ana("connections add dw").stdout(0);
        dir
    }

    /// Returns an empty registry of each kind: its URL for commands in this directory, and its location.
    fn each_registry(&self) -> Vec<(String, Location)> {
        let mut registries = vec![("sqlite:registry.db".to_owned(), Location::file(self.path("registry.db")))];
        if let Some(cluster) = Cluster::shared() {
            let database = cluster.database();
            registries.push((database.url(), database.location()));
        }
        registries
    }
}
