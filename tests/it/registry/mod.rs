//! The registry: against a model in memory, through the library and through the command.

#[cfg(unix)]
mod additions;
mod bulk;
#[cfg(unix)]
mod durability;
mod files;
pub(crate) mod machine;
mod migrations;
mod on_postgres;
mod on_sqlite;
#[cfg(unix)]
mod postgres;
pub(crate) mod raw;
mod trail;

/// Runs SQL as another program.
type RunSql = Box<dyn FnMut(&str)>;
