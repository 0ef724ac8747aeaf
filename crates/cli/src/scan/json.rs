//! Findings for programs.

use std::io::Write;

use portcullis_scan::{Encoding, Finding, History, Report};
use serde::Serialize;

use super::baseline::fingerprint;
use super::foreign::Foreign;
use super::standing::{Judged, Standing};
use crate::output::Stdout;

#[derive(Serialize)]
struct Output<'r> {
    findings: Vec<FindingJson<'r>>,
    more_findings: u64,
    unread: Vec<UnreadJson<'r>>,
    more_unread: u64,
    /// Findings of the baseline, which are left out.
    known: usize,
    files: u64,
    bytes: u64,
    skipped: u64,
    /// The files that `.gitignore` excludes.
    ignored: u64,
    complete: bool,
    /// The tokens of the policy whose secrets a scan does not find.
    not_searched: &'r Foreign,
}

#[derive(Serialize)]
struct FindingJson<'r> {
    fingerprint: String,
    file: &'r str,
    line: u64,
    column: u64,
    encoding: &'static str,
    prefix: &'r str,
    token_sha256: String,
    #[serde(flatten)]
    standing: &'r Standing,
    #[serde(skip_serializing_if = "Option::is_none")]
    history: Option<HistoryJson<'r>>,
}

#[derive(Serialize)]
struct HistoryJson<'r> {
    object: &'r str,
    object_type: &'r str,
    paths: &'r [String],
    commits: Vec<CommitJson<'r>>,
}

#[derive(Serialize)]
struct CommitJson<'r> {
    id: &'r str,
    date: &'r str,
}

#[derive(Serialize)]
struct UnreadJson<'r> {
    file: &'r str,
    reason: &'r str,
}

pub(super) fn write(judged: &[Judged<'_>], report: &Report, known: usize, foreign: &Foreign) -> anyhow::Result<()> {
    let unread = report.unread.iter().map(|unread| UnreadJson { file: &unread.file, reason: &unread.reason });
    let output = Output {
        findings: judged.iter().map(|judged| finding(judged.finding, &judged.standing)).collect(),
        more_findings: report.more_findings,
        unread: unread.collect(),
        more_unread: report.more_unread,
        known,
        files: report.inputs,
        bytes: report.bytes,
        skipped: report.skipped,
        ignored: report.ignored,
        complete: report.is_complete(),
        not_searched: foreign,
    };
    let mut out = Stdout::lock();
    serde_json::to_writer_pretty(&mut out, &output)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

fn finding<'r>(finding: &'r Finding, standing: &'r Standing) -> FindingJson<'r> {
    FindingJson {
        fingerprint: fingerprint(finding),
        file: &finding.file,
        line: finding.line,
        column: finding.column,
        encoding: match finding.encoding {
            Encoding::Plain => "plain",
            Encoding::Utf16 => "utf-16",
            Encoding::Base64 => "base64",
            Encoding::Escaped => "escaped",
        },
        prefix: &finding.prefix,
        token_sha256: finding.digest.to_hex(),
        standing,
        history: finding.history.as_ref().map(history),
    }
}

fn history(history: &History) -> HistoryJson<'_> {
    HistoryJson {
        object: &history.object,
        object_type: &history.object_type,
        paths: &history.paths,
        commits: history.commits.iter().map(|commit| CommitJson { id: &commit.id, date: &commit.date }).collect(),
    }
}
