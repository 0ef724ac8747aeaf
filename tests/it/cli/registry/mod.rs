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
mod read_only;
mod unloadable;

use super::util::{Dir, TestCommand};

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
}
