//! Compares exposure with decisions: the names that decisions allow are the exposed ones.

use portcullis::base::Timestamp;
use portcullis::decision::{Request, Source, decide};
use portcullis::model::{Operation, Policy};
use portcullis::name::Name;
use portcullis::snapshot::{Options, Snapshot};
use portcullis_audit::coverage::Coverage;
use portcullis_audit::exposure::{Batch, Exposure, NameCounts};
use portcullis_audit::reads::{Followed, NamedSources};
use proptest::prelude::*;

use crate::engine::{policy, snapshot};
use crate::generate::{World, secret_of, worlds};
use crate::request::OwnedSource;

const NOW: &str = "2026-11-22T12:00:00Z";

/// Returns a policy without referers, and names similar to its grants. Each name occurs twice on each connection.
fn exposed(world: &World) -> (Policy, Vec<String>) {
    let mut document = world.document.clone();
    for token in document["tokens"].as_array_mut().unwrap() {
        token.as_object_mut().unwrap().remove("referers");
    }
    let sources = world.requests.iter().flat_map(|asked| &asked.sources);
    let names = sources.filter_map(|source| match source {
        OwnedSource::Resource(name) => Some(name.clone()),
        _ => None,
    });
    (policy(&document), names.flat_map(|name| [name.clone(), name]).collect())
}

/// Whether any request for `name` from `token` is allowed.
pub(crate) fn is_allowed(
    snapshot: &Snapshot,
    policy: &Policy,
    token: usize,
    connection: &str,
    name: &str,
    now: Timestamp,
) -> bool {
    runs(snapshot, policy, token, connection, Source::Resource(name), now)
}

/// Whether any request for `source` from `token` is allowed.
fn runs(
    snapshot: &Snapshot,
    policy: &Policy,
    token: usize,
    connection: &str,
    source: Source<'_>,
    now: Timestamp,
) -> bool {
    let apis = policy.tokens()[token].apis();
    apis.iter().filter_map(|api| policy.apis().get(api)).filter(|api| api.needs_source()).any(|api| {
        [Operation::Query, Operation::Model].into_iter().any(|operation| {
            let secret = secret_of(token);
            let request = Request::new(api.name(), connection).secret(&secret).operation(operation).source(source);
            decide(snapshot, &request, now).is_allow()
        })
    })
}

proptest! {
    #[test]
    fn exposed_names_are_those_that_decisions_allow(world in worlds()) {
        let (policy, names) = exposed(&world);
        let snapshot = snapshot(&policy, &Options::default());
        let (now, before) = (NOW.parse().unwrap(), "1990-01-01".parse().unwrap());
        let coverage = Coverage::new(&policy, now);
        // Two counts that are added, as with two threads.
        let (mut counts, mut other) = (NameCounts::default(), NameCounts::default());
        for connection in policy.connections() {
            let id = coverage.connection(connection.name()).unwrap();
            for (at, half) in names.chunks(names.len() / 2 + 1).enumerate() {
                let mut batch = Batch::default();
                (1..).zip(half).for_each(|(line, name)| batch.push(line, |text| text.push_str(name)));
                if at == 0 { &mut counts } else { &mut other }.see(&coverage, id, &batch);
            }
        }
        counts.add(other);
        let exposure = Exposure::new(&coverage, counts);
        let well_formed = |connection: &portcullis::model::Connection| {
            names.iter().filter(|name| Name::parse(name, connection.dialect()).is_ok()).collect::<Vec<_>>()
        };
        for (at, token) in policy.tokens().iter().enumerate() {
            let all: usize = policy.connections().iter().map(|connection| {
                let allowed = |name: &&&String| is_allowed(&snapshot, &policy, at, connection.name(), name, before);
                well_formed(connection).iter().filter(allowed).count()
            }).sum();
            prop_assert_eq!(exposure.tokens[at].names, all as u64, "{}", token.id());
            prop_assert_eq!(exposure.tokens[at].expired, token.expiry().is_expired(now));
        }
        for (connection, found) in policy.connections().iter().zip(&exposure.connections) {
            let names = well_formed(connection);
            let anybody = |name: &&&String| {
                (0..policy.tokens().len()).any(|at| is_allowed(&snapshot, &policy, at, connection.name(), name, now))
            };
            prop_assert_eq!(found.names, names.len() as u64);
            prop_assert_eq!(found.exposed, names.iter().filter(anybody).count() as u64, "{}", connection.name());
            for example in &found.unexposed_examples {
                prop_assert!(!anybody(&&example), "{}", example);
            }
        }
        let broken = names.len() * policy.connections().len() - usize::try_from(exposure.names).unwrap();
        prop_assert_eq!(exposure.broken, broken as u64);
    }
}

/// Snowflake queries, each with the tables that it reads. The segments of a table are listed last first. A table
/// without a database stands for the tables of this name in all databases.
const QUERIES: [(&str, &[&[&str]]); 6] = [
    ("SELECT * FROM a.b.c", &[&["C", "B", "A"]]),
    ("SELECT * FROM a.b.\"c\" JOIN B.C USING (i)", &[&["c", "B", "A"], &["C", "B"]]),
    ("WITH c AS (SELECT * FROM a.a.a) SELECT * FROM c, b", &[&["A", "A", "A"], &["B"]]),
    ("SELECT * FROM a.b.b WHERE i IN (SELECT i FROM \"a\".b.c)", &[&["B", "B", "A"], &["C", "B", "a"]]),
    ("SELECT 1", &[]),
    ("SELECT * FRM a.b.c", &[]),
];

const APIS: &[&[&str]] = &[&["maps"], &["sql"], &["maps", "sql"], &["imports"], &["sql", "lds"]];
const LETTERS: [&str; 5] = ["A", "B", "C", "a", "c"];

/// Generates policies of a few tokens that grant patterns, names, queries and named sources.
pub(crate) fn tokens_with_queries() -> impl Strategy<Value = serde_json::Value> {
    let sources = ["a.b.*", "a.*.c", "a.b.c", "b.b.b", "a.a.*", "*", "src-1", "src-2"];
    let sources: Vec<&str> = sources.into_iter().chain(QUERIES.iter().map(|(sql, _)| *sql)).collect();
    let grant = (prop::sample::select(sources), prop::sample::select(&["dw", "dw", "named"][..]))
        .prop_map(|(source, connection)| serde_json::json!({"connection_name": connection, "source": source}));
    let token = (prop::collection::vec(grant, 1..6), prop::sample::select(APIS), 0..5_u8);
    prop::collection::vec(token, 1..5).prop_map(|tokens| {
        let tokens = tokens.into_iter().enumerate().map(|(at, (mut grants, apis, end))| {
            let mut seen = std::collections::HashSet::new();
            grants.retain(|grant| seen.insert(grant.to_string()));
            let mut token = serde_json::json!({
                "id": format!("token-{at}"), "token": secret_of(at), "allowed_apis": apis, "grants": grants,
            });
            if end == 0 {
                token["expiration_date"] = "2020-01-01".into();
            }
            token
        });
        serde_json::json!({
            "connections": [
                {"name": "dw", "dialect": "snowflake"},
                {"name": "named", "dialect": "snowflake", "named_sources_only": true},
            ],
            "tokens": tokens.collect::<Vec<_>>(),
        })
    })
}

/// Returns the queries of the named sources.
pub(crate) fn named_sources() -> NamedSources {
    let mut named = NamedSources::default();
    named.add("src-1".into(), None, QUERIES[1].0.into());
    named.add("src-2".into(), Some("dw".into()), QUERIES[3].0.into());
    named
}

/// Returns the tables of a connection that the token can read through its queries and named sources.
pub(crate) fn tables_read(
    document: &serde_json::Value,
    snapshot: &Snapshot,
    policy: &Policy,
    token: usize,
    connection: &str,
    at: Timestamp,
) -> Vec<&'static [&'static str]> {
    let grants = document["tokens"][token]["grants"].as_array().unwrap();
    let here = grants.iter().filter(|grant| grant["connection_name"] == connection);
    let tables = here.filter_map(|grant| {
        let source = grant["source"].as_str().unwrap();
        let (query, asked) = match source {
            "src-1" => (1, Source::NamedSource(source)),
            "src-2" if connection == "dw" => (3, Source::NamedSource(source)),
            sql => (QUERIES.iter().position(|(known, _)| *known == sql)?, Source::Query(sql)),
        };
        runs(snapshot, policy, token, connection, asked, at).then_some(QUERIES[query].1)
    });
    tables.flatten().copied().collect()
}

/// Whether `table`, with its segments last first, can be the table `name`.
pub(crate) fn may_be(table: &[&str], name: &[&str; 3]) -> bool {
    table.iter().zip(name.iter().rev()).all(|(part, own)| part == own)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn names_exposed_through_queries_are_those_of_runnable_queries(document in tokens_with_queries()) {
        let policy = policy(&document);
        let snapshot = snapshot(&policy, &Options::default());
        let (now, before): (Timestamp, Timestamp) = (NOW.parse().unwrap(), "1990-01-01".parse().unwrap());
        let followed = Followed::of(&policy, &named_sources());
        let coverage = Coverage::following(&policy, now, &followed);
        // All names of these letters. No token reads some of them.
        let pairs = LETTERS.into_iter().flat_map(|a| LETTERS.map(|b| [a, b]));
        let names: Vec<[&str; 3]> = pairs.flat_map(|[a, b]| LETTERS.map(|c| [a, b, c])).collect();
        let text = |name: &[&str; 3]| format!("\"{}\".\"{}\".\"{}\"", name[0], name[1], name[2]);
        let mut counts = NameCounts::default();
        for connection in policy.connections() {
            let mut batch = Batch::default();
            (1..).zip(&names).for_each(|(line, name)| batch.push(line, |row| row.push_str(&text(name))));
            counts.see(&coverage, coverage.connection(connection.name()).unwrap(), &batch);
        }
        let exposure = Exposure::new(&coverage, counts);

        // The tables that each token can read through queries, on each connection.
        let reads = |token, connection, at| tables_read(&document, &snapshot, &policy, token, connection, at);
        let ids = 0..policy.tokens().len();
        let read: Vec<Vec<[Vec<&[&str]>; 2]>> = policy
            .connections()
            .iter()
            .map(|connection| ids.clone().map(|token| [before, now].map(|at| reads(token, connection.name(), at))).collect())
            .collect();
        let itself = |token: usize, connection: &str, name: &[&str; 3], at: Timestamp| {
            is_allowed(&snapshot, &policy, token, connection, &text(name), at)
        };
        let mut of_tokens = vec![(0, 0); policy.tokens().len()];
        for ((connection, found), read) in policy.connections().iter().zip(&exposure.connections).zip(&read) {
            let (mut own, mut more) = (0, 0);
            for name in &names {
                let mut by = [false, false];
                for token in 0..policy.tokens().len() {
                    let ways = [(0, before), (1, now)].map(|(time, at)| {
                        let own = itself(token, connection.name(), name, at);
                        (own, !own && read[token][time].iter().any(|table| may_be(table, name)))
                    });
                    of_tokens[token].0 += u64::from(ways[0].0);
                    of_tokens[token].1 += u64::from(ways[0].1);
                    by = [by[0] || ways[1].0, by[1] || ways[1].1];
                }
                own += u64::from(by[0]);
                more += u64::from(!by[0] && by[1]);
                let shown = Name::parse(&text(name), connection.dialect()).unwrap().display(connection.dialect()).to_string();
                prop_assert!(!((by[0] || by[1]) && found.unexposed_examples.contains(&shown)), "{}", shown);
            }
            prop_assert_eq!((found.exposed, found.through_queries), (own, more), "{}", connection.name());
        }
        let counted: Vec<_> = exposure.tokens.iter().map(|token| (token.names, token.through_queries)).collect();
        prop_assert_eq!(counted, of_tokens);
    }
}
