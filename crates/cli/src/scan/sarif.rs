//! Findings as SARIF 2.1.0, for code review tools.

use std::io::Write;
use std::path::Path;

use portcullis_audit::lint::relative_uri;
use portcullis_scan::Report;
use serde_json::{Value, json};

use super::baseline::fingerprint;
use super::foreign::Foreign;
use super::standing::{Judged, Severity};
use super::text::description;
use crate::output::Stdout;

/// Code review tools reject runs with more results.
const MAX_RESULTS: usize = 25_000;

/// One rule for each severity.
const RULES: [(Severity, &str, &str, &str); 4] = [
    (Severity::High, "leaked_secret", "error", "A live secret that opens more than a public page should"),
    (
        Severity::Unknown,
        "unknown_secret",
        "warning",
        "A secret that the policy does not know, and that may be live elsewhere",
    ),
    (Severity::Public, "public_secret", "note", "A live secret that is made for public pages"),
    (Severity::Expired, "expired_secret", "note", "A secret that is no longer accepted"),
];

pub(super) fn write(judged: &[Judged<'_>], report: &Report, foreign: &Foreign) -> anyhow::Result<()> {
    let rules = RULES.map(|(_, id, level, text)| {
        json!({"id": id, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}})
    });
    let results: Vec<_> = judged.iter().take(MAX_RESULTS).map(result).collect();
    let left_out = judged.len().saturating_sub(MAX_RESULTS) as u64 + report.more_findings;
    let mut notices: Vec<_> = report
        .unread
        .iter()
        .map(|unread| json!({"level": "error", "message": {"text": format!("not read: {}: {}", unread.file, unread.reason)}}))
        .collect();
    if report.more_unread > 0 {
        let text = format!("{} further inputs were not read", report.more_unread);
        notices.push(json!({"level": "error", "message": {"text": text}}));
    }
    notices.extend(foreign.notices().iter().map(|text| json!({"level": "note", "message": {"text": text}})));
    if left_out > 0 {
        notices.push(
            json!({"level": "warning", "message": {"text": format!("{left_out} further findings are left out")}}),
        );
    }
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Portcullis",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{"executionSuccessful": report.is_complete(), "toolExecutionNotifications": notices}],
            "results": results,
        }],
    });
    let mut out = Stdout::lock();
    serde_json::to_writer_pretty(&mut out, &log)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

fn result(judged: &Judged<'_>) -> Value {
    let Judged { finding, standing } = judged;
    let index = RULES.iter().position(|(severity, ..)| *severity == standing.severity).unwrap_or_default();
    let (id, level) = RULES.get(index).map_or(("", ""), |(_, id, level, _)| (*id, *level));
    let mut message = format!("{}.", description(standing));
    for text in standing.reasons.iter().chain(&standing.help) {
        message = format!("{message} {text}.");
    }
    let physical = file_of(judged).map(|file| {
        json!({
            "artifactLocation": {"uri": relative_uri(file, &std::env::current_dir().unwrap_or_default())},
            "region": {"startLine": finding.line.max(1), "startColumn": finding.column.max(1)},
        })
    });
    let logical = json!([{"fullyQualifiedName": finding.file}]);
    let location = match physical {
        Some(physical) => json!({"physicalLocation": physical, "logicalLocations": logical}),
        None => json!({"logicalLocations": logical}),
    };
    json!({
        "ruleId": id,
        "ruleIndex": index,
        "level": level,
        "message": {"text": message},
        "locations": [location],
        "partialFingerprints": {"portcullisScan/v1": fingerprint(finding)},
    })
}

/// Returns the file that a finding is in. The file of an archive member is the archive. An object of git is at the first
/// path that has it, if any.
fn file_of<'r>(judged: &Judged<'r>) -> Option<&'r str> {
    match &judged.finding.history {
        Some(history) => history.paths.first().map(String::as_str),
        None => Some(&*judged.finding.outer).filter(|outer| {
            // A pipe or a device has no place in the source code.
            Path::new(outer).metadata().is_ok_and(|metadata| metadata.is_file() || metadata.is_dir())
        }),
    }
}
