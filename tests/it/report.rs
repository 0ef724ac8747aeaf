//! Compares the counts of the report with brute force: each token requests each name under each API.

use std::collections::BTreeMap;

use portcullis::base::Timestamp;
use portcullis::decision::{Replay, Request, Source};
use portcullis::model::{Connection, Operation};
use portcullis::name::{Dialect, Name};
use portcullis::snapshot::Options;
use portcullis_audit::reads::Followed;
use portcullis_audit::report::{Report, SchemaCounts};
use proptest::prelude::*;
use serde_json::Value;

use crate::engine::{policy, snapshot};
use crate::exposure::{is_allowed, may_be, named_sources, tables_read, tokens_with_queries};
use crate::generate::{World, worlds};
use crate::request::OwnedSource;

/// Whether the token can read the name under any of its APIs.
fn may_read(replay: &Replay<'_>, token: &Value, connection: &str, name: &str, now: Timestamp) -> bool {
    let apis = token["allowed_apis"].as_array().unwrap().iter().map(|api| api.as_str().unwrap());
    let operations = [Operation::Query, Operation::Model];
    apis.filter(|api| *api != "lds").any(|api| {
        operations.iter().any(|&operation| {
            let request = Request::new(api, connection).operation(operation).source(Source::Resource(name));
            replay.decide(token["id"].as_str().unwrap(), &request, now).is_allow()
        })
    })
}

proptest! {
    #[test]
    fn reported_exposure_is_what_decisions_allow(World { mut document, requests } in worlds()) {
        for token in document["tokens"].as_array_mut().unwrap() {
            token.as_object_mut().unwrap().remove("referers");
        }
        let policy = policy(&document);
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let mut schema_counts = SchemaCounts::new(&policy, now);
        let mut names: Vec<(&str, &str)> = Vec::new();
        for asked in &requests {
            for source in &asked.sources {
                if let OwnedSource::Resource(name) = source && schema_counts.see(&asked.connection, name) {
                    names.push((&asked.connection, name));
                }
            }
        }
        let snapshot = snapshot(&policy, &Options::default());
        let replay = Replay::new(&snapshot);
        let tokens = document["tokens"].as_array().unwrap();
        let by_token = schema_counts.by_token();
        for (at, token) in tokens.iter().enumerate() {
            let count = names.iter().filter(|(connection, name)| may_read(&replay, token, connection, name, now)).count() as u64;
            prop_assert_eq!(by_token.get(&at).copied().unwrap_or(0), count, "{} of {:#}", at, document);
        }
        let any = |(connection, name): &&(&str, &str)| tokens.iter().any(|token| may_read(&replay, token, connection, name, now));
        let exposure = Report::new("", &policy, now).with_catalog("", &schema_counts).exposure.unwrap();
        prop_assert_eq!((exposure.names, exposure.exposed), (names.len() as u64, names.iter().filter(any).count() as u64));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn names_exposed_through_queries_are_counted_by_token_schema_and_cell(document in tokens_with_queries()) {
        let policy = policy(&document);
        let snapshot = snapshot(&policy, &Options::default());
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let followed = Followed::of(&policy, &named_sources());
        let mut schema_counts = SchemaCounts::following(&policy, now, &followed);

        // The schemas and tokens are so few that charts show all of them.
        let mut all = 0;
        let (mut tokens, mut schemas) = (BTreeMap::<usize, (u64, u64)>::new(), BTreeMap::<String, (u64, u64, u64)>::new());
        let mut cells = BTreeMap::<(usize, String), u64>::new();
        for connection in policy.connections().iter().map(Connection::name) {
            let read = |token| tables_read(&document, &snapshot, &policy, token, connection, now);
            let read: Vec<_> = (0..policy.tokens().len()).map(read).collect();
            for [a, b] in [["A", "A"], ["A", "B"], ["B", "A"], ["B", "B"], ["a", "B"]] {
                let path = Name::parse(&format!("\"{a}\".\"{b}\""), Dialect::Snowflake).unwrap();
                let schema = format!("{connection}: {}", path.display(Dialect::Snowflake));
                // The catalog contains one name twice.
                for c in ["A", "B", "C", "a", "c", "C"] {
                    let name = format!("\"{a}\".\"{b}\".\"{c}\"");
                    prop_assert!(schema_counts.see(connection, &name));
                    let (mut own, mut through) = (false, false);
                    for (token, read) in read.iter().enumerate() {
                        if is_allowed(&snapshot, &policy, token, connection, &name, now) {
                            own = true;
                            tokens.entry(token).or_default().0 += 1;
                        } else if read.iter().any(|table| may_be(table, &[a, b, c])) {
                            through = true;
                            tokens.entry(token).or_default().1 += 1;
                        } else {
                            continue;
                        }
                        *cells.entry((token, schema.clone())).or_default() += 1;
                    }
                    let counts = schemas.entry(schema.clone()).or_default();
                    counts.0 += 1;
                    counts.1 += u64::from(own);
                    counts.2 += u64::from(through && !own);
                    all += 1;
                }
            }
        }

        let own: BTreeMap<usize, u64> = schema_counts.by_token().into_iter().collect();
        let owning = tokens.iter().filter(|(_, counts)| counts.0 > 0);
        prop_assert_eq!(own, owning.map(|(&token, counts)| (token, counts.0)).collect());
        let report = Report::new("", &policy, now).with_catalog("", &schema_counts);
        let (exposure, matrix) = (report.exposure.unwrap(), report.matrix.unwrap());
        let number = |id: &str| policy.tokens().iter().position(|token| token.id() == id).unwrap();
        let found = exposure.tokens.iter().map(|token| (number(&token.token), (token.names, token.through_queries)));
        prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), tokens);
        let rows = matrix.rows.iter().flat_map(|row| matrix.schemas.iter().zip(&row.names).map(move |cell| (row, cell)));
        let rows = rows.filter(|(_, (_, names))| **names > 0);
        let found = rows.map(|(row, ((schema, _), names))| ((number(&row.token), schema.clone()), *names));
        prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), cells);
        let sum = |of: fn(&(u64, u64, u64)) -> u64| schemas.values().map(of).sum::<u64>();
        let sums = (all, sum(|counts| counts.1), sum(|counts| counts.2));
        prop_assert_eq!((exposure.names, exposure.exposed, exposure.through_queries), sums);
        let found = exposure.schemas.into_iter().map(|of| (of.schema, (of.names, of.exposed, of.through_queries)));
        prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), schemas);
    }
}
