//! Options for keeping a policy up to date.

use std::path::PathBuf;

use super::files::Timing;
use portcullis::snapshot::Options;
use portcullis_document::load::MAX_PROBLEMS;

/// The default maximum size of the files of a policy: 256 MiB, about 1,000,000 compiled tokens.
pub const MAX_BYTES: u64 = 256 << 20;

/// Options for keeping a policy up to date.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// Whether tokens with errors are skipped. Otherwise one error rejects the policy.
    pub skip_invalid: bool,
    /// The maximum number of errors that a report of an invalid policy has.
    pub max_errors: usize,
    /// Whether to reject a policy that allows any request that the active policy denies.
    pub only_narrow: bool,
    /// The options of the compilation.
    pub compile: Options,
    /// The directory in which the last valid policy is saved. `None`, the default, saves nothing.
    pub state_dir: Option<PathBuf>,
    /// The maximum size of all files of the policy together, in bytes. Larger files are not read.
    pub max_bytes: u64,
    /// The delays and timeouts.
    pub timing: Timing,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            skip_invalid: false,
            max_errors: MAX_PROBLEMS,
            only_narrow: false,
            compile: Options::default(),
            state_dir: None,
            max_bytes: MAX_BYTES,
            timing: Timing::default(),
        }
    }
}
