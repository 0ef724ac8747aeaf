//! How a policy is kept live.

use std::path::PathBuf;

use super::files::Timing;
use portcullis::snapshot::Options;

/// The maximum size of a policy's files, unless said otherwise: 256 MiB, about 1,000,000 tokens compiled.
pub const MAX_BYTES: u64 = 256 << 20;

/// How a policy is kept live.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    /// Whether tokens with errors are left out instead of refusing the policy.
    pub skip_invalid: bool,
    /// Whether a policy that allows what the active one denies is refused, as one that cannot be read is.
    pub only_narrow: bool,
    /// How to compile.
    pub compile: Options,
    /// Where the last good policy is kept; nowhere unless said.
    pub state_dir: Option<PathBuf>,
    /// The maximum size of all files of the policy together, in bytes. Larger files are not read.
    pub max_bytes: u64,
    /// How long to wait for what.
    pub timing: Timing,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            skip_invalid: false,
            only_narrow: false,
            compile: Options::default(),
            state_dir: None,
            max_bytes: MAX_BYTES,
            timing: Timing::default(),
        }
    }
}
