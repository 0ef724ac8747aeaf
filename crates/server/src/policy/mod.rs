//! A policy that changes while it is used.
//!
//! [`LivePolicy`] keeps an [`Authorizer`](portcullis::Authorizer) up to date with a [`Source`]: watched files, or a
//! registry. It reads and compiles on its own thread, one reload at a time. After a failed reload the last good policy
//! stays, and [`Status`] reports the failure. A [`StateDir`] stores the last good policy with digests only, so that a
//! restart with a broken source can use it.
//!
//! ```
//! use portcullis_server::policy::{LiveOptions, LivePolicy, Source};
//! use portcullis::Authorizer;
//!
//! let folder = tempfile::tempdir()?;
//! let file = folder.path().join("policy.json");
//! std::fs::write(&file, r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["lds"]}]"#)?;
//!
//! let authorizer = Authorizer::unavailable();
//! let live = LivePolicy::start(&Source::files([&file])?, authorizer.clone(), LiveOptions::default())?;
//! assert!(live.status().is_ready());
//!
//! // A policy that cannot be read changes nothing but the status.
//! std::fs::write(&file, "[{}]")?;
//! live.reload_now();
//! assert_eq!(authorizer.current().number(), 1);
//! assert!(live.status().report().failure.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod contents;
mod files;
mod keeper;
mod live;
mod message;
mod options;
mod source;
mod start_error;
mod state;
mod status;
mod watch;
mod worker;

pub use contents::Contents;
pub use files::Timing;
pub(crate) use files::read_regular;
pub use live::LivePolicy;
pub use options::{LiveOptions, MAX_BYTES};
pub use source::{Source, SourceError};
pub use start_error::StartError;
pub use state::{StateDir, StateError};
pub use status::{Failure, Origin, Outcome, Reloads, Report, Status};
