//! Tests of explanations of requests against a small policy.

mod checks;
mod near;
mod properties;
mod referers;

use super::{Explanation, explain};
use crate::base::Timestamp;
use crate::decision::{Request, Source, decide};
use crate::model::{
    Apis, Connection, ConnectionId, Expiry, Grant, GrantSource, Limits, Policy, Referers, SecretDigest, SourceType,
    TokenParts,
};
use crate::name::Dialect;
use crate::referer::{Entry, RefererSet};
use crate::snapshot::{Options, Snapshot};

const NOW: &str = "2026-11-22T12:00:00Z";

/// The secret of [`TOKEN`]: no explanation may repeat it.
const SECRET: &str = "pk-correct-horse-battery";
const TOKEN: &str = "tk_1";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

const CONNECTIONS: [(&str, Dialect, bool); 6] = [
    ("carto_dw", Dialect::BigQuery, false),
    ("snow", Dialect::Snowflake, false),
    ("pg", Dialect::Postgres, false),
    ("plain", Dialect::Generic, false),
    ("bricks", Dialect::Databricks, false),
    ("curated", Dialect::Generic, true),
];

/// A token to create: each grant is one line, `connection type source`.
#[derive(Default)]
struct TokenPlan<'a> {
    apis: &'a [&'a str],
    grants: &'a [&'a str],
    referers: &'a [&'a str],
    expiry: Option<&'a str>,
}

fn policy(plan: &TokenPlan<'_>) -> Policy {
    let connections: Vec<Connection> = CONNECTIONS
        .into_iter()
        .map(|(name, dialect, named_sources_only)| Connection::new(name, dialect, named_sources_only))
        .collect();
    let grant = |line: &&str| {
        let [connection, kind, source] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let at = connections.iter().position(|known| known.name() == connection).unwrap();
        let kind = SourceType::from_name(kind).unwrap();
        let dialect = connections[at].dialect();
        let source = GrantSource::typed(Some(source), kind, dialect, &Limits::default()).expect(line);
        Grant::new(ConnectionId::new(u32::try_from(at).unwrap()), source)
    };
    let apis = Apis::default();
    let entries: Vec<Entry> = plan.referers.iter().map(|entry| entry.parse().unwrap()).collect();
    let token = TokenParts {
        id: TOKEN.into(),
        name: None,
        owner: None,
        digest: SecretDigest::of(SECRET),
        apis: plan.apis.iter().map(|name| apis.find(name).unwrap()).collect(),
        grants: plan.grants.iter().map(grant).collect(),
        referers: if entries.is_empty() { Referers::Any } else { Referers::Only(RefererSet::new(entries)) },
        expiry: plan.expiry.map_or(Expiry::Never, |text| Expiry::parse(text).unwrap()),
        created_at: None,
    };
    Policy::new(connections, apis, vec![token.into()], Limits::default()).unwrap()
}

fn snapshot(plan: &TokenPlan<'_>) -> Snapshot {
    Snapshot::compile(&policy(plan), &Options::default()).unwrap()
}

/// Explains a request and checks the properties of every explanation.
fn explained(snapshot: &Snapshot, request: &Request<'_>) -> Explanation {
    let explanation = explain(snapshot, request, now());
    assert_eq!(explanation.decision(), decide(snapshot, request, now()), "{request:?}");
    let text = format!("{explanation}\n{explanation:?}\n{}", serde_json::to_string(&explanation).unwrap());
    assert!(!text.contains(SECRET), "{text}");
    assert!(explanation.near_misses().is_empty() || !explanation.decision().is_allow(), "{text}");
    assert!(explanation.near_misses().len() <= 5, "{text}");
    for miss in explanation.near_misses() {
        assert!(!miss.message.contains('\n') && !miss.message.ends_with('.'), "{text}");
        assert!(miss.message.starts_with(|first: char| !first.is_uppercase()), "{text}");
    }
    explanation
}

fn source(line: &str) -> Source<'_> {
    match line.split_once(' ').unwrap() {
        ("resource", text) => Source::Resource(text),
        ("query", text) => Source::Query(text),
        ("named_source", text) => Source::NamedSource(text),
        _ => panic!("{line}"),
    }
}
