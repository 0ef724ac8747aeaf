//! Renders an audit as one self-contained HTML page.
//!
//! [`Report`] is plain data: facts of a policy, findings, and the exposure that [`SchemaCounts`] computes from a
//! catalog. [`page`] is a pure function of it. The page has no script and makes no network request, which its content
//! security policy enforces. It supports light and dark themes, and shows the numbers of each chart as a table. Names
//! of a policy are always text, never markup, and characters that change or hide text are escaped. The data contains no
//! secret and no folder.
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
mod queries;
mod schema_counts;
mod timeline;
mod tokens;

pub use data::{
    CallRow, Exposed, ExposedSchema, Exposure, FindingRow, Lives, Matrix, MatrixRow, Month, Names, Report, TokenRow,
};
pub use page::{is_page, page};
pub use schema_counts::SchemaCounts;
