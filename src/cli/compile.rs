//! A policy to a file that loads without compiling.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use portcullis::snapshot::{ContentId, Snapshot};
use serde::Serialize;

use super::Exit;
use super::output::{Color, Format, Stdout, bytes, counted};
use super::policy::PolicyArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis compile --policy tokens.json connections.json --output policy.pcls
  portcullis check --policy policy.pcls --requests requests.jsonl

The file is taken wherever a policy is, and loads without compiling. The same policy always gives
the same file, which is known by the SHA-256 of its contents. It holds digests of secrets, and no
secret; other versions of portcullis may not read it, so keep the documents.";

/// Compile a policy to a file that loads at once
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The file to write; one that is there is replaced, all at once
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// `text` for people, `json` for programs
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// What was written, as programs read it.
#[derive(Serialize)]
struct WrittenJson {
    content_id: String,
    bytes: u64,
    tokens: usize,
    grants: usize,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let Some(snapshot) = args.policy.snapshot(color)? else { return Ok(Exit::Failure) };
    let report = snapshot.report();
    if report.content_id.is_some() {
        bail!("the policy is compiled already: give the documents that it was compiled from");
    }
    let name = args.output.display();
    let (id, length) = write(&snapshot, &args.output).with_context(|| format!("cannot write `{name}`"))?;
    let mut out = Stdout::lock();
    match args.format {
        Format::Text => {
            let (tokens, grants) =
                (counted(report.tokens as u64, "token"), counted(report.grant_count() as u64, "grant"));
            let size = bytes(usize::try_from(length).unwrap_or(usize::MAX));
            writeln!(out, "{name}: {tokens}, {grants}, {size}\n{id}")?;
        }
        Format::Json => {
            let (tokens, grants) = (report.tokens, report.grant_count());
            let written = WrittenJson { content_id: id.to_string(), bytes: length, tokens, grants };
            serde_json::to_writer_pretty(&mut out, &written)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Success)
}

/// Writes beside `path` and then puts the whole in its place, so that no reader ever finds half of it.
fn write(snapshot: &Snapshot, path: &Path) -> anyhow::Result<(ContentId, u64)> {
    let mut beside = OsString::from(path);
    beside.push(format!(".{}.new", std::process::id()));
    let written = (|| {
        let mut file = File::create_new(&beside)?;
        let id = snapshot.write(&mut file)?;
        file.sync_all()?;
        let length = file.metadata()?.len();
        fs::rename(&beside, path)?;
        anyhow::Ok((id, length))
    })();
    if written.is_err() {
        // What went wrong is told; there is nothing more to say about this.
        let _ = fs::remove_file(&beside);
    }
    written
}
