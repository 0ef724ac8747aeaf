//! Findings for people.

use std::io::{self, Write};

use portcullis::base::Escaped;
use portcullis_scan::{Encoding, Report, Unread};

use super::standing::{Judged, Severity, Standing};
use crate::output::{Color, Painted, Stdout, bytes, counted, grouped};
use crate::plain::plain;

/// Max inputs that could not be read that are named.
const NAMED_UNREAD: usize = 20;

/// Max commits, paths, grants or referers of a finding that are named.
const NAMED: usize = 3;

pub(super) fn write(
    judged: &[Judged<'_>],
    report: &Report,
    known: usize,
    has_policy: bool,
    color: Color,
) -> anyhow::Result<()> {
    let paint = color.on(&io::stdout());
    let mut out = Stdout::lock();
    for judged in judged {
        finding(judged, paint, &mut out)?;
    }
    if report.more_findings > 0 {
        writeln!(out, "… and {} more", counted(report.more_findings, "finding"))?;
    }
    let count = |severity| judged.iter().filter(|judged| judged.standing.severity == severity).count();
    let total = judged.len() as u64 + report.more_findings;
    write!(out, "{}", counted(total, "secret"))?;
    if total > 0 {
        let counts = [Severity::High, Severity::Unknown, Severity::Public, Severity::Expired]
            .map(|severity| (count(severity), severity.as_str()));
        let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
        write!(out, " ({})", counts.collect::<Vec<_>>().join(", "))?;
    }
    let size = usize::try_from(report.bytes).map_or_else(|_| "many bytes".to_owned(), bytes);
    writeln!(out, " in {} ({size})", counted(report.inputs, "file"))?;
    if report.ignored > 0 {
        let (files, be) = (counted(report.ignored, "file"), if report.ignored == 1 { "was" } else { "were" });
        writeln!(out, "{files} that `.gitignore` excludes {be} not read: `--no-ignore` includes them")?;
    }
    let unread = report.unread.len() as u64 + report.more_unread;
    if unread > 0 {
        writeln!(out, "not read completely: {}", counted(unread, "file"))?;
    }
    if known > 0 {
        writeln!(out, "{} of the baseline not shown", counted(known as u64, "finding"))?;
    }
    if !has_policy && !judged.is_empty() {
        writeln!(out, "help: `--policy FILE` or `--db URL` shows which of them are live, and what they can read")?;
    }
    out.flush()?;
    Ok(())
}

fn finding(judged: &Judged<'_>, paint: bool, out: &mut Stdout) -> io::Result<()> {
    let Judged { finding, standing } = judged;
    let at = match finding.line {
        0 => " (in its name)".to_owned(),
        line => format!(":{line}:{}", finding.column),
    };
    let label = match standing.severity {
        Severity::High | Severity::Unknown => Painted::red(paint, standing.severity.as_str()),
        _ => Painted::bold(paint, standing.severity.as_str()),
    };
    writeln!(out, "{}{at}: {label}: {}", Escaped::whole(&finding.file), Escaped::whole(&description(standing)))?;
    let encoding = match finding.encoding {
        Encoding::Plain => None,
        Encoding::Utf16 => Some("UTF-16"),
        Encoding::Base64 => Some("base64"),
        Encoding::Escaped => Some("escapes"),
    };
    if let Some(encoding) = encoding {
        writeln!(out, "  written in {encoding}")?;
    }
    if let Some(history) = &finding.history {
        if !history.paths.is_empty() {
            writeln!(out, "  path {}", Escaped::whole(&some(&history.paths)))?;
        }
        let commits: Vec<_> =
            history.commits.iter().map(|commit| format!("{} of {}", short(&commit.id), day(&commit.date))).collect();
        match commits.as_slice() {
            // Names of files and messages of tags are in objects that the history does not list.
            [] if !matches!(&*history.object_type, "blob" | "commit") => {}
            [] => writeln!(out, "  in no commit of a branch, a tag or a log")?,
            commits => writeln!(out, "  commit {}", some(commits))?,
        }
    }
    for reason in &standing.reasons {
        writeln!(out, "  {}", Escaped::whole(&plain(reason)))?;
    }
    for (label, list) in [("APIs", &standing.apis), ("grants", &standing.grants), ("referers", &standing.referers)] {
        if !list.is_empty() {
            writeln!(out, "  {label} {}", Escaped::whole(&some(list)))?;
        }
    }
    if let Some(share) = standing.catalog {
        writeln!(out, "  {}", share.text())?;
    }
    if let Some(help) = &standing.help {
        writeln!(out, "  help: {}", Escaped::whole(help))?;
    }
    Ok(())
}

/// Describes the credential: its kind, name, owner and status.
pub(super) fn description(standing: &Standing) -> String {
    let kind = match standing.credential {
        Some("m2m") => "the secret of a machine client",
        Some(_) => "the secret of a token",
        None => "a secret with an added prefix",
    };
    let name = standing.name.as_ref().or(standing.id.as_ref()).map(|name| format!(" `{name}`"));
    let owner = standing.owner.as_ref().map(|owner| format!(" of `{owner}`"));
    let named = format!("{}{}", name.unwrap_or_default(), owner.unwrap_or_default());
    let status = match (standing.status, &standing.expires) {
        ("unknown", _) => String::new(),
        ("expired", Some(end)) => format!(", expired since {end}"),
        ("expired", None) => ", expired".to_owned(),
        ("overlap", Some(end)) => format!(", replaced by a rotation, and live until {end}"),
        (_, Some(end)) => format!(", live until {end}"),
        (_, None) => ", live without end".to_owned(),
    };
    format!("{kind}{named}{status}")
}

/// Names the inputs that were not read on standard error.
pub(super) fn write_unread(report: &Report, color: Color) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    let label = Painted::red(color.on(&stderr), "error:");
    for Unread { file, reason } in report.unread.iter().take(NAMED_UNREAD) {
        writeln!(stderr, "{label} not read: `{}`: {}", Escaped::whole(file), Escaped::whole(reason))?;
    }
    let total = report.unread.len() as u64 + report.more_unread;
    if total > NAMED_UNREAD as u64 {
        writeln!(stderr, "{label} {} were not read; the first are above", grouped(total))?;
    }
    Ok(())
}

/// Joins the first items of a list.
fn some(list: &[String]) -> String {
    let first = list.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match list.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn day(date: &str) -> &str {
    date.get(..10).unwrap_or(date)
}
