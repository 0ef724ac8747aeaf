//! Findings in a valid policy.

use std::io::{self, Write};

use anyhow::Context;
use clap::ValueEnum;
use portcullis::authorizer::{Clock, SystemClock};
use portcullis_audit::lint::{Evidence, Finding, LintOptions, Names, RULES, Rule, Severity, lint, sarif};
use portcullis_document::load::Input;
use serde::Serialize;

use super::catalog::{self, CatalogArgs};
use super::registry_fix;
use super::usage::UsageArgs;
use crate::Exit;
use crate::bounds::{MAX_COUNT, count, expected};
use crate::excerpt::{Annotation, Renderer};
use crate::output::{Color, Csv, Painted, Stdout, counted, grouped, write_json_lines};
use crate::policy::PolicyArgs;
use crate::table::Table;

const EXAMPLES: &str = "\
Examples:
  portcullis audit lint --policy policy.json
  portcullis audit lint --policy policy.json --log decisions.jsonl \\
      --fail-on note
  portcullis audit lint --policy policy.json --format sarif > lint.sarif
  portcullis audit lint --rules

Exit codes: 0 no finding of `--fail-on` or above; 1 such findings; 2 error, or
the catalog was not read completely.";

/// Find valid but likely unintended definitions
///
/// Finds redundant, misread, too wide, look-alike and unused definitions. `--rules` lists all rules.
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    usage: UsageArgs,
    /// Ignore these rules, such as `plain_secret`
    #[arg(long, value_name = "CODE", num_args = 1.., value_parser = rule)]
    allow: Vec<&'static Rule>,
    /// Fail from this severity on
    ///
    /// Findings of this severity or above set exit code 1. One of `note`, `warning`, `error`.
    #[arg(long, value_name = "SEVERITY", default_value = "warning")]
    fail_on: Severity,
    /// Report tokens that expire this soon
    ///
    /// Days or weeks, such as `30d` or `2w`.
    #[arg(long, value_name = "SPAN", default_value = "30d", value_parser = span)]
    expires_within: i64,
    /// Report patterns this wide, 0 to 1
    ///
    /// The width is the share of the connection's catalog names that the pattern covers.
    #[arg(long, value_name = "SHARE", default_value = "0.5", value_parser = share)]
    wide_share: f64,
    /// Limit the findings, the most severe first
    ///
    /// The default is 100 in `text` and `table`. In `sarif` it is 25000, which is also the most that code review tools
    /// accept. `json` and `csv` have all findings.
    #[arg(long, value_name = "COUNT", value_parser = count::<1, MAX_COUNT>)]
    limit: Option<usize>,
    /// Print `text`, `table`, `json`, `csv` or `sarif`
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    /// List all rules and exit
    #[arg(long)]
    rules: bool,
    #[command(flatten)]
    catalog: CatalogArgs,
    #[command(flatten)]
    policy: PolicyArgs,
}

/// Max findings in text and tables, by default.
const LIMIT: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Table,
    Json,
    Csv,
    Sarif,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let mut out = Stdout::lock();
    if args.rules {
        list_rules(args.format, color, &mut out)?;
        out.flush()?;
        return Ok(Exit::Success);
    }
    let Some(read) = args.policy.documents(color, true)? else { return Ok(Exit::Failure) };
    let now = SystemClock.now();
    let options = LintOptions {
        expires_within: args.expires_within,
        wide_share: args.wide_share,
        allow: args.allow.iter().map(|rule| rule.code).collect(),
        ..LintOptions::at(now)
    };
    let usage = args.usage.read(&args.policy, &read, now, color)?;
    let mut names = None;
    let mut complete = true;
    if let Some(path) = &args.catalog.catalog {
        let mut catalog_names = Names::of(read.policy()?);
        let visit = |connection: &str, name: &str| catalog_names.see(connection, name);
        let progress = catalog::each(path, &args.catalog, &[read.policy()?], color, visit)?;
        complete = progress.complete;
        // A name that is missing may be in a row that was not read.
        names = Some(catalog_names).filter(|_| progress.complete);
    }
    let evidence = Evidence { names, usage: usage.as_ref() };
    let mut findings = lint(&read.inputs, &read.loaded, &options, evidence)?;
    if let (true, [document]) = (args.policy.registry()?.is_some(), &*read.inputs) {
        registry_fix::replace(&mut findings, document.text(), document.name());
    }
    match args.format {
        Format::Text => text(&read.inputs, &findings, args.limit.unwrap_or(LIMIT), color, &mut out)?,
        Format::Table => table(&findings, args.limit.unwrap_or(LIMIT), color, &mut out)?,
        Format::Json => json(&findings, &mut out)?,
        Format::Csv => csv(&findings, &mut out)?,
        Format::Sarif => {
            let folder = std::env::current_dir().context("cannot find the working directory")?;
            let limit = args.limit.unwrap_or(sarif::MAX_RESULTS).min(sarif::MAX_RESULTS);
            write_json_lines(&mut out, &sarif::log(&findings, &folder, limit))?;
            not_in_sarif(findings.len(), limit, color)?;
        }
    }
    out.flush()?;
    let fails = findings.iter().any(|finding| finding.rule.severity >= args.fail_on);
    Ok(match fails {
        _ if !complete => Exit::Failure,
        true => Exit::No,
        false => Exit::Success,
    })
}

fn text(inputs: &[Input], findings: &[Finding], limit: usize, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
    let paint = color.on(&io::stdout());
    let mut renderers: Vec<Option<Renderer>> = inputs.iter().map(|_| None).collect();
    let mut text = String::new();
    for finding in findings.iter().take(limit) {
        let Some(index) = inputs.iter().position(|input| input.name() == finding.file) else { continue };
        let (Some(renderer), Some(input)) = (renderers.get_mut(index), inputs.get(index)) else { continue };
        renderer.get_or_insert_with(|| Renderer::new(input, paint)).render(annotation(finding), &mut text)?;
    }
    out.write_all(text.as_bytes())?;
    summary(findings, limit, out)
}

fn annotation(finding: &Finding) -> Annotation<'_> {
    let help = match &finding.paste {
        Some(paste) if !finding.fix.contains(paste.trim_matches('"')) => format!("{}: {paste}", finding.fix).into(),
        _ => (&*finding.fix).into(),
    };
    Annotation {
        severity: match finding.rule.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
            Severity::Note => miette::Severity::Advice,
        },
        label: format!("{}[{}]", finding.rule.severity, finding.rule.code),
        file: &finding.file,
        path: &finding.path,
        line: finding.line,
        column: finding.column,
        span: finding.span.clone(),
        message: &finding.message,
        help,
    }
}

fn table(findings: &[Finding], limit: usize, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
    if !findings.is_empty() {
        let mut table = Table::new(&["SEVERITY", "CODE", "AT", "TOKEN", "WHY", "FIX"]);
        for finding in findings.iter().take(limit) {
            table.row([
                finding.rule.severity.to_string(),
                finding.rule.code.to_owned(),
                match finding.line {
                    0 => format!("{} {}", finding.file, finding.path),
                    line => format!("{}:{line}:{} {}", finding.file, finding.column, finding.path),
                },
                finding.token.clone().unwrap_or_else(|| "-".to_owned()),
                finding.message.clone(),
                finding.fix.clone().into_owned(),
            ]);
        }
        table.print(color.on(&io::stdout()), out)?;
    }
    summary(findings, limit, out)
}

fn summary(findings: &[Finding], limit: usize, out: &mut Stdout) -> anyhow::Result<()> {
    let count = |severity| findings.iter().filter(|finding| finding.rule.severity == severity).count() as u64;
    let [notes, warnings, errors] = Severity::ALL.map(count);
    if findings.len() > limit {
        writeln!(
            out,
            "… and {} more: raise `--limit`, or use `--format json`",
            grouped((findings.len() - limit) as u64)
        )?;
    }
    let [errors, warnings, notes] =
        [(errors, "error"), (warnings, "warning"), (notes, "note")].map(|(count, noun)| counted(count, noun));
    writeln!(out, "{errors}, {warnings}, {notes}")?;
    Ok(())
}

/// Reports findings that the SARIF output leaves out, on standard error.
fn not_in_sarif(count: usize, limit: usize, color: Color) -> io::Result<()> {
    let left_out = count.saturating_sub(limit) as u64;
    if left_out == 0 {
        return Ok(());
    }
    let mut stderr = io::stderr().lock();
    let note = Painted::bold(color.on(&stderr), "note:");
    writeln!(stderr, "{note} {} left out: `--format json` has all", counted(left_out, "finding"))
}

fn json(findings: &[Finding], out: &mut Stdout) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct All<'f> {
        findings: &'f [Finding],
    }
    Ok(write_json_lines(out, &All { findings })?)
}

fn csv(findings: &[Finding], out: &mut Stdout) -> anyhow::Result<()> {
    let mut csv =
        Csv::new(out, ["severity", "code", "file", "line", "column", "path", "token", "message", "fix", "paste"])?;
    for finding in findings {
        csv.row([
            finding.rule.severity.as_str(),
            finding.rule.code,
            &finding.file,
            &finding.line.to_string(),
            &finding.column.to_string(),
            &finding.path,
            finding.token.as_deref().unwrap_or_default(),
            &finding.message,
            &*finding.fix,
            finding.paste.as_deref().unwrap_or_default(),
        ])?;
    }
    csv.finish()?;
    Ok(())
}

fn list_rules(format: Format, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
    if format == Format::Json {
        let rule = |rule: &&Rule| serde_json::json!({"code": rule.code, "severity": rule.severity, "title": rule.title, "help": rule.help});
        return Ok(write_json_lines(out, &RULES.iter().map(rule).collect::<Vec<_>>())?);
    }
    let mut table = Table::new(&["CODE", "SEVERITY", "FINDS"]);
    for rule in RULES {
        table.row([rule.code, rule.severity.as_str(), rule.title].map(str::to_owned));
    }
    table.print(color.on(&io::stdout()), out)?;
    Ok(())
}

fn rule(code: &str) -> Result<&'static Rule, String> {
    let is_separator = |character: char| matches!(character, ',' | ';') || character.is_whitespace();
    let codes = code.split(is_separator).filter(|code| !code.is_empty()).map(Rule::find);
    Rule::find(code).ok_or_else(|| match codes.collect::<Option<Vec<_>>>() {
        Some(rules) if !rules.is_empty() => {
            let codes: Vec<&str> = rules.iter().map(|rule| rule.code).collect();
            expected("one rule in each argument, found a list", format_args!("--allow {}", codes.join(" ")))
        }
        _ => "unknown rule\nhelp: `portcullis audit lint --rules` lists all rules".to_owned(),
    })
}

fn span(text: &str) -> Result<i64, String> {
    let days = match text.chars().next_back() {
        Some('w') => 7,
        _ => 1,
    };
    let count = text.strip_suffix(['d', 'w']).and_then(|count| count.parse::<u32>().ok());
    count.map(|count| i64::from(count) * days * 86_400).ok_or_else(|| {
        let days = text.parse::<u32>().unwrap_or(30);
        expected("days or weeks, such as `30d` or `2w`", format_args!("{days}d"))
    })
}

fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share.filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| expected("a number from 0 to 1", 0.5))
}

#[cfg(test)]
mod tests {
    use super::rule;

    #[test]
    fn a_list_of_rules_has_its_valid_form() {
        for (text, help) in [
            ("plain_secret,expired", "write `--allow plain_secret expired`"),
            ("plain-secret; expired", "write `--allow plain_secret expired`"),
            (" expired ", "write `--allow expired`"),
            ("expired,", "write `--allow expired`"),
            ("plain_secret,unknown", "`portcullis audit lint --rules` lists all rules"),
            (",", "`portcullis audit lint --rules` lists all rules"),
            ("", "`portcullis audit lint --rules` lists all rules"),
        ] {
            let error = rule(text).expect_err(text);
            assert!(error.ends_with(&format!("help: {help}")), "{text}: {error}");
        }
    }
}
