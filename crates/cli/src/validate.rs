//! Validates documents and reports every problem.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Escaped;
use portcullis_document::load::{Count, Diagnostic, Input, LoadOptions, Loaded, Severity, Unreadable, load};
use serde::Serialize;

use super::Exit;
use super::bounds::{self, MAX_COUNT};
use super::output::{Color, Format, Painted, Stdout, counted, grouped, is_stdin, write_json};
use super::plain::plain;
use super::policy::registry;
use super::policy::{MAX_ERRORS, count, read_one, render};

const EXAMPLES: &str = "\
Examples:
  portcullis validate policy.json
  portcullis validate --deny-warnings policies/*.json
  portcullis validate --together connections.json tokens.jsonl
  curl https://example.com/tokens |
      portcullis validate --format json - | jq .diagnostics

Exit codes: 0 all valid; 1 some invalid; 2 some unreadable.";

/// Check policy documents and report every error
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Policy documents; `-` is standard input
    ///
    /// A JSON object, a JSON list of tokens, or JSON Lines.
    #[arg(value_name = "FILE", required_unless_present = "db")]
    files: Vec<PathBuf>,
    /// Check a registry instead: `sqlite:registry.db`
    #[arg(long, value_name = "URL", conflicts_with_all = ["files", "together"])]
    db: Option<String>,
    /// Check the documents as parts of one policy
    ///
    /// Without this option each document is a policy of its own.
    #[arg(long)]
    together: bool,
    /// Accept a document if only tokens have errors
    ///
    /// As `--skip-invalid` of the other commands, which leave these tokens out.
    #[arg(long)]
    skip_invalid: bool,
    /// Treat warnings as errors
    #[arg(long)]
    deny_warnings: bool,
    /// Show at most this many errors, and as many warnings
    ///
    /// The totals include all of them. `json` has `"cut": true` if it leaves some out.
    #[arg(long, value_name = "COUNT", default_value_t = MAX_ERRORS, value_parser = bounds::count::<1, MAX_COUNT>)]
    max_errors: usize,
    /// Print `text` or `json`
    ///
    /// `json` prints one object for each file, one a line.
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    if args.files.iter().filter(|file| is_stdin(file)).count() > 1 {
        anyhow::bail!("`-` is given more than once: standard input can be read only once");
    }
    let mut report = Report { args, paint: color.on(&io::stdout()), out: Stdout::lock(), exit: Exit::Success };
    let mut inputs = Vec::new();
    if let Some(url) = &args.db {
        inputs.push(registry::policy(url)?);
    }
    for file in &args.files {
        match read_one(file, "FILE") {
            Ok(input) if args.together => inputs.push(input),
            Ok(input) => report.documents(&[input])?,
            Err(error) => report.unreadable(file, &error, color)?,
        }
    }
    report.documents(&inputs)?;
    report.out.flush()?;
    Ok(report.exit)
}

struct Report<'a> {
    args: &'a Args,
    paint: bool,
    out: Stdout,
    exit: Exit,
}

/// The result for one file, as JSON.
#[derive(Serialize)]
struct FileJson<'a> {
    file: &'a str,
    valid: bool,
    /// The numbers of all errors and warnings.
    errors: usize,
    warnings: usize,
    /// Whether `diagnostics` has only the first of them: `--max-errors` shows more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    diagnostics: &'a [&'a Diagnostic],
}

impl Report<'_> {
    fn documents(&mut self, inputs: &[Input]) -> anyhow::Result<()> {
        let options = LoadOptions {
            skip_invalid: self.args.skip_invalid,
            warnings: true,
            now: Some(SystemClock.now()),
            max_errors: self.args.max_errors,
            max_warnings: self.args.max_errors,
            ..LoadOptions::default()
        };
        let loaded = load(inputs, &options);
        let all: Vec<_> = loaded.diagnostics.iter().collect();
        if self.args.format == Format::Text {
            let mut text = String::new();
            render(inputs, &all, self.paint, &mut text)?;
            self.out.write_all(text.as_bytes())?;
        }
        for (input, total) in inputs.iter().zip(loaded.counts()) {
            let own: Vec<_> = all.iter().copied().filter(|diagnostic| diagnostic.file == input.name()).collect();
            self.file(input, &own, *total, &loaded)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        input: &Input,
        diagnostics: &[&Diagnostic],
        total: Count,
        loaded: &Loaded,
    ) -> anyhow::Result<()> {
        let Count { errors, warnings } = total;
        let usable = loaded.policy.is_some() || errors == 0;
        let valid = usable && !(self.args.deny_warnings && warnings > 0);
        if !valid {
            self.exit = self.exit.max(Exit::No);
        }
        match self.args.format {
            Format::Json => {
                let cut = diagnostics.len() < errors + warnings;
                let json = FileJson { file: input.name(), valid, errors, warnings, cut, diagnostics };
                write_json(&mut self.out, &json)?;
                writeln!(self.out)?;
            }
            Format::Text => {
                let status =
                    if valid { Painted::green(self.paint, "valid") } else { Painted::red(self.paint, "invalid") };
                let errors = total_shown(errors, "error", count(diagnostics, Severity::Error));
                let warnings = total_shown(warnings, "warning", count(diagnostics, Severity::Warning));
                write!(self.out, "{}: {status}, {errors}, {warnings}", Escaped::whole(input.name()))?;
                match loaded.skipped {
                    0 => writeln!(self.out)?,
                    skipped => writeln!(self.out, ", {} left out", counted(skipped as u64, "token"))?,
                }
            }
        }
        Ok(())
    }

    fn unreadable(&mut self, file: &Path, error: &anyhow::Error, color: Color) -> anyhow::Result<()> {
        self.exit = Exit::Failure;
        let unreadable = error.downcast_ref::<Unreadable>();
        let error = plain(&error.to_string());
        if self.args.format == Format::Json {
            let file = unreadable.map_or_else(|| file.display().to_string(), |unreadable| unreadable.file.clone());
            let (message, help) =
                error.split_once("; help: ").unwrap_or((&error, "name a file that exists, may be read, and is UTF-8"));
            let diagnostic = Diagnostic {
                severity: Severity::Error,
                code: "unreadable",
                file: file.clone(),
                path: String::new(),
                line: 1,
                column: 1,
                span: None,
                message: message.to_owned().into(),
                help: help.to_owned().into(),
            };
            let diagnostics = &[&diagnostic];
            let json = FileJson { file: &file, valid: false, errors: 1, warnings: 0, cut: false, diagnostics };
            write_json(&mut self.out, &json)?;
            writeln!(self.out)?;
        }
        // Keeps the order of both streams on a terminal.
        self.out.flush()?;
        let mut stderr = io::stderr().lock();
        Ok(writeln!(stderr, "{} {}", Painted::red(color.on(&stderr), "error:"), Escaped::lines(&error))?)
    }
}

/// A total, with the number that is shown if that is smaller: `2,000 errors (100 shown)`.
pub(super) fn total_shown(total: usize, noun: &str, shown: usize) -> String {
    let text = counted(total as u64, noun);
    if shown < total { format!("{text} ({} shown)", grouped(shown as u64)) } else { text }
}
