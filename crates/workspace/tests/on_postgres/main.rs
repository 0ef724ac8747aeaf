//! The tests of the workspace, on a registry in PostgreSQL. Without a server, they run on SQLite again.

#[path = "../workspace/main.rs"]
mod workspace;
