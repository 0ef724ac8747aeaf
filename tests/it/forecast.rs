//! Compares forecasts of patterns with all names of a small alphabet.

use std::collections::BTreeSet;

use portcullis::name::Dialect;
use portcullis::pattern::Pattern;
use portcullis::{Snapshot, model::GrantSource};
use portcullis_audit::forecast::{Catalog, Options, SCHEMAS, forecast};
use portcullis_diff::witness::RequestedSource;
use proptest::prelude::*;
use serde_json::json;

use crate::engine::{policy, snapshot};

/// More letters than the catalogs use, so that unused names of every length exist.
const LETTERS: [char; 7] = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

/// Returns all segments of one to three letters.
fn segments() -> Vec<String> {
    let one: Vec<String> = LETTERS.iter().map(ToString::to_string).collect();
    let longer = |all: &[String]| -> Vec<String> {
        all.iter().flat_map(|text| LETTERS.map(|letter| format!("{text}{letter}"))).collect()
    };
    let two = longer(&one);
    let three = longer(&two);
    [one, two, three].concat()
}

fn worlds() -> impl Strategy<Value = (Vec<Vec<String>>, BTreeSet<String>)> {
    let path = prop_oneof![
        ("[ab*]{1,3}", "[ab*]{1,2}").prop_map(|(a, b)| format!("{a}.{b}")),
        ("[ab]{1,2}", "[ab*]{1,3}", "[ab*]{1,2}").prop_map(|(a, b, c)| format!("{a}.{b}.{c}")),
        Just("*".to_owned()),
    ];
    let source = path.prop_filter("a source", |text| {
        !text.contains("**")
            && GrantSource::guess(text, Dialect::Generic, &portcullis::model::Limits::default()).is_ok()
    });
    let tokens = prop::collection::vec(prop::collection::vec(source, 1..4), 1..4);
    let names = prop_oneof!["[ab]{1,2}\\.[ab]{1,2}", "[ab]{1,2}\\.[ab]{1,2}\\.[ab]{1,2}"];
    (tokens, prop::collection::btree_set(names, 0..40))
}

proptest! {
    #[test]
    fn forecast_names_are_the_shortest_unused_names((tokens, existing) in worlds(), count in 1..4_usize) {
        let tokens = tokens.iter().enumerate().map(|(at, sources)| {
            let sources: BTreeSet<&String> = sources.iter().collect();
            let grants: Vec<_> = sources.iter().map(|source| json!({"connection_name": "dw", "source": source})).collect();
            json!({"id": format!("t{at}"), "token": format!("s{at}"), "allowed_apis": ["maps"], "grants": grants})
        });
        let policy = policy(&json!({"connections": [{"name": "dw"}], "tokens": tokens.collect::<Vec<_>>()}));
        let snapshot: Snapshot = snapshot(&policy, &portcullis::Options::default());
        let options = Options { count, ..Options::at("2026-11-24".parse().unwrap()) };
        let mut catalog = Catalog::new(&policy, &options);
        for name in &existing {
            prop_assert!(catalog.see("dw", name));
        }
        let schema = |name: &str| name.rsplit_once('.').unwrap().0.to_owned();
        let schemas: BTreeSet<String> = existing.iter().map(|name| schema(name)).collect();
        for forecast in forecast(&policy, &snapshot, &catalog, &options).unwrap() {
            let text = forecast.source.display(Dialect::Generic);
            let patterns: Vec<Pattern> = match forecast.source {
                GrantSource::Pattern(pattern) => vec![pattern.clone()],
                _ => ["*.*", "*.*.*"].iter().map(|text| Pattern::parse(text, Dialect::Generic).unwrap()).collect(),
            };
            let names: Vec<&str> = forecast.names.iter().map(|future| future.name.as_str()).collect();
            let distinct: BTreeSet<&&str> = names.iter().collect();
            prop_assert_eq!(distinct.len(), names.len());
            let mut segments_of = 0;
            for future in &forecast.names {
                let name = portcullis::name::Name::parse(&future.name, Dialect::Generic).unwrap();
                segments_of = name.segments().len();
                prop_assert!(patterns.iter().any(|pattern| pattern.covers(&name)), "{} {}", text, future.name);
                prop_assert!(!existing.contains(&future.name), "{} exists", future.name);
                let exists = schemas.contains(&schema(&future.name));
                prop_assert!(exists || !future.in_schema, "{} of {:?}", future.name, existing);
                prop_assert!(!exists || future.in_schema || schemas.len() > SCHEMAS, "{} of {:?}", future.name, existing);
                prop_assert_eq!(&future.witness.source, &RequestedSource::Resource(future.name.clone()));
                prop_assert!(future.witness.decide(&snapshot).is_allow());
                let exposing = policy.tokens().iter().filter(|token| {
                    let witness = portcullis_diff::witness::Witness { digest: *token.digest(), ..future.witness.clone() };
                    witness.decide(&snapshot).is_allow()
                });
                prop_assert_eq!(future.tokens, exposing.count() as u64);
            }
            // Names in existing schemas come first, by length. Only the `SCHEMAS` shortest schemas are considered.
            let covered = |schema: &&String| {
                let segments = schema.split('.').count() + 1;
                (segments_of == 0 || segments == segments_of)
                    && patterns.iter().any(|pattern| {
                        let lead = pattern.display(Dialect::Generic).to_string();
                        let lead = lead.rsplit_once('.').unwrap().0.to_owned();
                        lead == **schema || (lead.contains('*') && naive(&lead, schema))
                    })
            };
            let mut own: Vec<&String> = schemas.iter().filter(covered).collect();
            own.sort_by_key(|schema| (schema.len(), (*schema).clone()));
            own.truncate(SCHEMAS);
            let possible = own.iter().flat_map(|schema| segments().into_iter().map(move |last| format!("{schema}.{last}")));
            let mut lengths: Vec<usize> = possible
                .filter(|name| !existing.contains(name))
                .filter(|name| {
                    let name = portcullis::name::Name::parse(name, Dialect::Generic).unwrap();
                    patterns.iter().any(|pattern| pattern.covers(&name))
                })
                .map(|name| name.len())
                .collect();
            lengths.sort_unstable();
            lengths.truncate(count);
            let found: Vec<usize> = forecast.names.iter().filter(|future| future.in_schema).map(|future| future.name.len()).collect();
            prop_assert_eq!(&found[..lengths.len().min(found.len())], &lengths[..], "{}: {:?} of {:?}", text, names, existing);
            // Names in new schemas follow. A pattern with a final star always has enough names.
            let has_star = text.contains('*');
            prop_assert!(!has_star || names.len() == count || !text.ends_with('*'), "{}: {:?}", text, names);
        }
    }
}

/// Whether `pattern` covers `name`: both have the same number of segments, and each segment matches.
fn naive(pattern: &str, name: &str) -> bool {
    let parts: Vec<(&str, &str)> = pattern.split('.').zip(name.split('.')).collect();
    pattern.split('.').count() == name.split('.').count()
        && parts.iter().all(|(pattern, name)| one(pattern.as_bytes(), name.as_bytes()))
}

fn one(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|at| one(rest, &name[at..])),
        Some((letter, rest)) => name.split_first().is_some_and(|(first, others)| first == letter && one(rest, others)),
    }
}
