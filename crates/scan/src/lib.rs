//! Finds leaked secrets, offline: in files, archives and git repositories.
//!
//! A secret has a prefix, random characters and check digits ([`portcullis_secret`]). The scanner searches for the
//! prefixes and confirms each candidate by its check digits, so it reports no false positives.
//!
//! - [`Detector`] finds secrets in bytes: as UTF-8, UTF-16, base64, and with percent or JavaScript escapes.
//! - [`Scanner`] reads streams of any length in constant memory, and opens gzip, zstd, zip and tar.
//! - [`files::scan`] walks folders on all cores. [`git::history`] and [`git::staged`] read a repository.
//!
//! A finding holds the digest of its secret, never the secret. What cannot be read is in [`Report::unread`]: a report
//! without findings is complete only if that list is empty.
//!
//! ```
//! use portcullis_scan::{Detector, Limits, Prefixes, Scanner};
//! use portcullis_secret::{Secret, SecretKind};
//!
//! let detector = Detector::new(&Prefixes::default())?;
//! let secret = Secret::mint(SecretKind::Token)?;
//! let text = format!("const TOKEN = '{}';\n", secret.expose());
//! let mut scanner = Scanner::new(&detector, Limits::default());
//! scanner.stream("config.js", &mut text.as_bytes());
//! let report = scanner.into_report();
//! assert_eq!(report.findings.len(), 1);
//! assert_eq!(report.findings[0].digest, secret.digest());
//! assert_eq!((report.findings[0].line, report.findings[0].column), (1, 16));
//! assert!(report.unread.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod detector;
mod escape;
pub mod files;
pub mod git;
mod prefixes;
mod report;
mod scanner;
mod sparse;
mod text;

pub use detector::{Detector, Encoding};
pub use prefixes::{Prefix, PrefixError, Prefixes};
pub use report::{Commit, Finding, History, Report, Unread};
pub use scanner::{Limits, Scanner};
