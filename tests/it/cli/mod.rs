//! Tests of the command line that run the binary.

mod audit;
mod audit_exposure;
mod audit_lint;
mod audit_report;
mod audit_story;
mod audit_suggest;
mod check;
mod check_token_id;
mod compile;
mod first;
mod generated;
mod inspect;
mod outputs;
#[cfg(feature = "parquet")]
mod parquet;
mod permissions;
mod read;
mod registry;
mod replay;
mod requests;
mod scan;
mod util;
mod validate;
