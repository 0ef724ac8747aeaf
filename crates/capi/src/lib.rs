//! The C API of Portcullis: gateways that are not written in Rust decide requests in their own process.
//!
//! The header `include/portcullis.h` is generated from this crate and describes each function. `docs/embedding.md` has
//! an example, and the rules for memory, threads and forks.
//!
//! All functions fail closed. A NULL pointer, text that is not UTF-8, a length above a limit and a panic are denials,
//! or errors of the functions that open a policy.
//!
//! This crate and the bindings of the Envoy module are the only ones of the workspace with `unsafe`. [`abi`] declares what crosses the border, `borrow` reads what a
//! caller passes, and `handle` owns what a caller holds. All other modules are ordinary code over these.

pub mod abi;
mod borrow;
mod decide;
mod explain;
mod forks;
mod guard;
mod handle;
mod http;
mod open;
mod options;
mod report;
mod request;
mod signals;
mod string;

pub use decide::pcl_decide;
pub use explain::pcl_explain;
pub use handle::pcl_policy;
pub use http::{pcl_answer_free, pcl_decide_http, pcl_needs_body};
pub use open::{pcl_live_open, pcl_open_bytes, pcl_open_file, pcl_policy_free};
pub use report::{pcl_generation, pcl_last_error, pcl_metrics, pcl_reload, pcl_version};
pub use string::{pcl_string, pcl_string_free, pcl_string_text};
