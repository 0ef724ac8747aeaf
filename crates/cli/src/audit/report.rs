//! An audit as one HTML page.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis_audit::catalog::sha256;
use portcullis_audit::lint::{Evidence, LintOptions, Names, lint};
use portcullis_audit::reads::Followed;
use portcullis_audit::report::{Report, SchemaCounts, is_page, page};

use super::catalog::{self, CatalogArgs};
use super::reads::ReadsArgs;
use super::usage::UsageArgs;
use crate::Exit;
use crate::output::{Color, Inputs, OwnFormat, Target, cannot_read, counted, is_stdin};
use crate::policy::PolicyArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis audit report --policy policy.json --catalog catalog.csv \\
      --output audit.html
  portcullis audit report --db sqlite:registry.db --output audit.html

Exit codes: 0 written; 2 error, or the catalog was not read completely: then the
page covers only the rows that were read.";

/// Write an audit as one HTML page
///
/// The page shows the exposure, which tokens read what, expiries and findings. It holds no secret and loads nothing from
/// the network.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Write to this file; `-` is standard output
    ///
    /// An existing report is replaced atomically; no other file is replaced.
    #[arg(short, long, alias = "report", value_name = "FILE.html")]
    output: PathBuf,
    /// Set the page title [default: names of the policy files]
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

const PAGE: OwnFormat = OwnFormat { name: "a report of portcullis", starts: is_page };

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let mut inputs = Inputs::default();
    args.policy.add_inputs(&mut inputs)?;
    args.reads.add_inputs(&mut inputs);
    args.usage.add_inputs(&mut inputs);
    inputs.add_all(&args.catalog.catalog);
    let target = Target::new(&args.output, &inputs, PAGE)?;
    let Some(read) = args.policy.documents(color, true)? else { return Ok(Exit::Failure) };
    let (policy, now) = (read.policy()?, SystemClock.now());
    let files: Vec<&str> = read.inputs.iter().map(|input| file_name(input.name())).collect();
    let followed = Followed::of(policy, &args.reads.named_sources(&args.policy, &[policy], color)?);
    let content = read.snapshot(&args.policy.compile_options())?.content_id()?;
    let mut report = Report::new(args.title.clone().unwrap_or_else(|| files.join(", ")), policy, now);
    report = report.with_content(content).with_queries(policy, &followed);
    let (mut names, mut complete) = (None, true);
    if let Some(path) = &args.catalog.catalog {
        let (mut tally, mut catalog_names) = (SchemaCounts::following(policy, now, &followed), Names::of(policy));
        let progress = catalog::each(path, &args.catalog, &[policy], color, |connection, name| {
            catalog_names.see(connection, name) && tally.see(connection, name)
        })?;
        complete = progress.complete;
        report.catalog_sha256 = digest(path)?;
        let path = path.to_string_lossy();
        let name = file_name(&path);
        if progress.interrupted {
            report = report.with_catalog(format!("{name}, its first {}", counted(progress.rows, "row")), &tally);
        } else {
            report = report.with_catalog(name, &tally);
            // A name that is missing may be in a row that was not read.
            names = Some(catalog_names).filter(|_| complete);
        }
    }
    let usage = args.usage.read(&args.policy, &read, now, color)?;
    let evidence = Evidence { names, usage: usage.as_ref() };
    let findings = lint(&read.inputs, &read.loaded, &LintOptions::at(now), evidence)?;
    let page = page(&report.with_findings(&findings));
    target.write(|out| Ok(out.write_all(page.as_bytes())?))?;
    Ok(if complete { Exit::Success } else { Exit::Failure })
}

/// The name of a file without its folders: readers of the page must not learn them.
fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The digest of a catalog; `None` if it is a stream, which can be read only once.
fn digest(path: &Path) -> anyhow::Result<Option<String>> {
    if is_stdin(path) {
        return Ok(None);
    }
    let digest =
        File::open(path).and_then(|file| if file.metadata()?.is_file() { sha256(file).map(Some) } else { Ok(None) });
    digest.with_context(|| cannot_read(path))
}
