//! Policy documents: JSON or JSON Lines that define connections, APIs and tokens, read into valid policies.
//!
//! - [`definition`]: a document as it is written, with the position of every value.
//! - [`lower`](mod@lower): definitions into a [`Policy`](portcullis::Policy), with every problem and its fix.
//! - [`load`]: files and readers, diagnostics with line and column, warnings.
//!
//! ```
//! let policy = portcullis_document::read_policy(
//!     r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["lds"]}]"#,
//! )?;
//! assert_eq!(policy.tokens()[0].id(), "a");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod definition;
pub mod load;
pub mod lower;

pub use load::policy as read_policy;
