//! The usage of tokens and grants: from decision logs or a registry.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use portcullis::base::{Timestamp, quoted};
use portcullis::decision::Replay;
use portcullis::model::Token;
use portcullis_audit::usage::Usage;
use portcullis_registry::{Location, Registry};

use crate::input::Opened;
use crate::output::{Color, Inputs, Painted};
use crate::policy::{PolicyArgs, ReadPolicy};

#[derive(Debug, clap::Args)]
pub(super) struct UsageArgs {
    /// Read usage from these decision logs
    ///
    /// A token or grant is used if the log has a request that it allowed. Without logs, the usage that a registry recorded
    /// counts. A log may be compressed with gzip or zstd, and in the frames of containers, journald, syslog and log
    /// collectors. `-` is standard input.
    #[arg(long = "log", alias = "usage", value_name = "FILE", num_args = 1..)]
    logs: Vec<PathBuf>,
}

impl UsageArgs {
    /// Adds the files of the option to `inputs`.
    pub(super) fn add_inputs(&self, inputs: &mut Inputs) {
        inputs.add_all(&self.logs);
    }

    /// Returns the recorded usage; `None` if there is no record.
    pub(super) fn read(
        &self,
        policy: &PolicyArgs,
        read: &ReadPolicy,
        now: Timestamp,
        color: Color,
    ) -> anyhow::Result<Option<Usage>> {
        if !self.logs.is_empty() {
            let snapshot = read.snapshot(&policy.compile_options())?;
            let replay = Replay::new(&snapshot);
            let mut usage = Usage::default();
            for path in &self.logs {
                let log = Opened::open(path, "--log")?;
                usage.read(log, &replay, now).with_context(|| format!("cannot use `{}`", path.display()))?;
            }
            usage.check(read.policy()?)?;
            note_apis(&usage.apis_without_requests(read.policy()?), color)?;
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

/// Notes the APIs without requests in the logs, on standard error.
pub(super) fn note_apis(missing: &[&str], color: Color) -> anyhow::Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let apis: Vec<String> = missing.iter().map(|api| quoted(api)).collect();
    let apis = apis.join(", ");
    let what = "tokens and grants that are needed only there look unused";
    note(color, &format!("the logs have no request under {apis}: {what}"))
}

/// Writes a note to standard error.
pub(super) fn note(color: Color, text: &str) -> anyhow::Result<()> {
    let mut stderr = io::stderr().lock();
    let label = Painted::bold(color.on(&stderr), "note:");
    Ok(writeln!(stderr, "{label} {text}")?)
}
