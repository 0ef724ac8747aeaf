//! The registry: against a model in memory, through the library and through the command.

mod documents;
mod files;
pub(crate) mod machine;
mod migrations;
pub(crate) mod raw;
mod references;
mod rules;
mod trail;
