//! Scans git repositories through the `git` program.
//!
//! `git cat-file --batch` returns every object once, whatever the number of commits that have it. Objects that no
//! branch reaches are read too: a secret remains in the repository after its branch was deleted or rewritten.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::detector::Detector;
use crate::report::{Commit, History, Report};
use crate::scanner::{Limits, Scanner};

/// Why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The program cannot be started.
    #[error("cannot start `git`: {0}")]
    Start(io::Error),
    /// The program fails.
    #[error("`git {command}` failed: {message}")]
    Failed {
        /// The subcommand.
        command: &'static str,
        /// The first line that it wrote on standard error.
        message: String,
    },
    /// The output of the program is not understood.
    #[error("the output of `git {0}` is not understood")]
    Output(&'static str),
    /// Reading the output fails.
    #[error("cannot read from `git`: {0}")]
    Read(#[from] io::Error),
}

type Result<T> = std::result::Result<T, GitError>;

/// Max commits that a finding names.
const MAX_COMMITS: usize = 100;

/// Scans all objects of the repository that `folder` is in: files, messages of commits and tags, and names of files.
///
/// Findings name the commits and paths that add the object. A shallow clone is reported as not completely read.
///
/// Cost: linear in the size of all objects, and one pass over all commits if there is a finding.
///
/// # Errors
///
/// If `git` cannot be started or fails, such as outside a repository.
pub fn history(detector: &Detector, folder: &Path, limits: Limits) -> Result<Report> {
    let mut scanner = Scanner::new(detector, limits);
    if output(folder, "rev-parse", &["--is-shallow-repository"])?.trim_ascii() == b"true" {
        scanner.unread(".git", "the clone is shallow, so earlier commits are missing: run `git fetch --unshallow`");
    }
    // Without such a setting, the command fails.
    if output(folder, "config", &["--get-regexp", r"^remote\..*\.promisor$"]).is_ok_and(|found| !found.is_empty()) {
        scanner.unread(".git", "the clone is partial, so objects are missing: scan a full clone");
    }
    scanner.stream("names of branches and tags", &mut &*output(folder, "for-each-ref", &["--format=%(refname)"])?);
    // The addresses of remotes may hold a secret.
    let config = output(folder, "config", &["--local", "--list"]).unwrap_or_default();
    scanner.stream("settings of the repository", &mut &*config);
    let mut types = BTreeMap::new();
    // What was found before an error is reported with it.
    if let Err(error) = objects(&mut scanner, folder, &mut types) {
        scanner.unread(".git", error.to_string());
    }
    let mut report = scanner.into_report();
    if !types.is_empty()
        && let Err(error) = locate(detector, folder, &mut report, &types)
    {
        report.miss(".git", error.to_string());
    }
    report.sort();
    Ok(report)
}

/// Scans all objects. Adds the types of those with findings.
fn objects(scanner: &mut Scanner<'_>, folder: &Path, types: &mut BTreeMap<String, String>) -> Result<()> {
    let mut batch = Batch::start(folder, &["--batch-all-objects", "--unordered", "--buffer"])?;
    while let Some(object) = batch.next_object()? {
        let name = format!("{} {}", object.kind, object.id);
        let before = scanner.findings();
        batch.content(&object, |content| scanner.stream(&name, content))?;
        if scanner.findings() > before {
            types.insert(object.id, object.kind);
        }
    }
    batch.finish()
}

/// Scans the files that the next commit adds or changes.
///
/// # Errors
///
/// If `git` cannot be started or fails, such as outside a repository.
pub fn staged(detector: &Detector, folder: &Path, limits: Limits) -> Result<Report> {
    const DIFF: [&str; 8] = [
        "--cached",
        "--raw",
        "-z",
        "--no-abbrev",
        "--no-renames",
        "--no-ext-diff",
        "-O/dev/null",
        "--diff-filter=ACMT",
    ];
    // Outside a repository, `git diff` is another command.
    output(folder, "rev-parse", &["--git-dir"])?;
    let diff = output(folder, "diff", &DIFF)?;
    let mut scanner = Scanner::new(detector, limits);
    // `:MODE MODE OLD NEW STATUS`, and the path after a zero byte.
    let mut fields = diff.split(|byte| *byte == 0).filter(|field| !field.is_empty());
    let mut files = Vec::new();
    while let (Some(header), Some(path)) = (fields.next(), fields.next()) {
        let header = String::from_utf8_lossy(header);
        let mut words = header.split(' ');
        let (mode, id) = (words.nth(1), words.nth(1));
        let (Some(mode), Some(id)) = (mode, id) else { return Err(GitError::Output("diff")) };
        // The commit of a submodule is not an object of this repository.
        if mode != "160000" {
            files.push((id.to_owned(), String::from_utf8_lossy(path).into_owned()));
        }
    }
    let mut batch = Batch::start(folder, &["--buffer"])?;
    batch.request(files.iter().map(|(id, _)| id.as_str()))?;
    for (_, path) in &files {
        let Some(object) = batch.next_object()? else { return Err(GitError::Output("cat-file")) };
        batch.content(&object, |content| scanner.stream(path, content))?;
    }
    batch.finish()?;
    Ok(scanner.into_report())
}

/// An object of a repository.
struct Object {
    id: String,
    kind: String,
    size: u64,
}

/// A running `git cat-file --batch`.
struct Batch {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Batch {
    fn start(folder: &Path, options: &[&str]) -> Result<Self> {
        let mut command = git(folder, "cat-file");
        command.arg("--batch").args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(GitError::Start)?;
        let out = child.stdout.take().ok_or(GitError::Output("cat-file"))?;
        Ok(Self { child, out: BufReader::with_capacity(1 << 18, out) })
    }

    /// Writes the names of objects from another thread, since the program answers while it reads.
    fn request<'i>(&mut self, ids: impl Iterator<Item = &'i str>) -> Result<()> {
        let names: String = ids.flat_map(|id| [id, "\n"]).collect();
        let Some(mut input) = self.child.stdin.take() else { return Err(GitError::Output("cat-file")) };
        // The program reads all names: with `--buffer` it answers late, and a pipe holds them meanwhile.
        std::thread::spawn(move || input.write_all(names.as_bytes()));
        Ok(())
    }

    /// Reads the header of the next object: `ID TYPE SIZE`.
    fn next_object(&mut self) -> Result<Option<Object>> {
        let mut line = String::new();
        if (&mut self.out).take(1 << 12).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.trim_end().split(' ');
        let (Some(id), Some(kind), Some(size)) = (words.next(), words.next(), words.next()) else {
            return Err(GitError::Output("cat-file"));
        };
        let size = size.parse().map_err(|_| GitError::Output("cat-file"))?;
        Ok(Some(Object { id: id.to_owned(), kind: kind.to_owned(), size }))
    }

    /// Passes on the content of an object, and reads what is left of it and the line break after it.
    fn content(&mut self, object: &Object, read: impl FnOnce(&mut dyn Read)) -> Result<()> {
        let mut content = (&mut self.out).take(object.size);
        read(&mut content);
        let rest = content.limit();
        let copied = io::copy(&mut content, &mut io::sink())?;
        let mut end = [0];
        self.out.read_exact(&mut end)?;
        if copied != rest || end != [b'\n'] { Err(GitError::Output("cat-file")) } else { Ok(()) }
    }

    fn finish(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(GitError::Failed { command: "cat-file", message: status.to_string() })
        }
    }
}

/// The options of `git log` that list the objects that each commit adds.
const LOG: [&str; 12] = [
    "--all",
    "--topo-order",
    "--reflog",
    "--format=>%H %cI",
    "--raw",
    "--no-abbrev",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "-O/dev/null",
    "--diff-merges=combined",
    "--root",
];

/// Adds commits and paths to the findings.
fn locate(detector: &Detector, folder: &Path, report: &mut Report, types: &BTreeMap<String, String>) -> Result<()> {
    let mut occurrences: BTreeMap<&str, (BTreeSet<String>, Vec<Commit>)> =
        types.keys().map(|id| (id.as_str(), <_>::default())).collect();
    let mut child =
        git(folder, "log").args(LOG).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(GitError::Start)?;
    let out = child.stdout.take().ok_or(GitError::Output("log"))?;
    let mut commit = None;
    for line in BufReader::new(out).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        if let Some(header) = line.strip_prefix('>') {
            let (id, date) = header.split_once(' ').ok_or(GitError::Output("log"))?;
            commit = Some(Commit { id: id.to_owned(), date: date.to_owned() });
            if let (Some((_, commits)), Some(commit)) = (occurrences.get_mut(id), &commit) {
                commits.push(commit.clone());
            }
        } else if let (Some((header, path)), true) = (line.split_once('\t'), line.starts_with(':')) {
            // `:MODES… IDS… STATUS`: the last id is the one after the commit.
            let id = header.rsplit(' ').nth(1).unwrap_or_default();
            if let (Some((paths, commits)), Some(commit)) = (occurrences.get_mut(id), &commit) {
                paths.insert(detector.masked(path).0);
                if commits.len() < MAX_COMMITS && commits.last() != Some(commit) {
                    commits.push(commit.clone());
                }
            }
        }
    }
    if !child.wait()?.success() {
        return Err(GitError::Failed { command: "log", message: "the history cannot be read".to_owned() });
    }
    for finding in &mut report.findings {
        let Some((object_type, id)) = finding.file.split_once(' ') else { continue };
        let Some(id) = id.get(..id.find('!').unwrap_or(id.len())) else { continue };
        let Some((paths, commits)) = occurrences.get(id) else { continue };
        finding.history = Some(History {
            object: id.to_owned(),
            object_type: object_type.to_owned(),
            paths: paths.iter().cloned().collect(),
            commits: commits.clone(),
        });
    }
    Ok(())
}

/// Settings of the user or of the repository that start other programs, or that leave something out.
const SETTINGS: [&str; 4] =
    ["core.fsmonitor=false", "core.quotePath=false", "diff.relative=false", "log.showSignature=false"];

/// Variables that select another repository than the folder that was named. A hook of git sets some of them.
const VARIABLES: [&str; 6] =
    ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"];

fn git(folder: &Path, subcommand: &str) -> Command {
    let mut command = Command::new("git");
    if folder != Path::new(".") {
        for name in VARIABLES {
            command.env_remove(name);
        }
    }
    command
        .arg("-C")
        .arg(folder)
        .args(["--no-pager", "--no-replace-objects"])
        .args(SETTINGS.into_iter().flat_map(|setting| ["-c", setting]))
        .arg(subcommand)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

/// Returns the output of a short command.
fn output(folder: &Path, subcommand: &'static str, options: &[&str]) -> Result<Vec<u8>> {
    let output = git(folder, subcommand).args(options).output().map_err(GitError::Start)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let message = message.lines().next().unwrap_or_default();
    let message = message.strip_prefix("fatal: ").unwrap_or(message).to_owned();
    Err(GitError::Failed { command: subcommand, message })
}
