//! Tests of the command line that run the binary.

mod audit;
mod audit_calls;
mod audit_exposure;
mod audit_hints;
mod audit_lint;
mod audit_report;
mod audit_sarif;
mod audit_suggest;
mod audit_unknown;
mod check;
mod check_token_id;
mod command_blocks;
mod compile;
mod first;
mod generated;
mod help;
mod hostile_text;
mod inputs;
mod inspect;
mod listings;
mod logs;
mod once;
mod outputs;
#[cfg(feature = "parquet")]
mod parquet;
mod permissions;
mod policy_forms;
mod read;
mod registry;
mod replay;
mod request_files;
mod requests;
mod scan;
mod scan_foreign;
mod util;
mod validate;
