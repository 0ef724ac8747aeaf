//! Builds the HTML page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::bars::{self, Bar};
use super::data::{Exposed, Exposure, Lives, Matrix, Report};
use super::numbers::{counted, grouped, percent, share};
use super::{findings, matrix, queries, timeline, tokens};
use crate::lint::Severity;
use portcullis::base::Escaped;

/// The name in the page of the program that wrote it.
const GENERATOR: &str = "portcullis audit report";

/// Returns whether `start`, the first kilobyte of a file, is the start of a page of a report.
pub fn is_page(start: &[u8]) -> bool {
    String::from_utf8_lossy(start).contains(&format!("<meta name=\"generator\" content=\"{GENERATOR}\">"))
}

const STYLE: &str = include_str!("style.css");

/// Renders the report as one HTML document. Linear in the report.
///
/// Characters that change the direction of text or cannot be seen are escaped as in [`Escaped`], wherever they come
/// from.
pub fn page(report: &Report) -> String {
    let title = format!("Audit of {}", report.title);
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="generator" content=(GENERATOR);
                meta http-equiv="Content-Security-Policy" content=(content_security_policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                // Without this, browsers request an icon.
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    p.kicker { "Portcullis audit" }
                    h1 { (report.title) }
                    p.about {
                        (counted(report.tokens, "token")) ", " (counted(report.grants, "grant")) ", "
                        (counted(report.connections, "connection"))
                        @if let Some(catalog) = &report.catalog { "; catalog " b { (catalog) } }
                        ". Made " time datetime=(report.made) { (report.made) } " by Portcullis " (env!("CARGO_PKG_VERSION")) "."
                    }
                    @if let Some(content) = &report.content { p.about { "Content of the policy: " code { (content) } } }
                    @if let Some(digest) = &report.catalog_sha256 { p.about { "SHA-256 of the catalog: " code { (digest) } } }
                }
                main {
                    (tiles(report))
                    @match &report.exposure {
                        Some(exposure) => (exposed(exposure)),
                        None => section aria-labelledby="exposure" {
                            h2 id="exposure" { "Exposure" }
                            p.empty { "No catalog was given: " code { "--catalog FILE" } " names the file of existing names, from which the exposure is computed." }
                        },
                    }
                    @if let Some(matrix) = &report.matrix { (who_can(matrix)) }
                    (queries::section(report))
                    (tokens::section(report))
                    (lives(&report.lives))
                    (findings::section(report))
                }
                @if report.exposure.is_some() {
                    footer {
                        p {
                            "Every name of the catalog was matched, none were sampled. A token exposes the names that it may read or write under some API, "
                            "from whatever site, until it expires."
                        }
                    }
                }
            }
        }
    };
    let document = document.into_string();
    // The page itself has no such characters.
    Escaped::lines(&document).to_string()
}

/// Returns a content security policy that allows only the style of this page.
fn content_security_policy() -> String {
    let hash = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'")
}

fn tiles(report: &Report) -> Markup {
    let tile = |value: String, label: &str, class: &str| {
        html! { li class=(class) { b { (value) } span { (label) } } }
    };
    let [notes, warnings, errors] = Severity::ALL.map(|severity| findings::count(report, severity));
    html! {
        ul.tiles {
            @if let Some(exposure) = &report.exposure {
                @let exposed = format!("{} of {} exposed", grouped(exposure.exposed), counted(exposure.names, "name"));
                (tile(percent(share(exposure.exposed, exposure.names)), &exposed, ""))
                @if exposure.through_queries > 0 {
                    (tile(grouped(exposure.through_queries), "more through queries", ""))
                }
            }
            (tile(grouped(report.lives.never), "tokens never expire", ""))
            (tile(grouped(errors), if errors == 1 { "error" } else { "errors" }, if errors > 0 { "error" } else { "" }))
            (tile(grouped(warnings), if warnings == 1 { "warning" } else { "warnings" }, if warnings > 0 { "warning" } else { "" }))
            (tile(grouped(notes), if notes == 1 { "note" } else { "notes" }, ""))
        }
    }
}

fn exposed(exposure: &Exposure) -> Markup {
    let tokens: Vec<Bar> = exposure
        .tokens
        .iter()
        .map(|token| Bar {
            label: token.token.clone(),
            value: reads(token, exposure.names),
            share: share(token.names, exposure.names),
            more: share(token.through_queries, exposure.names),
            marked: token.public,
        })
        .collect();
    let schemas: Vec<Bar> = exposure
        .schemas
        .iter()
        .map(|schema| Bar {
            label: schema.schema.clone(),
            value: format!("{} of {}", beside(schema.exposed, schema.through_queries), grouped(schema.names)),
            share: share(schema.exposed, schema.names),
            more: share(schema.through_queries, schema.names),
            marked: false,
        })
        .collect();
    let public = exposure.tokens.iter().any(|token| token.public);
    let hidden = exposure.names.saturating_sub(exposure.exposed + exposure.through_queries);
    let in_schemas = exposure.schemas.iter().any(|schema| schema.through_queries > 0);
    let queries = exposure.tokens.iter().any(|token| token.through_queries > 0);
    html! {
        section aria-labelledby="by-token" {
            h2 id="by-token" { "Exposure by token" }
            p.lead { "How much of the catalog each token can read. " (query_lead(exposure)) b { (grouped(hidden)) } (if exposure.through_queries > 0 { " by no token." } else { " can be read by no token." }) (unknown_lead(exposure)) }
            @if tokens.is_empty() {
                p.empty { "No token exposes anything of the catalog." }
            } @else {
                @if public || queries {
                    p.legend {
                        @if public {
                            span { (swatch("bar marked")) "shown by web pages: it has referers" }
                            span { (swatch("bar")) "others" }
                        }
                        @if queries {
                            span { @if public { (swatch("bar marked more")) } (swatch("bar more")) "only through queries" }
                        }
                    }
                }
                (bars::chart("tokens", "Exposure by token", &format!("Shares of {} that tokens can read", counted(exposure.names, "name")), &tokens))
                (left_out(exposure.tokens_left_out, "token", "expose less"))
                (numbers(&["Token", "Names", "Share", "Through queries", "Web pages"], exposure.tokens.iter().map(|token| {
                    let public = if token.public { "yes" } else { "no" };
                    vec![
                        token.token.clone(),
                        grouped(token.names),
                        percent(share(token.names, exposure.names)),
                        grouped(token.through_queries),
                        public.to_owned(),
                    ]
                })))
            }
        }
        section aria-labelledby="by-schema" {
            h2 id="by-schema" { "Exposure by schema" }
            p.lead { "How much of each schema some token can read" @if in_schemas { ", itself or through queries" } "." }
            @if schemas.is_empty() {
                p.empty { "The catalog is empty." }
            } @else {
                @if in_schemas {
                    p.legend {
                        span { (swatch("bar")) "itself" }
                        span { (swatch("bar more")) "only through queries" }
                    }
                }
                (bars::chart("schemas", "Exposure by schema", "Shares of schemas that tokens can read", &schemas))
                (left_out(exposure.schemas_left_out, "schema", "are smaller"))
                (numbers(&["Schema", "Names", "Exposed", "Share", "Through queries"], exposure.schemas.iter().map(|schema| {
                    vec![
                        schema.schema.clone(),
                        grouped(schema.names),
                        grouped(schema.exposed),
                        percent(share(schema.exposed, schema.names)),
                        grouped(schema.through_queries),
                    ]
                })))
            }
        }
    }
}

/// Describes the exposure through queries, up to the names that are not exposed.
fn query_lead(exposure: &Exposure) -> Markup {
    html! {
        "Of " (counted(exposure.names, "name")) " "
        @if exposure.through_queries > 0 { b { (grouped(exposure.through_queries)) } " can be read only through granted queries and named sources, " }
    }
}

/// Describes the unknown part of the exposure.
fn unknown_lead(exposure: &Exposure) -> Markup {
    let unknown = exposure.not_followed;
    let (what, them) =
        if unknown == 1 { ("query or named source", "it") } else { ("queries and named sources", "them") };
    html! {
        @if unknown > 0 {
            " What " b { (grouped(unknown)) } " " (what) " can read is not known: " code { "portcullis audit exposure" } " lists " (them) "."
        }
    }
}

/// Formats a count, and the further count through queries.
fn beside(own: u64, through: u64) -> String {
    if through == 0 { grouped(own) } else { format!("{} + {}", grouped(own), grouped(through)) }
}

fn reads(token: &Exposed, names: u64) -> String {
    let all = share(token.names + token.through_queries, names);
    format!("{} · {}", beside(token.names, token.through_queries), percent(all))
}

fn who_can(matrix: &Matrix) -> Markup {
    let (tokens, schemas) = matrix.left_out;
    html! {
        section aria-labelledby="who-can" {
            h2 id="who-can" { "Who can read what" }
            p.lead { "What part of each schema each token can read, itself or through a query that it may run." }
            @if matrix.rows.is_empty() || matrix.schemas.is_empty() {
                p.empty { "No token exposes anything of the catalog." }
            } @else {
                (matrix::chart(matrix))
                @if tokens > 0 { p.more { (counted(tokens, "token")) " that expose less are not shown." } }
                @if schemas > 0 { p.more { (counted(schemas, "schema")) " that are smaller are not shown." } }
                @let heading: Vec<&str> = std::iter::once("Token").chain(matrix.schemas.iter().map(|(schema, _)| schema.as_str())).collect();
                (numbers(&heading, matrix.rows.iter().map(|row| {
                    std::iter::once(row.token.clone()).chain(row.names.iter().map(|count| grouped(*count))).collect()
                })))
            }
        }
    }
}

fn lives(lives: &Lives) -> Markup {
    let soon: u64 = lives.months.iter().map(|month| month.ends).sum();
    let all = soon + lives.expired + lives.later + lives.never;
    html! {
        section aria-labelledby="lives" {
            h2 id="lives" { "When tokens end" }
            @if all == 0 {
                p.empty { "The policy has no token." }
            } @else {
                p.lead {
                    b { (grouped(lives.expired)) } " expired, "
                    b { (grouped(soon)) } " in the next " (counted(lives.months.len() as u64, "month")) ", "
                    b { (grouped(lives.later)) } " later, "
                    b { (grouped(lives.never)) } " never."
                }
                @if soon == 0 {
                    p.empty { "No token ends in the next " (counted(lives.months.len() as u64, "month")) "." }
                } @else {
                    (timeline::chart(lives))
                    (numbers(&["Month", "Tokens that end"], lives.months.iter().filter(|month| month.ends > 0).map(|month| {
                        vec![timeline::name(month), grouped(month.ends)]
                    })))
                }
            }
        }
    }
}

fn swatch(class: &str) -> Markup {
    html! { svg width="14" height="14" aria-hidden="true" { rect class=(class) width="14" height="14" rx="3" {} } }
}

fn left_out(count: u64, noun: &str, why: &str) -> Markup {
    html! { @if count > 0 { p.more { (counted(count, noun)) " that " (why) " are not shown." } } }
}

/// Renders the table of a chart's numbers.
fn numbers(heading: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Markup {
    html! {
        details {
            summary { "The numbers" }
            div.scrolls tabindex="0" {
                table.numbers {
                    thead { tr { @for cell in heading { th scope="col" { (cell) } } } }
                    tbody {
                        @for row in rows {
                            tr { @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            } }
                        }
                    }
                }
            }
        }
    }
}
