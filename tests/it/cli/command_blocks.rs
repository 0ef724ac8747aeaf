//! Runs the command blocks of the README and of `docs`, in a copy of the examples, and compares the output that they show.
//!
//! Every block of `sh` and `console` runs, in the order of its document. A block of `console` shows the output of each
//! command after it. The output of a block of `sh` is shown in a block of `text` that follows it, if there is one. In shown
//! output, a line `…` stands for any lines, and `…` at the end of a line for the rest of it.
//!
//! Comments directly before a block change this:
//!
//! - `<!-- not run: REASON -->`: it needs a server, a network, or another program.
//! - `<!-- run in: FOLDER -->`: it runs in this folder of the copy, and so do the blocks after it.
//! - `<!-- serves: ADMIN -->`: it is a server, which runs until the end of the document. The blocks after it start when its
//!   listener `ADMIN` answers.
//! - `<!-- setup: COMMAND -->`: this command runs first, and prepares what the text assumes.
//! - `<!-- exits with: CODE -->`: its last command does not exit with 0.
//!
//! The addresses of servers, and folders that only root can write to, differ from those in the documents.
#![cfg(unix)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::util::Dir;

/// A command block of a document.
#[derive(Debug, Default)]
struct Block {
    line: usize,
    language: String,
    text: String,
    /// The name and the value of each comment before the block.
    comments: Vec<(String, String)>,
    /// The text of the block of `text` after it.
    shown: Option<String>,
}

impl Block {
    fn comment(&self, name: &str) -> Option<&str> {
        self.comments.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }
}

/// Returns the blocks of `sh` and `console` in a document.
fn blocks(document: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut comments = Vec::new();
    let mut follows = false;
    let mut lines = document.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<_> = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            let text = text.join("\n") + "\n";
            let is_command = ["sh", "console"].contains(&language);
            if is_command {
                let (comments, language) = (std::mem::take(&mut comments), language.to_owned());
                blocks.push(Block { line: index + 1, language, text, comments, shown: None });
            } else if let (true, "text", Some(block)) = (follows, language, blocks.last_mut()) {
                block.shown = Some(text);
            }
            follows = is_command;
            comments.clear();
        } else if let Some(comment) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
            let (name, value) = comment.split_once(": ").unwrap_or((comment, ""));
            comments.push((name.to_owned(), value.to_owned()));
        } else if !line.is_empty() {
            follows = false;
            comments.clear();
        }
    }
    blocks
}

/// A copy of the examples, and a command `portcullis` that records failures.
struct Copy {
    dir: Dir,
    folder: PathBuf,
    /// The texts of documents that differ in a test, with those of the test.
    replaced: Vec<(String, String)>,
    server: Option<Child>,
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// The addresses in documents.
const ADDRESSES: [&str; 2] = ["127.0.0.1:8181", "127.0.0.1:8182"];

impl Copy {
    fn new() -> Self {
        let dir = Dir::new();
        let examples = crate::repository().join("examples");
        assert!(Command::new("cp").arg("-R").arg(examples).arg(dir.path("examples")).status().unwrap().success());
        fs::create_dir(dir.path("bin")).unwrap();
        let script = "#!/bin/sh\n[ \"$1\" != serve ] || exec \"$REAL\" \"$@\"\n\"$REAL\" \"$@\"\ncode=$?\n[ $code -lt 2 ] || echo \"exit code $code: portcullis $*\" >> \"$FAILED\"\nexit $code\n";
        fs::write(dir.path("bin/portcullis"), script).unwrap();
        fs::set_permissions(dir.path("bin/portcullis"), fs::Permissions::from_mode(0o755)).unwrap();
        let folder = dir.path("");
        // Both are bound at once, so that they differ.
        let free: Vec<_> = ADDRESSES.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let free = free.iter().map(|listener| listener.local_addr().unwrap().to_string());
        let mut replaced: Vec<_> = ADDRESSES.map(str::to_owned).into_iter().zip(free).collect();
        replaced.push(("/var/lib/portcullis".to_owned(), dir.path("state").display().to_string()));
        Self { dir, folder, replaced, server: None }
    }

    fn address(&self, written: &str) -> &str {
        &self.replaced.iter().find(|(found, _)| found == written).unwrap().1
    }

    /// Starts the server of `script`, and waits until `admin` answers.
    fn serve(&mut self, script: &str, admin: &str) {
        assert!(self.server.is_none(), "one server for each document");
        // The server replaces the shell, so that it is the process that ends with the document.
        let mut server = self.shell(&format!("exec {script}"));
        self.server = Some(server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let begun = Instant::now();
        while TcpStream::connect(self.address(admin)).is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1), "`{script}` does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn run(&self, script: &str) -> Output {
        self.shell(script).output().unwrap()
    }

    fn shell(&self, script: &str) -> Command {
        let script = self.replaced.iter().fold(script.to_owned(), |script, (written, by)| script.replace(written, by));
        let path = format!("{}:{}", self.dir.path("bin").display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(&self.folder).env("PATH", path).stdin(Stdio::null());
        shell.env("REAL", env!("CARGO_BIN_EXE_portcullis")).env("FAILED", self.dir.path("failed"));
        for name in ["PORTCULLIS_POLICY", "PORTCULLIS_DB", "CLICOLOR_FORCE"] {
            shell.env_remove(name);
        }
        let [listen, admin] = ADDRESSES.map(|written| self.address(written));
        shell.env("PORTCULLIS_LISTEN", listen).env("PORTCULLIS_ADMIN", admin);
        shell
    }

    /// The commands that failed.
    fn failed(&self) -> String {
        fs::read_to_string(self.dir.path("failed")).unwrap_or_default()
    }
}

/// Replaces what differs in each run: ids, instants, the user, and the width of columns.
fn masked(text: &str) -> Vec<String> {
    let replace =
        |text: &str, pattern: &str, by: &str| regex::Regex::new(pattern).unwrap().replace_all(text, by).into_owned();
    let text = replace(text, "tk_[0-9a-z]{10}", "tk_ID");
    let text = replace(&text, r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|in (6|7|29|30) days", "NOW");
    let user = regex::escape(&whoami::username().unwrap());
    let text = replace(&text, &format!(r"(NOW +| of ){user}\b"), "${1}ana");
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Whether `found` is what is `shown`, where `…` stands for text that is left out.
fn is_shown(found: &[String], shown: &[String]) -> bool {
    let same = |found: &String, shown: &String| match shown.strip_suffix('…') {
        Some(start) => found.starts_with(start),
        None => found == shown,
    };
    match (found, shown) {
        (_, [elided, rest @ ..]) if elided == "…" => (0..=found.len()).any(|skip| is_shown(&found[skip..], rest)),
        ([first, found @ ..], [shown_first, shown @ ..]) => same(first, shown_first) && is_shown(found, shown),
        ([], []) => true,
        _ => false,
    }
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(ToOwned::to_owned).collect()
}

/// Runs a block, and returns what is wrong with it.
fn run(copy: &Copy, block: &Block) -> Vec<String> {
    let mut wrong = Vec::new();
    if block.language == "console" {
        for shown in block.text.split("$ ").skip(1) {
            // A line that ends with a backslash continues.
            let end = shown.match_indices('\n').map(|(at, _)| at).find(|at| !shown[..*at].ends_with('\\')).unwrap();
            let (command, shown) = (&shown[..end], &shown[end + 1..]);
            let output = copy.run(command);
            let (stdout, stderr) =
                (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            if !is_shown(&lines(&stdout), &lines(shown)) || !stderr.is_empty() {
                wrong.push(format!("$ {command}\n{stdout}{stderr}"));
            }
        }
        if !block.text.starts_with("$ ") {
            wrong.push("a block of `console` starts with `$ `".to_owned());
        }
        return wrong;
    }
    let output = copy.run(&block.text);
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let code = block.comment("exits with").map_or(0, |code| code.parse().unwrap());
    if output.status.code() != Some(code) {
        wrong.push(format!("{}\n{}{stdout}{stderr}", output.status, block.text));
    }
    if let Some(shown) = &block.shown
        && !is_shown(&masked(&stdout), &masked(shown))
    {
        wrong.push(format!("{}\n{stdout}{stderr}", block.text));
    }
    wrong
}

fn documents() -> Vec<PathBuf> {
    let root = crate::repository();
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut documents: Vec<_> = docs.chain([root.join("README.md")]).collect();
    documents.sort();
    documents
}

#[test]
fn every_command_block_runs_and_shows_its_output() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for document in documents() {
        let name = document.file_name().unwrap().to_string_lossy().into_owned();
        let mut copy = Copy::new();
        for block in blocks(&fs::read_to_string(&document).unwrap()) {
            let place = format!("{name}:{}", block.line);
            if let Some(folder) = block.comment("run in") {
                copy.folder = copy.dir.path(folder);
            }
            if let Some(reason) = block.comment("not run") {
                assert!(reason.split(' ').count() > 2, "{place}: the reason `{reason}` is not a sentence");
                continue;
            }
            for (name, _) in &block.comments {
                assert!(
                    ["run in", "serves", "setup", "exits with"].contains(&&**name),
                    "{place}: unknown comment `{name}`"
                );
            }
            if let Some(setup) = block.comment("setup") {
                let output = copy.run(setup);
                assert!(output.status.success(), "{place}: {setup}: {output:?}");
            }
            count += 1;
            if let Some(admin) = block.comment("serves") {
                copy.serve(&block.text, admin);
                continue;
            }
            wrong.extend(run(&copy, &block).iter().map(|problem| format!("{place}: {problem}")));
        }
        let failed = copy.failed();
        if !failed.is_empty() {
            wrong.push(format!("{name}: {failed}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 20, "only {count} blocks were found");
}

#[test]
fn shown_output_is_compared_line_by_line() {
    for (found, shown, want) in [
        ("a\nb\n", "a\nb\n", true),
        ("a\nb\n", "a\n", false),
        ("a\n", "a\nb\n", false),
        ("a\nb\nc\n", "a\n…\nc\n", true),
        ("a\nb\nc\n", "…\nb\n", false),
        ("a long line\n", "a long…\n", true),
        ("a short line\n", "a long…\n", false),
    ] {
        assert_eq!(is_shown(&lines(found), &lines(shown)), want, "{found:?} {shown:?}");
    }
}

#[test]
fn comments_apply_to_the_next_block_only() {
    let found =
        blocks("<!-- not run: it needs a server -->\n```sh\na\n```\n\n```text\nout\n```\n\ntext\n\n```sh\nb\n```\n");
    let [first, second] = &found[..] else { panic!("{found:?}") };
    assert_eq!((first.comment("not run"), first.shown.as_deref()), (Some("it needs a server"), Some("out\n")));
    assert_eq!((second.comment("not run"), second.shown.as_deref(), second.line), (None, None, 12));
}
