//! Describes findings as SARIF 2.1.0 for code review tools: rules with help, positions, and applicable fixes.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Edit, Finding, RULES, Rule, Witness, uri};
use portcullis_document::definition::Position;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// Max results of a run: GitHub rejects a file with more.
pub const MAX_RESULTS: usize = 25_000;

/// Describes `findings` as one run, with at most `limit` results and never more than [`MAX_RESULTS`].
///
/// Describes every rule, even without findings. The URIs of files are relative to the working directory `folder`. If
/// findings are left out, the run has a notification with their number. The first findings are kept, which are the most
/// severe.
///
/// ```
/// use std::path::Path;
/// use portcullis_audit::lint::sarif::{MAX_RESULTS, log};
///
/// let json = serde_json::to_value(log(&[], Path::new("/work"), MAX_RESULTS))?;
/// assert_eq!(json["version"], "2.1.0");
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn log<'f>(findings: &'f [Finding], folder: &'f Path, limit: usize) -> Log<'f> {
    let mut artifacts = Artifacts { folder, list: Vec::new(), numbers: HashMap::new() };
    let limit = limit.min(MAX_RESULTS);
    let results: Vec<_> = findings.iter().take(limit).map(|finding| result(finding, &mut artifacts)).collect();
    let left_out = (findings.len() > limit).then(|| Notification {
        level: "warning",
        message: OwnedText {
            text: format!("{limit} of {} findings are listed, the most severe first", findings.len()),
        },
    });
    let driver = Driver {
        name: "Portcullis",
        version: env!("CARGO_PKG_VERSION"),
        semantic_version: env!("CARGO_PKG_VERSION"),
        rules: RULES.iter().map(|rule| descriptor(rule)).collect(),
    };
    let run = Run {
        tool: Tool { driver },
        invocations: [Invocation {
            execution_successful: true,
            tool_execution_notifications: left_out.into_iter().collect(),
        }],
        column_kind: "unicodeCodePoints",
        artifacts: artifacts.list.into_iter().map(|uri| Artifact { location: ArtifactUri { uri } }).collect(),
        results,
    };
    Log { schema: SCHEMA, version: "2.1.0", runs: [run] }
}

/// A SARIF log. Serializes as the file.
#[derive(Serialize)]
pub struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'a str,
    version: &'a str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool,
    invocations: [Invocation; 1],
    column_kind: &'a str,
    artifacts: Vec<Artifact>,
    results: Vec<ResultObject<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: OwnedText,
}

#[derive(Serialize)]
struct OwnedText {
    text: String,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    version: &'static str,
    semantic_version: &'static str,
    rules: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    id: &'static str,
    short_description: Text<'static>,
    full_description: Text<'static>,
    help: Text<'static>,
    default_configuration: Configuration,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Artifact {
    location: ArtifactUri,
}

#[derive(Serialize)]
struct ArtifactUri {
    uri: String,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
    index: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultObject<'a> {
    rule_id: &'static str,
    rule_index: usize,
    level: &'static str,
    message: Text<'a>,
    locations: [Location<'a>; 1],
    partial_fingerprints: Fingerprints,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixes: Vec<FixObject<'a>>,
    properties: Properties<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location<'a> {
    physical_location: PhysicalLocation,
    logical_locations: [LogicalLocation<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    /// `None` for a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation<'a> {
    fully_qualified_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: usize,
    start_column: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_column: Option<usize>,
}

#[derive(Serialize)]
struct Fingerprints {
    #[serde(rename = "portcullisFinding/v1")]
    finding: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FixObject<'a> {
    description: Text<'a>,
    artifact_changes: [ArtifactChange<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArtifactChange<'a> {
    artifact_location: ArtifactLocation,
    replacements: [Replacement<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Replacement<'a> {
    deleted_region: Region,
    inserted_content: Text<'a>,
}

#[derive(Serialize)]
struct Properties<'a> {
    fix: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paste: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witness: Option<&'a Witness>,
}

/// The files with findings.
struct Artifacts<'a> {
    /// The working directory.
    folder: &'a Path,
    list: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Artifacts<'_> {
    fn location(&mut self, file: &str) -> ArtifactLocation {
        let uri = uri::relative_uri(file, self.folder);
        let index = *self.numbers.entry(uri.clone()).or_insert_with(|| {
            self.list.push(uri.clone());
            self.list.len() - 1
        });
        ArtifactLocation { uri, index }
    }
}

fn descriptor(rule: &'static Rule) -> Descriptor {
    Descriptor {
        id: rule.code,
        short_description: Text { text: rule.title },
        full_description: Text { text: rule.help },
        help: Text { text: rule.help },
        default_configuration: Configuration { level: rule.severity.as_str() },
    }
}

fn result<'f>(finding: &'f Finding, artifacts: &mut Artifacts<'_>) -> ResultObject<'f> {
    let start = Position { line: finding.line, column: finding.column };
    let fixes = finding.edit.iter().map(|edit| fix(finding, edit, artifacts)).collect();
    ResultObject {
        rule_id: finding.rule.code,
        rule_index: RULES.iter().position(|rule| *rule == finding.rule).unwrap_or_default(),
        level: finding.rule.severity.as_str(),
        message: Text { text: &finding.message },
        locations: [Location {
            physical_location: PhysicalLocation {
                artifact_location: artifacts.location(&finding.file),
                region: (finding.line > 0).then(|| region(start, finding.end)),
            },
            logical_locations: [LogicalLocation { fully_qualified_name: &finding.path }],
        }],
        partial_fingerprints: Fingerprints { finding: fingerprint(finding) },
        fixes,
        properties: Properties {
            fix: &finding.fix,
            token: finding.token.as_deref(),
            paste: finding.paste.as_deref(),
            witness: finding.witness.as_ref(),
        },
    }
}

fn fix<'f>(finding: &'f Finding, edit: &'f Edit, artifacts: &mut Artifacts<'_>) -> FixObject<'f> {
    FixObject {
        description: Text { text: &finding.fix },
        artifact_changes: [ArtifactChange {
            artifact_location: artifacts.location(&finding.file),
            replacements: [Replacement {
                deleted_region: region(edit.start, Some(edit.end)),
                inserted_content: Text { text: &edit.insert },
            }],
        }],
    }
}

fn region(start: Position, end: Option<Position>) -> Region {
    Region {
        start_line: start.line,
        start_column: start.column,
        end_line: end.map(|end| end.line),
        end_column: end.map(|end| end.column),
    }
}

/// Returns a fingerprint that does not change when the token moves within its document.
fn fingerprint(finding: &Finding) -> String {
    let mut hash = Sha256::new();
    for part in [finding.rule.code, finding.token.as_deref().unwrap_or_default(), &finding.message] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(16).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}
