//! An audit as one page.

use std::path::{Path, PathBuf};

use portcullis::authorizer::{Clock, SystemClock};
use portcullis_audit::lint::{Evidence, LintOptions, Names, lint};
use portcullis_audit::reads::Followed;
use portcullis_audit::report::{Report, SchemaCounts, page};

use super::catalog::{self, CatalogArgs};
use super::reads::ReadsArgs;
use super::usage::UsageArgs;
use crate::Exit;
use crate::output::{Color, Inputs, Target, counted};
use crate::policy::PolicyArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis audit report --policy policy.json --catalog catalog.csv --report audit.html
  portcullis audit report --db sqlite:registry.db --report audit.html

Exit codes: 0 written, 2 error, or not all of the catalog was read: the page tells of what was.";

/// Write an audit as one HTML page: exposure, who can read what, when tokens end, findings
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Write the page to this file; it holds all that it needs, and no secret. `-` is standard output
    #[arg(long, value_name = "FILE.html")]
    report: PathBuf,
    /// What to call what is reported on [default: the names of the policy's files]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    #[command(flatten)]
    reads: ReadsArgs,
    #[command(flatten)]
    usage: UsageArgs,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let mut inputs = Inputs::default();
    args.policy.add_inputs(&mut inputs)?;
    args.reads.add_inputs(&mut inputs);
    args.usage.add_inputs(&mut inputs);
    inputs.add_all(&args.catalog.catalog);
    let target = Target::new(&args.report, &inputs)?;
    let Some(read) = args.policy.documents(color, true)? else { return Ok(Exit::Failure) };
    let (policy, now) = (read.policy()?, SystemClock.now());
    let files: Vec<&str> = read.inputs.iter().map(|input| file_name(input.name())).collect();
    let mut report = Report::new(args.title.clone().unwrap_or_else(|| files.join(", ")), policy, now);
    let (mut names, mut whole) = (None, true);
    if let Some(path) = &args.catalog.catalog {
        let followed = Followed::of(policy, &args.reads.named_sources(&args.policy)?);
        let (mut tally, mut seen) = (SchemaCounts::following(policy, now, &followed), Names::of(policy));
        let read = catalog::each(path, &args.catalog, policy, color, |connection, name| {
            seen.see(connection, name) && tally.see(connection, name)
        })?;
        whole = read.whole;
        let path = path.to_string_lossy();
        let name = file_name(&path);
        if read.stopped {
            report = report.with_catalog(format!("{name}, its first {}", counted(read.rows, "row")), &tally);
        } else {
            report = report.with_catalog(name, &tally);
            names = Some(seen);
        }
    }
    let usage = args.usage.read(&args.policy, &read, now, color)?;
    let evidence = Evidence { names, usage: usage.as_ref() };
    let findings = lint(&read.inputs, &read.loaded, &LintOptions::at(now), evidence)?;
    let page = page(&report.with_findings(&findings));
    target.write(|out| Ok(out.write_all(page.as_bytes())?))?;
    Ok(if whole { Exit::Success } else { Exit::Failure })
}

/// Folders are nobody's business whom the page is sent to.
fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}
