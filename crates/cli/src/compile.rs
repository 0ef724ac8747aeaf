//! Compiles a policy to a file.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::bail;
use portcullis::base::Escaped;
use portcullis::snapshot::MAGIC;
use serde::Serialize;

use super::Exit;
use super::output::{Color, Format, Inputs, OwnFormat, Stdout, Target, bytes, counted, write_json_lines};
use super::policy::PolicyArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis compile --policy tokens.json connections.json --output policy.pcls
  portcullis check --policy policy.pcls --requests requests.jsonl

The file is a policy for `check`, `serve`, `read`, `inspect`, `bench` and most
audits. Keep the documents: `validate`, `audit lint`, `audit suggest` and `audit
report` need them, and other versions of portcullis may not read the file. Equal
policies compile to equal files; the SHA-256 of the contents is printed. The file
has digests instead of secrets.";

/// Compile a policy to a file that loads fast
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Write to this file; `-` is standard output
    ///
    /// An existing compiled policy is replaced atomically; no other file is replaced.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Print `text` or `json`
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    policy: PolicyArgs,
}

const COMPILED: OwnFormat = OwnFormat { name: "a compiled policy", starts: |start| start.starts_with(&MAGIC) };

/// The summary as JSON.
#[derive(Serialize)]
struct CompiledJson {
    content_id: String,
    bytes: u64,
    tokens: usize,
    grants: usize,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let mut inputs = Inputs::default();
    args.policy.add_inputs(&mut inputs)?;
    let target = Target::new(&args.output, &inputs, COMPILED)?;
    let Some(snapshot) = args.policy.snapshot(color)? else { return Ok(Exit::Failure) };
    let report = snapshot.report();
    if report.content_id.is_some() {
        bail!("the policy is already compiled: give its documents");
    }
    let (id, length) = target.write(|out| {
        let mut out = Counting { out, bytes: 0 };
        let id = snapshot.write(&mut out)?;
        Ok((id, out.bytes))
    })?;
    let (mut stdout, mut stderr);
    // If the policy goes to standard output, the summary goes to standard error.
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
            let name = args.output.to_string_lossy();
            writeln!(out, "{}: {tokens}, {grants}, {size}\n{id}", Escaped::whole(&name))?;
        }
        Format::Json => {
            let (tokens, grants) = (report.tokens, report.grant_count());
            let summary = CompiledJson { content_id: id.to_string(), bytes: length, tokens, grants };
            write_json_lines(&mut *out, &summary)?;
        }
    }
    out.flush()?;
    Ok(Exit::Success)
}

/// A writer that counts bytes.
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
