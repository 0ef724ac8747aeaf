//! Tests of the command line that run the binary.

mod audit;
mod audit_calls;
mod audit_exposure;
mod audit_hints;
mod audit_lint;
mod audit_report;
mod audit_sarif;
mod audit_story;
mod audit_suggest;
mod check;
mod compile;
mod first;
mod generated;
mod hostile_text;
mod inspect;
mod outputs;
#[cfg(feature = "parquet")]
mod parquet;
mod permissions;
mod read;
mod registry;
mod replay;
mod requests;
mod util;
mod validate;
