//! Shows the contents of a snapshot.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anyhow::bail;
use portcullis::base::Escaped;
use portcullis::model::GrantKind;
use portcullis::snapshot::{ConnectionReport, ContentId, Report};
use serde::Serialize;

use super::Exit;
use super::output::{Color, Format, Painted, Stdout, bytes, counted, grouped, write_json_lines};
use super::policy::PolicyArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis inspect --policy policy.json
  portcullis inspect --policy tokens.json connections.json --format json |
      jq .connections";

/// Show the contents of a policy
///
/// Counts tokens, grants and patterns, and shows how each connection is matched and the memory that the policy uses.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Print `text` or `json`
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    policy: PolicyArgs,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let Some(snapshot) = args.policy.snapshot(color)? else { return Ok(Exit::Failure) };
    let id = snapshot.content_id()?;
    if let Some(stored) = snapshot.report().content_id.filter(|stored| *stored != id) {
        bail!("the compiled policy is damaged: expected content {stored}, found {id}: compile it again");
    }
    let mut out = Stdout::lock();
    match args.format {
        Format::Json => {
            write_json_lines(&mut out, &ReportJson::of(snapshot.report(), id))?;
        }
        Format::Text => text(snapshot.report(), id, color.on(&io::stdout()), &mut out)?,
    }
    out.flush()?;
    Ok(Exit::Success)
}

fn text(report: &Report, id: ContentId, paint: bool, out: &mut impl Write) -> io::Result<()> {
    let row = |out: &mut dyn Write, name: &str, value: String| writeln!(out, "{name:<14}{value}");
    row(out, "tokens", grouped(report.tokens as u64))?;
    row(out, "grants", kinds(report.grant_count(), &report.grants))?;
    row(
        out,
        "grant sets",
        format!("{} distinct; tokens with equal grants share one", grouped(report.grant_sets as u64)),
    )?;
    row(out, "referer sets", format!("{} distinct", grouped(report.referer_sets as u64)))?;
    row(out, "shapes", format!("{} distinct, of patterns", grouped(report.shapes as u64)))?;
    let parts = format!(
        "{}: tokens {}, grants {}, texts {}, referers {}, matchers {}",
        bytes(report.bytes()),
        bytes(report.token_bytes),
        bytes(report.grant_bytes),
        bytes(report.text_bytes),
        bytes(report.referer_bytes),
        bytes(report.matcher_bytes)
    );
    row(out, "memory", parts)?;
    row(out, "content", id.to_string())?;
    for connection in &report.connections {
        let case = if connection.dialect.is_case_sensitive() { ", case-sensitive" } else { "" };
        let name = Painted::bold(paint, Escaped::whole(&connection.name));
        writeln!(out, "\n{name} ({}{case})", connection.dialect)?;
        row(out, "  grants", kinds(connection.grants.values().sum(), &connection.grants))?;
        if !connection.patterns.is_empty() {
            row(out, "  patterns", classes(connection))?;
        }
        row(out, "  strategy", format!("{}: {}", connection.strategy, connection.why))?;
    }
    Ok(())
}

/// `12: 3 resource, 9 pattern`.
fn kinds(total: usize, by_kind: &BTreeMap<GrantKind, usize>) -> String {
    let kinds: Vec<_> = by_kind.iter().map(|(kind, count)| format!("{} {kind}", grouped(*count as u64))).collect();
    if kinds.is_empty() { grouped(total as u64) } else { format!("{}: {}", grouped(total as u64), kinds.join(", ")) }
}

fn classes(connection: &ConnectionReport) -> String {
    let classes: Vec<_> = connection
        .patterns
        .iter()
        .map(|(class, count)| format!("{} {}", grouped(*count as u64), class.as_str()))
        .collect();
    let residue = match connection.residue {
        0 => "all found by a hash".to_owned(),
        count => format!("{} not found by a hash", counted(count as u64, "pattern")),
    };
    format!("{}; {residue}", classes.join(", "))
}

#[derive(Serialize)]
struct ReportJson<'r> {
    tokens: usize,
    grants: BTreeMap<&'static str, usize>,
    grant_sets: usize,
    referer_sets: usize,
    shapes: usize,
    bytes: BytesJson,
    content_id: String,
    connections: Vec<ConnectionJson<'r>>,
}

#[derive(Serialize)]
struct BytesJson {
    total: usize,
    tokens: usize,
    grants: usize,
    texts: usize,
    referers: usize,
    matchers: usize,
}

#[derive(Serialize)]
struct ConnectionJson<'r> {
    name: &'r str,
    dialect: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    case_sensitive: bool,
    grants: BTreeMap<&'static str, usize>,
    patterns: BTreeMap<&'static str, usize>,
    residue: usize,
    strategy: &'static str,
    why: &'r str,
}

impl<'r> ReportJson<'r> {
    fn of(report: &'r Report, id: ContentId) -> Self {
        Self {
            tokens: report.tokens,
            grants: by_name(&report.grants),
            grant_sets: report.grant_sets,
            referer_sets: report.referer_sets,
            shapes: report.shapes,
            bytes: BytesJson {
                total: report.bytes(),
                tokens: report.token_bytes,
                grants: report.grant_bytes,
                texts: report.text_bytes,
                referers: report.referer_bytes,
                matchers: report.matcher_bytes,
            },
            content_id: id.to_string(),
            connections: report.connections.iter().map(ConnectionJson::of).collect(),
        }
    }
}

impl<'r> ConnectionJson<'r> {
    fn of(report: &'r ConnectionReport) -> Self {
        Self {
            name: &report.name,
            dialect: report.dialect.as_str(),
            case_sensitive: report.dialect.is_case_sensitive(),
            grants: by_name(&report.grants),
            patterns: report.patterns.iter().map(|(class, count)| (class.as_str(), *count)).collect(),
            residue: report.residue,
            strategy: report.strategy,
            why: &report.why,
        }
    }
}

fn by_name(grants: &BTreeMap<GrantKind, usize>) -> BTreeMap<&'static str, usize> {
    grants.iter().map(|(kind, count)| (kind.as_str(), *count)).collect()
}
