//! The usage of tokens and grants: from decision logs or a registry.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use portcullis::base::Timestamp;
use portcullis::decision::Replay;
use portcullis::model::Token;
use portcullis_audit::usage::Usage;
use portcullis_registry::{Location, Registry};

use crate::output::is_stdin;
use crate::output::{Color, Inputs, Painted, cannot_read, counted, file_name, printable};
use crate::policy::{PolicyArgs, ReadPolicy};

#[derive(Debug, clap::Args)]
pub(super) struct UsageArgs {
    /// Read usage from these decision logs
    ///
    /// A token or grant is used if the log has a request that it allowed. Without logs, the usage that a registry recorded
    /// counts.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    usage: Vec<PathBuf>,
}

impl UsageArgs {
    /// Adds the files of the option to `inputs`.
    pub(super) fn add_inputs(&self, inputs: &mut Inputs) {
        inputs.add_all(&self.usage);
    }

    /// Returns the recorded usage; `None` if there is no record.
    pub(super) fn read(
        &self,
        policy: &PolicyArgs,
        read: &ReadPolicy,
        now: Timestamp,
        color: Color,
    ) -> anyhow::Result<Option<Usage>> {
        if !self.usage.is_empty() {
            let snapshot = read.snapshot(&policy.compile_options())?;
            let replay = Replay::new(&snapshot);
            let mut usage = Usage::default();
            for path in &self.usage {
                read_log(path, &replay, now, color, &mut usage)?;
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

fn read_log(path: &Path, replay: &Replay<'_>, now: Timestamp, color: Color, usage: &mut Usage) -> anyhow::Result<()> {
    Inputs::check_stdout(path)?;
    let lines = if is_stdin(path) {
        usage.read(io::stdin().lock(), replay, now)
    } else {
        File::open(path).and_then(|file| usage.read(BufReader::with_capacity(1 << 16, file), replay, now))
    };
    let lines = lines.with_context(|| cannot_read(path))?;
    if let Some((number, error)) = &lines.first_broken {
        let mut stderr = io::stderr().lock();
        let label = Painted::bold(color.on(&stderr), "note:");
        let broken = counted(lines.broken, "line");
        let (name, error) = (file_name(path), printable(&error.to_string()));
        writeln!(stderr, "{label} {name} has {broken} that cannot be read; the first is line {number}: {error}")?;
    }
    Ok(())
}
