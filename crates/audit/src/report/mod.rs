//! An audit as one page: HTML that holds all it needs, to be read anywhere and sent to anybody.
//!
//! [`Report`] is plain data, made of a policy, of findings, and of what a [`SchemaCounts`] saw of a catalog; [`page`] is a pure
//! function of it. The page has no script, asks no network (its own content
//! security policy forbids it), follows the reader's light or dark colours, and shows the numbers behind each chart as a
//! table. Whatever a policy calls its tokens and tables is text in it, never markup. No secret is part of the data.
//!
//! ```
//! use portcullis_audit::report::{Report, page};
//!
//! let report = Report { title: "<script>".into(), made: "2026-11-24T12:00:00Z".parse()?, ..Report::default() };
//! let page = page(&report);
//! assert!(page.starts_with("<!DOCTYPE html>") && page.contains("&lt;script&gt;") && !page.contains("<script"));
//! # Ok::<(), portcullis::base::InstantError>(())
//! ```

mod bars;
mod data;
mod findings;
mod matrix;
mod numbers;
mod page;
mod policy;
mod schema_counts;
mod timeline;

pub use data::{Exposed, ExposedSchema, Exposure, FindingRow, Lives, Matrix, MatrixRow, Month, Report};
pub use page::page;
pub use schema_counts::SchemaCounts;
