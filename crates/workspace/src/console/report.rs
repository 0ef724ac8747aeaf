//! The audit report of the tokens that the user may see, in a frame.

use std::sync::Arc;

use axum::Router;
use axum::response::{Html, IntoResponse};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_FRAME_OPTIONS};
use maud::html;
use portcullis_audit::lint::{Evidence, LintOptions, Names, lint};
use portcullis_audit::reads::{Followed, NamedSources};
use portcullis_audit::report::{Report, SchemaCounts, page as written};
use portcullis_document::load::{Input, LoadOptions, load};
use portcullis_registry::record::{Connection, NamedSource};
use portcullis_registry::{Actor, Registry, TokenOrder, TokenQuery};

use super::catalog::Names as CatalogNames;
use super::layout::Tab;
use super::visit::{Console, Shown, Visit, show};
use crate::catalog::Catalog;
use crate::problem::Problem;
use crate::service::Workspace;

/// The maximum number of tokens of a report: each is matched with the catalog while the user waits.
const MAX_TOKENS: usize = 20_000;

pub(super) fn router(console: &Arc<Console>) -> Router {
    Router::new().route("/report", show(console, page)).route("/report/page", show(console, document))
}

/// Shows the frame.
async fn page(visit: Visit) -> Shown {
    let content = html! {
        div.heading {
            h1 { "Audit" }
            div.actions { a.button href=(visit.to("/report/page")) target="_blank" rel="noopener" { "Open in a window" } }
        }
        iframe.report src=(visit.to("/report/page")) title="Audit report" {}
    };
    Ok(visit.page(Tab::Report, "Audit", &content))
}

/// Answers with the report, as `portcullis audit report` writes it.
async fn document(visit: Visit) -> Shown {
    let read = |registry: &mut Registry, actor: &Actor| {
        let (mut tokens, mut after) = (Vec::new(), None);
        loop {
            let query =
                TokenQuery { order: TokenOrder::Created, after: after.as_ref(), limit: 1_000, ..TokenQuery::default() };
            let page = registry.token_page(actor, &query)?;
            tokens.extend(page.tokens);
            if tokens.len() > MAX_TOKENS {
                return Ok(None);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(Some((registry.document_of(&tokens)?, registry.connections()?, registry.named_sources()?)))
    };
    let read = visit.workspace().read(&visit.identity, read).await?.ok_or_else(|| {
        let message = format!("the registry has more than {MAX_TOKENS} tokens that you may see");
        let help = "run `portcullis audit report --db` on the registry's machine";
        Problem::new(StatusCode::CONFLICT, "report_too_large", message, help)
    })?;
    let (document, connections, named_sources) = read;
    let workspace = Arc::clone(&visit.console.workspace);
    let work = move || report(document, &named_sources, &workspace.catalog(), &connections);
    let page = tokio::task::spawn_blocking(work).await.map_err(|_| Problem::internal())??;
    // The document has a policy of its own, which allows its style alone. A policy in a header adds what a document cannot say.
    let policy = "frame-ancestors 'self'; sandbox";
    let headers = [(CONTENT_SECURITY_POLICY, policy), (X_FRAME_OPTIONS, "SAMEORIGIN"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Html(page)).into_response())
}

fn report(
    document: String,
    named_sources: &[NamedSource],
    catalog: &Catalog,
    connections: &[Connection],
) -> Result<String, Problem> {
    let now = Workspace::now();
    let input = Input::generated("the registry", document);
    let options = LoadOptions { warnings: true, now: Some(now), ..LoadOptions::default() };
    let loaded = load(std::slice::from_ref(&input), &options);
    let policy = loaded.policy.as_ref().ok_or_else(Problem::internal)?;
    let mut named = NamedSources::default();
    for source in named_sources {
        named.add(source.name.clone(), source.connection.clone(), source.query.clone());
    }
    let followed = Followed::of(policy, &named);
    let mut report = Report::new("Tokens of the workspace", policy, now).with_queries(policy, &followed);
    let mut evidence = None;
    if !catalog.is_empty() {
        let (mut counts, mut seen) = (SchemaCounts::following(policy, now, &followed), Names::of(policy));
        for known in connections {
            for name in CatalogNames::new(catalog, &known.name, known.dialect).iter() {
                counts.see(&known.name, name);
                seen.see(&known.name, name);
            }
        }
        report = report.with_catalog("of the workspace", &counts);
        evidence = Some(seen);
    }
    let evidence = Evidence { names: evidence, usage: None };
    let findings = lint(std::slice::from_ref(&input), &loaded, &LintOptions::at(now), evidence);
    Ok(written(&report.with_findings(&findings.map_err(|_| Problem::internal())?)))
}
