//! Lists the calls of granted queries.

use maud::{Markup, html};

use super::data::Report;
use super::numbers::{counted, grouped};

/// Max calls that are listed.
const CALLS: usize = 200;

/// Renders the calls of queries; nothing if no query calls anything.
pub(super) fn section(report: &Report) -> Markup {
    let left_out = report.calls.len().saturating_sub(CALLS) as u64;
    html! {
        @if !report.calls.is_empty() {
            section aria-labelledby="calls" {
                h2 id="calls" { "Calls in queries that may read more" }
                p.lead {
                    "Granted queries and named sources make these calls. What a call reads is not known, and no number on this page has it."
                }
                table {
                    thead { tr { th scope="col" { "Connection" } th scope="col" { "Call" } th scope="col" { "Queries" } } }
                    tbody { @for call in report.calls.iter().take(CALLS) { tr {
                        td { (call.connection) }
                        td { code { (call.call) } }
                        td { (grouped(call.queries)) }
                    } } }
                }
                @if left_out > 0 { p.more { (counted(left_out, "more call")) " are not listed." } }
            }
        }
    }
}
