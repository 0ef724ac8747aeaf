//! The usage of tokens and grants: from decision logs or a registry.

use std::path::PathBuf;

use anyhow::{Context, bail};
use portcullis::base::Timestamp;
use portcullis::decision::Replay;
use portcullis::model::Token;
use portcullis_audit::usage::Usage;
use portcullis_registry::{Location, Registry};

use crate::input::Opened;
use crate::output::Inputs;
use crate::policy::{PolicyArgs, ReadPolicy};

#[derive(Debug, clap::Args)]
pub(super) struct UsageArgs {
    /// Read usage from these decision logs
    ///
    /// A token or grant is used if the log has a request that it allowed. Without logs, the usage that a registry recorded
    /// counts. A log may be compressed with gzip or zstd, and in the frames of Docker or CRI. `-` is standard input.
    #[arg(long = "log", alias = "usage", value_name = "FILE", num_args = 1..)]
    logs: Vec<PathBuf>,
}

impl UsageArgs {
    /// Adds the files of the option to `inputs`.
    pub(super) fn add_inputs(&self, inputs: &mut Inputs) {
        inputs.add_all(&self.logs);
    }

    /// Returns the recorded usage; `None` if there is no record.
    pub(super) fn read(&self, policy: &PolicyArgs, read: &ReadPolicy, now: Timestamp) -> anyhow::Result<Option<Usage>> {
        if !self.logs.is_empty() {
            let snapshot = read.snapshot(&policy.compile_options())?;
            let replay = Replay::new(&snapshot);
            let mut usage = Usage::default();
            for path in &self.logs {
                let log = Opened::open(path, "--log")?;
                usage.read(log, &replay, now).with_context(|| format!("cannot use `{}`", path.display()))?;
            }
            if usage.has_no_token_of(read.policy()?) {
                bail!(
                    "cannot tell which grants are used: the logs of `--log` use no token of the policy: give the logs of this policy"
                );
            }
            return Ok(Some(usage));
        }
        let Some(url) = policy.registry()? else { return Ok(None) };
        let location: Location = url.parse()?;
        let recorded = Registry::open(&location, false)?.usage()?;
        let first_made = read.policy()?.tokens().iter().filter_map(Token::created_at).min();
        // An empty record means that no server has recorded usage, not that tokens are unused.
        if recorded.is_empty() {
            return Ok(None);
        }
        let mut usage = Usage::default();
        for (token, used) in recorded {
            usage.add_token(&token, used.allowed, used.last_used);
        }
        if let Some(first_made) = first_made {
            usage.covers(first_made, now);
        }
        Ok(Some(usage))
    }
}
