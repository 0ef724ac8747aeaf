//! Finds leaked secrets, and shows what each of them is worth.

mod baseline;
mod foreign;
mod json;
mod revoke;
mod sarif;
mod standing;
mod text;

use std::collections::HashSet;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;
use portcullis::base::{quoted, unexpanded_home};
use portcullis_scan::files::{Globs, Selection};
use portcullis_scan::{Detector, Limits, Prefixes, Report, Scanner, files, git};

use super::Exit;
use super::audit::CatalogArgs;
use super::bounds::{MAX_BYTES, byte_count, count, threads};
use super::input::{self, claim_stdin};
use super::output::{Color, Inputs, is_stdin};
use super::policy::PolicyArgs;
use standing::{Judged, Severity};

const EXAMPLES: &str = "\
Examples:
  portcullis scan
  portcullis scan --git --policy policy.json --fail-on high
  portcullis scan --staged
  portcullis scan dist backup.tar.gz --exclude '*.min.js'
  kubectl get secrets -o yaml | portcullis scan -
  portcullis scan --format json > baseline.json
  portcullis scan --baseline baseline.json --format sarif > scan.sarif
  portcullis scan --db sqlite:registry.db --revoke

Exit codes: 0 no secret was found; 1 secrets were found; 2 error, or something
could not be read completely.";

/// Find leaked secrets in files, archives and git repositories
///
/// Secrets are recognized by their prefix and confirmed by their check digits, offline. With a policy, each finding
/// shows whether the secret is live, and what it can read. The secret itself is never printed.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
pub(super) struct Args {
    /// Scan these files and folders; `-` is standard input
    ///
    /// The default is the current folder. Archives and compressed files (gzip, zstd, zip, tar) are opened. Hidden files are
    /// read, `.git` is not. With `--git` or `--staged`, the repository that the folder is in.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Scan the whole history of the git repository
    ///
    /// Reads every object once: files of all commits, also unreachable ones, and the messages of commits and tags.
    #[arg(long, conflicts_with = "staged")]
    git: bool,
    /// Scan the files that the next commit adds or changes
    #[arg(long)]
    staged: bool,
    /// Scan only files that match this glob, such as `*.js`; may be repeated
    #[arg(long, value_name = "GLOB", value_parser = glob, conflicts_with_all = ["git", "staged"])]
    include: Vec<String>,
    /// Leave out files and folders that match this glob; may be repeated
    ///
    /// Globs are relative to each PATH. Without a slash, they apply to names in every folder.
    #[arg(long, value_name = "GLOB", value_parser = glob, conflicts_with_all = ["git", "staged"])]
    exclude: Vec<String>,
    /// Also scan files that `.gitignore` excludes
    #[arg(long, conflicts_with_all = ["git", "staged"])]
    no_ignore: bool,
    /// Also search for the prefixes in this file, one in each line
    ///
    /// For secrets of the same form with a prefix of your own. Empty lines and lines that start with `#` are ignored.
    #[arg(long, value_name = "FILE")]
    prefixes: Option<PathBuf>,
    /// Ignore the findings in this file
    ///
    /// A file that `--format json` wrote. A finding is the same if the secret and the file are the same.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Set exit code 1 for `any` finding, or only for `high` ones
    ///
    /// `high` includes secrets that the policy does not know: they may be live elsewhere.
    #[arg(long, value_name = "SEVERITY", default_value = "any", hide_possible_values = true)]
    fail_on: FailOn,
    /// Print `text`, `json` or `sarif`
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    /// Limit the levels of archives in archives
    #[arg(long, value_name = "COUNT", default_value_t = default_depth(), value_parser = count::<0, MAX_DEPTH>, hide_short_help = true)]
    max_depth: usize,
    /// Limit the bytes that one archive may expand to
    #[arg(long, value_name = "BYTES", default_value_t = default_expanded(), value_parser = byte_count::<0, MAX_BYTES>, hide_short_help = true)]
    max_expanded: usize,
    /// Use this number of threads [default: one for each core]
    #[arg(long, value_name = "COUNT", value_parser = threads, hide_short_help = true)]
    threads: Option<NonZero<usize>>,
    /// Delete the live credentials that were found, after confirmation
    ///
    /// Needs a registry (`--db`). A token that was used within the last seven days also needs `--force`.
    #[arg(long)]
    revoke: bool,
    /// Do not ask for confirmation
    #[arg(long, requires = "revoke")]
    yes: bool,
    /// Also delete tokens that were used within the last seven days
    #[arg(long, requires = "revoke")]
    force: bool,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// Reads a glob, which is relative to each PATH. Another one would match nothing.
fn glob(text: &str) -> Result<String, String> {
    let relative = |text: &str| {
        let parts = text.split('/').filter(|part| !matches!(*part, "" | "." | ".."));
        let relative = parts.collect::<Vec<_>>().join("/");
        if relative.is_empty() { "*.js".to_owned() } else { relative }
    };
    if let Some([message, _]) = unexpanded_home(text, "the glob", "", "", quoted) {
        let rest = text.split_once('/').map_or("", |(_, rest)| rest);
        return Err(format!(
            "{message}\nhelp: write a glob that is relative to PATH, such as {}; a folder that is named like this is {}",
            quoted(&relative(rest)),
            quoted(&format!("./{text}"))
        ));
    }
    if text.split('/').any(|part| part == "..") || text.trim_matches(['.', '/']).is_empty() {
        let fix = quoted(&relative(text));
        return Err(format!("expected a glob that is relative to PATH, found {}\nhelp: write {fix}", quoted(text)));
    }
    Ok(text.to_owned())
}

/// The limit of `--max-depth`. Each level needs a part of the stack.
const MAX_DEPTH: usize = 64;

fn default_depth() -> usize {
    usize::try_from(Limits::default().depth).unwrap_or(MAX_DEPTH)
}

fn default_expanded() -> usize {
    usize::try_from(Limits::default().expanded_bytes).unwrap_or(MAX_BYTES)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    High,
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Sarif,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let baseline = args.baseline.as_deref().map(baseline::read).transpose()?;
    args.check_stdout()?;
    let registry = if args.policy.is_named() { args.policy.registry()? } else { None };
    if args.revoke && registry.is_none() {
        bail!("`--revoke` needs a registry\nhelp: name it with `--db sqlite:registry.db`");
    }
    if args.catalog.catalog.is_some() && !args.policy.is_named() {
        bail!("`--catalog` needs a policy\nhelp: name it with `--policy FILE` or `--db URL`");
    }
    let mut prefixes = Prefixes::default();
    if let Some(path) = &args.prefixes {
        add_prefixes(&mut prefixes, path)?;
    }
    let mut report = scan(args, &prefixes)?;
    let known = baseline.map_or(0, |known| baseline::remove(&mut report, &known));
    let digests: HashSet<_> = report.findings.iter().map(|finding| finding.digest).collect();
    let Some(standings) = standing::judge(&digests, &prefixes, &args.policy, &args.catalog, color)? else {
        return Ok(Exit::Failure);
    };
    let judged: Vec<_> = report.findings.iter().map(|finding| Judged::new(finding, &standings)).collect();
    match args.format {
        Format::Text => text::write(&judged, &report, known, args.policy.is_named(), color)?,
        Format::Json => json::write(&judged, &report, known, &standings.foreign)?,
        Format::Sarif => sarif::write(&judged, &report, &standings.foreign)?,
    }
    standings.foreign.note(color)?;
    text::write_unread(&report, color)?;
    let mut complete = report.is_complete() && standings.complete;
    if let (true, Some(url)) = (args.revoke, registry) {
        complete &= revoke::all(&judged, &url, args.yes, args.force, color)?;
    }
    let fails = |judged: &Judged<'_>| match args.fail_on {
        FailOn::Any => true,
        FailOn::High => matches!(judged.standing.severity, Severity::High | Severity::Unknown),
    };
    Ok(if !complete {
        Exit::Failure
    } else if judged.iter().any(fails) {
        Exit::No
    } else {
        Exit::Success
    })
}

impl Args {
    /// Checks that standard output is not one of the files that the arguments name. It may be in a folder that is scanned.
    fn check_stdout(&self) -> anyhow::Result<()> {
        self.paths.iter().chain(&self.catalog.catalog).try_for_each(|path| Inputs::check_stdout(path))
    }
}

fn scan(args: &Args, prefixes: &Prefixes) -> anyhow::Result<Report> {
    let detector = Detector::new(prefixes)?;
    let limits = Limits { depth: u32::try_from(args.max_depth)?, expanded_bytes: u64::try_from(args.max_expanded)? };
    if args.git || args.staged {
        let folder = match args.paths.as_slice() {
            [] => Path::new("."),
            [folder] if !is_stdin(folder) => folder,
            _ => bail!("`--git` and `--staged` scan one repository: name one folder"),
        };
        let report =
            if args.git { git::history(&detector, folder, limits) } else { git::staged(&detector, folder, limits) };
        return Ok(report?);
    }
    let globs = |texts: &[String]| Globs::new(texts.iter().map(String::as_str));
    let selection =
        Selection { include: globs(&args.include)?, exclude: globs(&args.exclude)?, no_ignore: args.no_ignore };
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let (stdin, mut paths): (Vec<_>, Vec<_>) = args.paths.iter().cloned().partition(|path| is_stdin(path));
    if stdin.len() > 1 {
        bail!("`-` is given more than once: standard input can be read only once");
    }
    if !stdin.is_empty() {
        claim_stdin("PATH")?;
    }
    if args.paths.is_empty() {
        paths.push(PathBuf::from("."));
    }
    let mut report = files::scan(&detector, &paths, &selection, limits, threads);
    if !stdin.is_empty() {
        let mut scanner = Scanner::new(&detector, limits);
        scanner.stream("<stdin>", &mut io::stdin().lock());
        report.add(scanner.into_report());
    }
    Ok(report)
}

fn add_prefixes(prefixes: &mut Prefixes, path: &Path) -> anyhow::Result<()> {
    let text = input::prefixes(path, "--prefixes")?;
    for (line, number) in text.lines().zip(1..) {
        let prefix = line.trim();
        if !prefix.is_empty() && !prefix.starts_with('#') {
            prefixes.add(prefix).with_context(|| format!("`{}`, line {number}", path.display()))?;
        }
    }
    Ok(())
}
