//! The registry: against a model in memory, through the library and through the command.

pub(crate) mod machine;
pub(crate) mod raw;
mod references;
mod rules;
