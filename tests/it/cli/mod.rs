//! The command line, run as a user runs it.

mod audit_lint;
mod audit_report;
mod audit_suggest;
mod check;
mod compile;
mod generated;
mod inspect;
mod registry;
mod replay;
mod requests;
mod util;
mod validate;
