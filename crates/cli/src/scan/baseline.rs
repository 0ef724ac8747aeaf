//! Findings that are known, and not reported again.

use std::collections::HashSet;
use std::path::Path;

use anyhow::anyhow;
use portcullis_document::definition::{FromObject, Object, json_message};
use portcullis_scan::{Finding, Report};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::input;

/// Returns the fingerprint of a finding: it depends on the secret and on the file, not on the line or the commit.
pub(super) fn fingerprint(finding: &Finding) -> String {
    let file = match &finding.history {
        Some(history) => history.paths.first().unwrap_or(&history.object).clone(),
        None => from_here(&finding.outer) + finding.file.strip_prefix(&finding.outer).unwrap_or(&finding.file),
    };
    let mut hash = Sha256::new();
    hash.update(b"portcullis scan 1\0");
    hash.update(finding.digest.as_bytes());
    hash.update(file.as_bytes());
    hash.finalize().iter().take(16).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

/// Returns the path of a file from the current folder, if the file is below it: `./a` and `$PWD/a` are one file.
pub(super) fn from_here(file: &str) -> String {
    let path = std::path::absolute(file).ok();
    let here = std::env::current_dir().ok();
    let relative = path.as_ref().zip(here.as_ref()).and_then(|(path, here)| path.strip_prefix(here).ok());
    relative.map_or_else(|| file.to_owned(), |relative| relative.to_string_lossy().into_owned())
}

/// The maximum size of a baseline.
const MAX_BYTES: usize = 256 << 20;

/// Reads the fingerprints of a report that `--format json` wrote.
pub(super) fn read(path: &Path) -> anyhow::Result<HashSet<String>> {
    #[derive(Deserialize)]
    struct Baseline {
        findings: Vec<Object<Known>>,
    }
    #[derive(Deserialize)]
    struct Known {
        fingerprint: String,
    }
    impl FromObject for Baseline {}
    impl FromObject for Known {}
    let name = path.display();
    let text = input::json_up_to(path, "--baseline", MAX_BYTES)?;
    let Object(baseline): Object<Baseline> = serde_json::from_str(&text).map_err(|error| {
        let message = json_message(&error);
        // A value of the wrong type at the start has no column.
        let (line, column) = (error.line(), error.column().max(1));
        anyhow!(
            "`{name}` is not a baseline: {message} (line {line}, column {column})\nhelp: write one with `portcullis scan --format json > baseline.json`"
        )
    })?;
    Ok(baseline.findings.into_iter().map(|Object(known)| known.fingerprint).collect())
}

/// Removes known findings, and returns their number.
pub(super) fn remove(report: &mut Report, known: &HashSet<String>) -> usize {
    let before = report.findings.len();
    report.findings.retain(|finding| !known.contains(&fingerprint(finding)));
    before - report.findings.len()
}
