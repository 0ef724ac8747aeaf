//! Shows findings as a table, or as cards on narrow screens.

use maud::{Markup, html};

use super::data::{FindingRow, Report};
use super::numbers::grouped;
use crate::lint::Severity;

/// Returns the number of findings of a severity, including those that are left out.
pub(super) fn count(report: &Report, severity: Severity) -> u64 {
    let shown = report.findings.iter().filter(|finding| finding.severity == severity).count() as u64;
    let left_out = Severity::ALL.iter().zip(report.findings_left_out).find(|(of, _)| **of == severity);
    shown + left_out.map_or(0, |(_, count)| count)
}

pub(super) fn section(report: &Report) -> Markup {
    let left_out: u64 = report.findings_left_out.iter().sum();
    html! {
        section aria-labelledby="findings" {
            h2 id="findings" { "Findings" }
            @if report.findings.is_empty() {
                p.empty { "Nothing was found." }
            } @else {
                table.findings {
                    thead { tr { th scope="col" { "Severity" } th scope="col" { "What" } th scope="col" { "Where" } } }
                    tbody { @for finding in &report.findings { (row(finding)) } }
                }
                @if left_out > 0 {
                    p.more { (grouped(left_out)) " more are not shown: " code { "portcullis audit lint" } " lists all of them." }
                }
            }
        }
    }
}

fn row(finding: &FindingRow) -> Markup {
    html! {
        tr {
            td { span class={"badge " (finding.severity.as_str())} { (finding.severity.as_str()) } }
            td {
                p.why { (quoting(&finding.message)) }
                p.fix { (quoting(&finding.fix)) @if let Some(paste) = &finding.paste { ": " code { (paste) } } }
            }
            td.where {
                code { (finding.code) }
                @if let Some(token) = &finding.token { span { "token " b { (token) } } }
                span { (finding.position) }
            }
        }
    }
}

/// Renders text between backticks as code.
fn quoting(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
