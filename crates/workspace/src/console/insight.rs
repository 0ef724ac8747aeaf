//! What a token reads now, what it would read tomorrow, what is suspicious about it, and how one request is decided.
//!
//! The engine computes everything, from the policy of this token alone.

use std::sync::Arc;

use maud::{Markup, html};
use portcullis::Options;
use portcullis::base::{Timestamp, quoted};
use portcullis::decision::{Decision, Replay, Request, Source};
use portcullis::explain::{CheckOutcome, Explanation, explain_token};
use portcullis::model::{GrantKind, Policy, Token};
use portcullis::snapshot::Snapshot;
use portcullis_audit::coverage::Coverage;
use portcullis_audit::exposure::{Batch, Exposure, NameCounts};
use portcullis_audit::forecast;
use portcullis_audit::lint::{Evidence, LintOptions, Names, Severity, lint};
use portcullis_audit::reads::{Followed, NamedSources};
use portcullis_document::load::{Input, LoadOptions, load};
use portcullis_registry::record::{Connection, NamedSource};

use super::catalog::Names as CatalogNames;
use super::connections::doubt;
use super::form::Form;
use super::words::{counted, grouped, marked, prose, safe, short};
use crate::catalog::Catalog;
use crate::previews::TimeLimit;
use crate::problem::Problem;
use crate::service::Workspace;

/// The number of names that a batch has.
const BATCH: usize = 4096;

/// A request to try.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempt {
    pub(super) api: String,
    connection: String,
    kind: String,
    source: String,
    referer: String,
}

/// What is asked about a token.
pub(super) struct Question {
    /// A policy document with this token alone.
    pub(super) document: String,
    /// The id of the token.
    pub(super) token: String,
    pub(super) named_sources: Vec<NamedSource>,
    /// The connections, with their dialects.
    pub(super) connections: Vec<Connection>,
    /// Has the names of the warehouse.
    pub(super) workspace: Arc<Workspace>,
    pub(super) attempt: Option<Attempt>,
    /// Whether the token is only proposed: the form that proposes it sets its expiry.
    pub(super) is_new: bool,
    pub(super) now: Timestamp,
}

/// The names of a connection that a token reads.
struct Reads {
    connection: String,
    /// The names of the connection in the catalog.
    of: u64,
    names: u64,
    /// The names that it reads only through queries and named sources.
    through_queries: u64,
    examples: Vec<String>,
}

/// The names that do not exist yet, and that a pattern covers.
struct Tomorrow {
    connection: String,
    source: String,
    names: Vec<String>,
}

struct Finding {
    severity: Severity,
    message: String,
    fix: String,
}

/// The answers.
pub(super) struct Insight {
    /// `None` without a catalog.
    reads: Option<Vec<Reads>>,
    /// The time limit at which reading the catalog stopped. Then nothing that depends on the catalog is known.
    stopped: Option<String>,
    /// Why the names may not be those that exist.
    doubt: Option<String>,
    tomorrow: Vec<Tomorrow>,
    findings: Vec<Finding>,
    attempt: Option<(Attempt, Explanation)>,
    /// The names of the catalog that are malformed.
    malformed: u64,
}

impl Attempt {
    /// Reads the fields of *try it*; `None` if they are empty.
    pub(super) fn read(form: &Form) -> Option<Self> {
        let field = |name| form.get(name).trim().to_owned();
        let attempt = Self {
            api: field("try_api"),
            connection: field("try_connection"),
            kind: field("try_kind"),
            source: field("try_source"),
            referer: field("try_referer"),
        };
        (!attempt.api.is_empty() && (!attempt.source.is_empty() || attempt.api == "lds")).then_some(attempt)
    }
}

impl Question {
    /// Answers. Takes as long as the catalog is large, up to the limit.
    pub(super) fn answer(self, limit: &TimeLimit) -> Result<Insight, Problem> {
        let input = Input::generated("the token", self.document.as_str());
        let options = LoadOptions { warnings: true, now: Some(self.now), ..LoadOptions::default() };
        let loaded = load(std::slice::from_ref(&input), &options);
        let policy =
            loaded.policy.as_ref().ok_or_else(|| failed("the token's policy does not load", &loaded.diagnostics))?;
        let snapshot = Snapshot::compile(policy, &Options::default());
        let snapshot = snapshot.map_err(|error| failed("the token's policy does not compile", &error))?;
        let mut named = NamedSources::default();
        for source in &self.named_sources {
            named.add(source.name.clone(), source.connection.clone(), source.query.clone());
        }
        let followed = Followed::of(policy, &named);
        let chosen = forecast::Options { token: Some(self.token.clone()), ..forecast::Options::at(self.now) };
        let (mut future, mut evidence) = (forecast::Catalog::new(policy, &chosen), Names::of(policy));
        let catalog = self.workspace.catalog();
        let has_catalog = !catalog.is_empty();
        let mut is_stopped = false;
        'catalog: for names in self.names(&catalog) {
            for (name, at) in names.iter().zip(0..) {
                if at % BATCH == 0 && limit.is_over() {
                    is_stopped = true;
                    break 'catalog;
                }
                future.see(names.connection(), name);
                evidence.see(names.connection(), name);
            }
        }
        let reads = if is_stopped { None } else { self.reads(&catalog, policy, &followed, limit) };
        let stopped = reads.is_none().then(|| limit.text());
        let (reads, malformed) = reads.unwrap_or_default();
        let forecasts = match &stopped {
            // A name that was not read yet might exist.
            Some(_) => Vec::new(),
            None => forecast::forecast(policy, &snapshot, &future, &chosen)
                .map_err(|error| failed("the forecast failed", &error))?,
        };
        let tomorrow = forecasts.into_iter().filter_map(|forecast| {
            let connection = policy.connection(forecast.connection)?;
            Some(Tomorrow {
                connection: connection.name().to_owned(),
                source: forecast.source.display(connection.dialect()),
                names: forecast.names.into_iter().map(|name| name.name).collect(),
            })
        });
        let tomorrow = tomorrow.collect();
        let evidence = Evidence { names: (has_catalog && stopped.is_none()).then_some(evidence), usage: None };
        let mut options = LintOptions::at(self.now);
        if self.is_new {
            options.allow.insert("expires_soon");
        }
        let subject = format!("token {}: ", quoted(&self.token));
        let found = lint(std::slice::from_ref(&input), &loaded, &options, evidence);
        let findings = found.map_err(|error| failed("the lint failed", &error))?.into_iter().map(|finding| Finding {
            severity: finding.rule.severity,
            // The page is about this token alone.
            message: finding.message.strip_prefix(&subject).unwrap_or(&finding.message).to_owned(),
            fix: finding.fix.into_owned(),
        });
        let attempt = self.attempt.as_ref().map(|attempt| self.tried(&snapshot, attempt)).transpose()?;
        let (reads, findings) = (has_catalog.then_some(reads), findings.collect());
        let doubt = doubt(&self.workspace);
        Ok(Insight { reads, stopped, doubt, tomorrow, findings, attempt, malformed })
    }

    /// Returns the names of each connection.
    fn names<'c>(&'c self, catalog: &'c Catalog) -> impl Iterator<Item = CatalogNames<'c>> {
        self.connections.iter().map(|known| CatalogNames::new(catalog, &known.name, known.dialect))
    }

    /// Counts the names that the token reads on each granted connection, and the malformed ones. `None` at the limit.
    fn reads(
        &self,
        catalog: &Catalog,
        policy: &Policy,
        followed: &Followed<'_>,
        limit: &TimeLimit,
    ) -> Option<(Vec<Reads>, u64)> {
        let coverage = Coverage::following(policy, self.now, followed);
        let (mut reads, mut malformed) = (Vec::new(), 0);
        for names in self.names(catalog).filter(|names| names.count() > 0) {
            let Some(id) = coverage.connection(names.connection()) else { continue };
            let is_granted = policy.tokens().iter().flat_map(Token::grants).any(|grant| grant.connection() == id);
            if !is_granted {
                continue;
            }
            let (mut counts, mut batch) = (NameCounts::default(), Batch::default());
            for (name, at) in names.iter().zip(1..) {
                batch.push(at, |text| text.push_str(name));
                if batch.len() == BATCH {
                    if limit.is_over() {
                        return None;
                    }
                    counts.see(&coverage, id, &batch);
                    batch = Batch::default();
                }
            }
            counts.see(&coverage, id, &batch);
            let exposure = Exposure::new(&coverage, counts);
            malformed += exposure.broken;
            let token = exposure.tokens.into_iter().next();
            let (count, through_queries, examples, more) = token.map_or((0, 0, Vec::new(), Vec::new()), |token| {
                (token.names, token.through_queries, token.examples, token.query_examples)
            });
            reads.push(Reads {
                connection: names.connection().to_owned(),
                of: names.count(),
                names: count,
                through_queries,
                examples: examples.into_iter().chain(more).collect(),
            });
        }
        Some((reads, malformed))
    }

    fn tried(&self, snapshot: &Snapshot, attempt: &Attempt) -> Result<(Attempt, Explanation), Problem> {
        let source = match &*attempt.kind {
            "query" => Source::Query(&attempt.source),
            "named_source" => Source::NamedSource(&attempt.source),
            _ => Source::Resource(&attempt.source),
        };
        let sources = if attempt.api == "lds" { Vec::new() } else { vec![source] };
        let connection = if attempt.api == "lds" { "" } else { &*attempt.connection };
        let mut request = Request::new(&attempt.api, connection).sources(&sources);
        request.referer = Some(&*attempt.referer).filter(|referer| !referer.is_empty());
        let replay = Replay::new(snapshot);
        let explained = explain_token(&replay, &self.token, &request, self.now).ok_or_else(Problem::internal)?;
        Ok((attempt.clone(), explained))
    }
}

/// Logs why there is no answer.
fn failed(what: &str, error: &dyn std::fmt::Debug) -> Problem {
    tracing::error!("{what}: {error:?}");
    Problem::internal()
}

/// What the page of an insight offers.
pub(super) struct Offer<'a> {
    pub(super) connections: &'a [Connection],
    pub(super) apis: &'a [String],
    pub(super) attempt: Option<&'a Attempt>,
}

impl Insight {
    /// Renders the answers.
    pub(super) fn markup(&self) -> Markup {
        html! {
            section.card aria-labelledby="reads-now" {
                h2 #reads-now { "Reads now" }
                (self.now())
            }
            section.card aria-labelledby="reads-tomorrow" {
                h2 #reads-tomorrow { "Would read tomorrow" }
                (self.later())
            }
            section.card aria-labelledby="findings" {
                h2 #findings { "Findings" }
                (self.found())
            }
        }
    }

    fn now(&self) -> Markup {
        if let Some(limit) = &self.stopped {
            return html! { p.soft { (stopped_after(limit)) } };
        }
        let Some(reads) = &self.reads else {
            if let Some(doubt) = &self.doubt {
                return html! { p.soft { "What the token reads cannot be counted. " (doubt) } };
            }
            return html! { p.soft { "Start the workspace with " code { "--catalog FILE" } " to count the names that a token reads." } };
        };
        html! {
            @if let Some(doubt) = &self.doubt { p.soft { (doubt) } }
            @if reads.is_empty() { p.soft { "The catalog has no name on a granted connection." } }
            @for reads in reads {
                p.count {
                    b { (grouped(reads.names)) } " of " (counted(reads.of, "name")) " on " (safe(&reads.connection))
                    @if reads.through_queries > 0 { ", and " b { (grouped(reads.through_queries)) } " more through queries" }
                }
                meter min="0" max=(reads.of) value=(reads.names + reads.through_queries) aria-label={ "Share of " (safe(&reads.connection)) } {}
                @if !reads.examples.is_empty() {
                    ul.names { @for name in &reads.examples { li { code { (short(name)) } } } }
                }
            }
            @if self.malformed > 0 { p.soft { "Not counted: " (counted(self.malformed, "malformed name")) " of the catalog." } }
        }
    }

    fn later(&self) -> Markup {
        if let Some(limit) = &self.stopped {
            return html! { p.soft { (stopped_after(limit)) } };
        }
        let open: Vec<_> = self.tomorrow.iter().filter(|forecast| !forecast.names.is_empty()).collect();
        html! {
            @if open.is_empty() { p.soft { "No name that does not exist yet: no pattern covers future names." } }
            @for forecast in open {
                p { "If somebody creates one of these, " code { (short(&forecast.source)) } " on " (safe(&forecast.connection)) " covers it:" }
                ul.names { @for name in &forecast.names { li { code { (short(name)) } } } }
            }
        }
    }

    fn found(&self) -> Markup {
        html! {
            @if self.findings.is_empty() { p.soft { "Nothing suspicious." } }
            ul.findings {
                @for finding in &self.findings {
                    li {
                        span class={ "badge " (finding.severity.as_str()) } { (finding.severity.as_str()) }
                        " " (prose(&finding.message)) " " span.soft { (prose(&finding.fix)) }
                    }
                }
            }
        }
    }

    /// Renders the decision of the tried request.
    pub(super) fn decision(&self) -> Markup {
        html! {
            @match &self.attempt {
                None => { p.soft { "Fill in a source to see how this token's request is decided." } }
                Some((attempt, explained)) => { (verdict(attempt, explained)) }
            }
        }
    }
}

/// States that the catalog was not read to its end.
fn stopped_after(limit: &str) -> Markup {
    html! { "Stopped after " (limit) ": the catalog is large. " code { "portcullis audit exposure" } " counts all names." }
}

fn verdict(attempt: &Attempt, explained: &Explanation) -> Markup {
    let decision = explained.decision();
    html! {
        p.verdict {
            @match &decision {
                Decision::Allow(_) => { span.badge.allow { "allow" } }
                Decision::Deny(reason) => { span.badge.deny { "deny" } " " code { (reason.code()) } " (" (reason.status()) ")" }
            }
            " " span.soft { (safe(&attempt.api)) @if !attempt.source.is_empty() { " · " (short(&attempt.source)) } }
        }
        @if !explained.near_misses().is_empty() {
            h3 { "Near misses" }
            ul { @for miss in explained.near_misses() { li { (prose(&miss.message)) @if let Some(help) = &miss.help { " " span.soft { (prose(help)) } } } } }
        }
        details {
            summary { "The nine checks" }
            ol.checks {
                @for check in explained.checks() {
                    li class=(check.outcome.as_str()) {
                        b { (outcome(check.outcome)) } " " (check.question)
                        @if !check.detail.is_empty() { " " span.soft { (marked(&check.detail)) } }
                    }
                }
            }
        }
    }
}

fn outcome(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::Passed => "Passed:",
        CheckOutcome::Failed => "Failed:",
        CheckOutcome::NotReached => "Not reached:",
        CheckOutcome::NotNeeded => "Not needed:",
    }
}

/// Renders the fields of *try it*, the button that sends them, if any, and the decision.
pub(super) fn try_it(offer: &Offer<'_>, button: Option<&str>, decision: &Markup) -> Markup {
    let empty = Attempt::default();
    let attempt = offer.attempt.unwrap_or(&empty);
    let kinds = [
        (GrantKind::Resource.as_str(), "Table"),
        (GrantKind::Query.as_str(), "Query"),
        (GrantKind::NamedSource.as_str(), "Named source"),
    ];
    html! {
        section.card aria-labelledby="try-it" {
            h2 #try-it { "Try it" }
            div.try {
                div.field { label for="try-api" { "API" } select #try-api name="try_api" {
                    @for api in offer.apis { option value=(api) selected[*api == attempt.api] { (safe(api)) } }
                } }
                div.field { label for="try-connection" { "Connection" } select #try-connection name="try_connection" {
                    @for connection in offer.connections { option value=(connection.name) selected[connection.name == attempt.connection] { (safe(&connection.name)) } }
                } }
                div.field { label for="try-kind" { "Kind" } select #try-kind name="try_kind" {
                    @for (kind, label) in kinds { option value=(kind) selected[kind == attempt.kind] { (label) } }
                } }
                div.field.wide { label for="try-source" { "Source" } textarea #try-source name="try_source" rows="1" spellcheck="false" autocapitalize="off" { "\n" (attempt.source) } }
                div.field.wide { label for="try-referer" { "Referer " span.soft { "(optional)" } } input #try-referer name="try_referer" type="text" inputmode="url" value=(attempt.referer) placeholder="https://app.example.com/"; }
            }
            @if let Some(button) = button { button { (button) } }
            div #decision aria-live="polite" { (decision) }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portcullis::base::Timestamp;
    use portcullis_registry::{Actor, Location, NewToken, Registry};

    use super::Question;
    use crate::catalog::Catalog;
    use crate::previews::TimeLimit;
    use crate::service::{Options, Workspace};
    use crate::sign_in::SignInOptions;

    #[test]
    fn a_preview_that_stops_shows_no_number() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["a.b.c", "a.b.d", "a.x.y"].map(|name| ("dw".to_owned(), name.to_owned()));
        let workspace = Workspace::open(Options {
            location: Location::file(dir.path().join("registry.db")),
            url: "http://localhost".to_owned(),
            access_lifetime: 3600,
            rate: 1,
            keep_expired: 0,
            catalog: Catalog::new(names.to_vec()).unwrap(),
            sign_in: SignInOptions::default(),
        })
        .unwrap();
        let now = Timestamp::from_unix(1_800_000_000, 0);
        let mut registry = Registry::in_memory().unwrap();
        let ana = Actor::new("ana", now).unwrap();
        registry.add_connection(&ana, "dw", "bigquery", None, false).unwrap();
        let new =
            NewToken { apis: vec!["maps".into()], grants: vec![("dw".into(), "a.b.*".into())], ..NewToken::default() };
        let created = registry.create_token(&ana, &new).unwrap();
        let mut answered = |max| {
            let question = Question {
                document: registry.document_of(std::slice::from_ref(&created.token)).unwrap(),
                token: created.token.id.clone(),
                named_sources: Vec::new(),
                connections: registry.connections().unwrap(),
                workspace: workspace.clone(),
                attempt: None,
                is_new: false,
                now,
            };
            question.answer(&TimeLimit::of(max)).unwrap().markup().into_string()
        };
        let whole = answered(Duration::MAX);
        assert!(whole.contains("<b>2</b> of 3 names") && !whole.contains("Stopped"), "{whole}");
        let stopped = answered(Duration::ZERO);
        assert_eq!(stopped.matches("Stopped after 0 s").count(), 2, "{stopped}");
        assert!(!stopped.contains("<b>") && !stopped.contains("No name that does not exist yet"), "{stopped}");
    }
}
