//! A policy to a file that loads without compiling.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;
use serde::Serialize;

use super::Exit;
use super::output::{Color, Format, Inputs, Stdout, Target, bytes, counted};
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
    /// Write this file; one that is there is replaced, all at once. `-` is standard output
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
    let mut inputs = Inputs::default();
    args.policy.add_inputs(&mut inputs)?;
    let target = Target::new(&args.output, &inputs)?;
    let Some(snapshot) = args.policy.snapshot(color)? else { return Ok(Exit::Failure) };
    let report = snapshot.report();
    if report.content_id.is_some() {
        bail!("the policy is compiled already: give the documents that it was compiled from");
    }
    let (id, length) = target.write(|out| {
        let mut out = Counting { out, bytes: 0 };
        let id = snapshot.write(&mut out)?;
        Ok((id, out.bytes))
    })?;
    let (mut stdout, mut stderr);
    // Beside the policy itself, standard output has no room for a summary.
    let out: &mut dyn Write = if target.is_stdout() {
        stderr = io::stderr().lock();
        &mut stderr
    } else {
        stdout = Stdout::lock();
        &mut stdout
    };
    match args.format {
        Format::Text => {
            let (tokens, grants) =
                (counted(report.tokens as u64, "token"), counted(report.grant_count() as u64, "grant"));
            let size = bytes(usize::try_from(length).unwrap_or(usize::MAX));
            writeln!(out, "{}: {tokens}, {grants}, {size}\n{id}", args.output.display())?;
        }
        Format::Json => {
            let (tokens, grants) = (report.tokens, report.grant_count());
            let written = WrittenJson { content_id: id.to_string(), bytes: length, tokens, grants };
            serde_json::to_writer_pretty(&mut *out, &written)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Success)
}

/// Counts the bytes that are written.
struct Counting<'w> {
    out: &'w mut dyn Write,
    bytes: u64,
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
