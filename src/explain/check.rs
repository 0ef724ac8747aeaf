//! Describes the nine checks (N10) with their outcomes and inputs.

use std::fmt;

use super::case::{Case, KnownBy};
use super::words::{kinds, list, span};
use crate::base::{Timestamp, quoted};
use crate::decision::{CanonicalSource, Credential, Decision, Reason, Source};
use crate::model::Expiry;
use crate::name::NameBuffer;
use crate::pattern::covers;
use crate::referer::{Referer, StoredSet};
use crate::snapshot::Block;

/// One check of N10.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// The number of the check, 1 to 9.
    pub number: u8,
    /// The stable name of the check.
    pub name: &'static str,
    /// The statement that the check tests.
    pub question: &'static str,
    /// The outcome of the check.
    pub outcome: CheckOutcome,
    /// The inputs of the check, as text; empty if the check was not reached.
    pub detail: String,
}

/// The outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CheckOutcome {
    /// The request passed the check.
    Passed,
    /// The check denied the request.
    Failed,
    /// An earlier check denied the request.
    NotReached,
    /// The API needs no source, so nothing about sources is checked.
    NotNeeded,
}

impl CheckOutcome {
    /// Returns the stable name of the outcome.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotReached => "not_reached",
            Self::NotNeeded => "not_needed",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.outcome {
            CheckOutcome::Passed => "ok",
            CheckOutcome::Failed => "FAIL",
            CheckOutcome::NotReached | CheckOutcome::NotNeeded => "-",
        };
        write!(f, "{mark:<4} {}. {}", self.number, self.question)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

const CHECKS: [(u8, &str, &str); 9] = [
    (1, "token_presented", "a token is presented"),
    (2, "token_known", "it is known"),
    (3, "token_not_expired", "it has not expired"),
    (4, "api_listed", "it lists the API"),
    (5, "referer_accepted", "its referers accept the request"),
    (6, "source_well_formed", "every source is well-formed"),
    (7, "connection_granted", "it has a grant on the connection"),
    (8, "query_accepted", "the connection accepts the kind of source"),
    (9, "source_granted", "a considered grant covers every source"),
];

/// Returns the number of the check that denies with `reason`; 0 if no check does.
const fn number(reason: Reason) -> u8 {
    match reason {
        // Decided before the first check.
        Reason::PolicyUnavailable | Reason::RequestNotUnderstood => 0,
        Reason::TokenMissing => 1,
        Reason::TokenUnknown => 2,
        Reason::TokenExpired => 3,
        Reason::ApiNotAllowed => 4,
        Reason::RefererMissing | Reason::RefererNotAllowed => 5,
        Reason::SourceMalformed => 6,
        Reason::ConnectionNotGranted => 7,
        Reason::QueryNotAccepted => 8,
        Reason::GrantKindNotAccepted | Reason::SourceNotGranted => 9,
    }
}

/// Describes every check. The outcomes follow from the decision.
pub(super) fn all(case: &Case<'_, '_>) -> Vec<Check> {
    let failed = case.reason().map(number);
    let sourceless = case.reason().is_none() && case.considered().is_empty();
    let checks = CHECKS.into_iter().map(|(number, name, question)| {
        let outcome = match failed {
            Some(failed) if number == failed => CheckOutcome::Failed,
            Some(failed) if number > failed => CheckOutcome::NotReached,
            _ if number >= 6 && sourceless => CheckOutcome::NotNeeded,
            _ => CheckOutcome::Passed,
        };
        let detail = match outcome {
            CheckOutcome::NotReached => String::new(),
            CheckOutcome::NotNeeded => format!("{} needs no source", case.quoted(case.request.api)),
            CheckOutcome::Passed | CheckOutcome::Failed => detail(case, number),
        };
        Check { number, name, question, outcome, detail }
    });
    checks.collect()
}

fn detail(case: &Case<'_, '_>, number: u8) -> String {
    match number {
        1 => presented(case),
        2 => match case.row {
            Some(row) => {
                let part = if case.known_by == KnownBy::Id { "id" } else { "secret" };
                format!("its {part} is that of token {}", quoted(case.secret.shown_id(case.compiled.token_id(row))))
            }
            None => format!("none of the {} tokens of the policy has this secret", case.tokens),
        },
        3 => case.row.map(|row| expiry(case.compiled.terms(row).expiry(), case.now)).unwrap_or_default(),
        4 => api(case),
        5 => case.row.map(|row| referer(case, case.compiled.referers(row))).unwrap_or_default(),
        6 => well_formed(case),
        7 => connection(case),
        8 => accepts(case),
        _ => granted(case),
    }
}

fn presented(case: &Case<'_, '_>) -> String {
    if case.known_by == KnownBy::Id {
        return "the request names a token by its id".to_owned();
    }
    match case.request.credential {
        Credential::Missing => "the request has none".to_owned(),
        Credential::Secret("") => "the request has an empty one, which counts as none".to_owned(),
        Credential::Secret(_) => "the request has a secret".to_owned(),
        Credential::Digest(_) => "the request has the digest of a secret".to_owned(),
    }
}

fn expiry(expiry: Expiry, now: Timestamp) -> String {
    match expiry {
        Expiry::Never => "it never expires".to_owned(),
        Expiry::At(end) if now >= end => format!("it expired at {end}, {} ago", span(end, now)),
        Expiry::At(end) => format!("it expires at {end}, {} from now", span(now, end)),
    }
}

fn api(case: &Case<'_, '_>) -> String {
    let (apis, row) = (case.compiled.apis(), case.row);
    let names = row.into_iter().flat_map(|row| case.compiled.terms(row).apis().iter()).filter_map(|id| apis.get(id));
    let listed = list(names.map(|api| case.quoted(api.name())));
    format!("the request is for {}, the token lists {listed}", case.quoted(case.request.api))
}

fn referer(case: &Case<'_, '_>, accepted: Option<StoredSet<'_>>) -> String {
    let Some(set) = accepted else {
        return "it lists no referer: any request is accepted, with or without one".to_owned();
    };
    let entries = || list(set.entries().map(|entry| case.quoted(entry.as_str())));
    match case.request.referer {
        None | Some("") => format!("the request has no Referer, the token accepts {}", entries()),
        Some(header) => match Referer::parse(header) {
            None => format!("the Referer is not one that can match, the token accepts {}", entries()),
            Some(referer) => {
                let shown = page(case, &referer);
                match set.entries().find(|entry| entry.matches(&referer)) {
                    Some(entry) => format!("{shown} matches entry {}", case.quoted(entry.as_str())),
                    None => format!("{shown} matches none of {}", entries()),
                }
            }
        },
    }
}

/// Quotes a Referer without its query, which may contain confidential data.
pub(super) fn page(case: &Case<'_, '_>, referer: &Referer<'_>) -> String {
    let port = referer.port().map(|port| format!(":{port}")).unwrap_or_default();
    let (path, query) = match referer.path_and_query().split_once('?') {
        Some((path, _)) => (path, "?…"),
        None => (referer.path_and_query(), ""),
    };
    case.quoted(&format!("{}://{}{port}{path}{query}", referer.scheme(), referer.host()))
}

fn well_formed(case: &Case<'_, '_>) -> String {
    if let Some((index, source)) = case.failing().filter(|_| case.reason() == Some(Reason::SourceMalformed)) {
        return format!("{}{} is not", case.which(index), source_text(case, source));
    }
    match case.sources() {
        [] => "the request names no source".to_owned(),
        sources => list(sources.iter().map(|&source| source_text(case, source))),
    }
}

/// Describes a source, such as "resource `carto.shared.t`".
pub(super) fn source_text(case: &Case<'_, '_>, source: Source<'_>) -> String {
    let kind = match source {
        Source::Resource(_) => "resource",
        Source::Query(_) => "query",
        Source::NamedSource(_) => "named source",
    };
    format!("{kind} {}", case.quoted(source.text()))
}

fn connection(case: &Case<'_, '_>) -> String {
    let shown = case.quoted(case.request.connection);
    if let Some(block) = case.block() {
        let mut count = 0_usize;
        block.each(|_, _, _| count += 1);
        let grants = if count == 1 { "1 grant".to_owned() } else { format!("{count} different grants") };
        return format!("{grants} on {shown}, of dialect `{}`", case.dialect());
    }
    let blocks = case.row.into_iter().flat_map(|row| case.compiled.blocks(row));
    let granted = blocks.filter_map(|block| case.compiled.connection_at(block.connection));
    let names = list(granted.map(|connection| case.quoted(connection.name())));
    let unknown =
        if case.compiled.connection(case.request.connection).is_none() { ", which nothing declares" } else { "" };
    format!("none on {shown}{unknown}; there are grants on {names}")
}

fn accepts(case: &Case<'_, '_>) -> String {
    let connection = case.quoted(case.request.connection);
    if let Some((index, source)) = case.failing().filter(|_| case.reason() == Some(Reason::QueryNotAccepted)) {
        let which = case.which(index);
        return format!("{which}{} is refused: {connection} accepts named sources only", source_text(case, source));
    }
    let found = case.compiled.connection(case.request.connection);
    if found.is_some_and(|(_, connection)| connection.named_sources_only()) {
        format!("{connection} refuses queries, and no source is one")
    } else {
        format!("{connection} refuses no kind")
    }
}

fn granted(case: &Case<'_, '_>) -> String {
    let considered = format!("{} considers {}", case.quoted(case.request.api), kinds(case.considered()));
    let Some(block) = case.block() else { return considered };
    if let Some((index, source)) = case.failing() {
        let which = case.which(index);
        let connection = case.quoted(case.request.connection);
        return format!("{which}no grant on {connection} covers {}; {considered}", source_text(case, source));
    }
    let Decision::Allow(allow) = case.decision else { return considered };
    let covered = case.sources().iter().zip(allow.grants()).map(|(&source, &grant)| {
        let others = others(case, block, source, grant);
        let also = if others.is_empty() { String::new() } else { format!(" (so does {})", list(others)) };
        format!("{} covers {}{also}", case.grant(block, grant), source_text(case, source))
    });
    list(covered)
}

/// Describes the other considered grants that cover `source`: the first three, and the number of the rest.
fn others(case: &Case<'_, '_>, block: Block<'_>, source: Source<'_>, allowed: u32) -> Vec<String> {
    use crate::model::GrantKind::{All, NamedSource, Pattern, Query, Resource};
    let (target, mut buffer) = (case.target(), NameBuffer::new());
    let Ok(canonical) = target.read(source, &mut buffer) else { return Vec::new() };
    let query =
        if let CanonicalSource::Query(query) = &canonical { query.normal_form().collect() } else { String::new() };
    let mut others = Vec::new();
    block.each(|kind, text, grant| {
        let text = text.map(|text| case.compiled.text(text).whole()).unwrap_or_default();
        let covers = match (kind, &canonical) {
            (All, _) => true,
            (Resource | Pattern, CanonicalSource::Resource(name)) => covers(&text, name.as_bytes()),
            (Query, CanonicalSource::Query(_)) => *text == *query.as_bytes(),
            (NamedSource, CanonicalSource::NamedSource(name)) => *text == *name.as_bytes(),
            _ => false,
        };
        if covers && grant != allowed && target.considered.contains(kind) {
            others.push(grant);
        }
    });
    others.sort_unstable();
    // Describes three grants only: each description costs a pass over the grants.
    let more = others.len().saturating_sub(3);
    others.truncate(3);
    let described = others.into_iter().map(|grant| case.grant(block, grant));
    described.chain((more > 0).then(|| format!("{more} more"))).collect()
}
