//! Compares the difference that an audit reports between two policies with their decisions.
//!
//! `PORTCULLIS_REQUESTS` sets the number of random requests. The default is 20,000.

use std::collections::BTreeMap;

use portcullis::base::Timestamp;
use portcullis::decision::{Request, Source, decide};
use portcullis::model::{GrantKind, Operation, Policy, Referers, SecretDigest};
use portcullis::snapshot::{Options, Snapshot};
use portcullis_audit::names_diff::NamesDiff;
use portcullis_diff::compare::{Gained, Side, diff, first_widening};
use portcullis_diff::narrow::{NotNarrower, narrower};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::choices::bytes;
use crate::engine::{policy, snapshot};
use crate::generate::World;
use crate::request::OwnedSource;

const SINCE: &str = "2020-01-01T00:00:00Z";

fn one(token: &Value) -> Value {
    let mut token = token.clone();
    for (field, value) in [("id", json!("a")), ("token", json!("s3cret"))] {
        if token.get(field).is_none() {
            token[field] = value;
        }
    }
    json!({
        "connections": [{ "name": "dw", "dialect": "generic" }, { "name": "no", "named_sources_only": true }],
        "apis": [{ "name": "own", "accepts": ["pattern"] }],
        "tokens": [token],
    })
}

fn grants(sources: &[&str]) -> Value {
    let grant = |source: &&str| json!({ "connection_name": "dw", "source": source });
    sources.iter().map(grant).collect::<Vec<_>>().into()
}

/// Returns each gain of the token in one short text, and its witness.
fn gained(old: &Value, new: &Value) -> Vec<(String, String)> {
    let (old, new) = (policy(&one(old)), policy(&one(new)));
    let diff = diff(&Side::new(&old).unwrap(), &Side::new(&new).unwrap(), SINCE.parse().unwrap()).unwrap();
    let gains = diff.tokens.iter().flat_map(|token| &token.gains);
    gains
        .map(|gain| {
            let what = match &gain.gained {
                Gained::Token => "token".to_owned(),
                Gained::Api(name) => format!("api {name}"),
                Gained::Grant { source, apis, .. } => format!("{source} under {}", apis.join(" ")),
                Gained::Referer(entry) => format!("referer {}", entry.as_deref().unwrap_or("any")),
                Gained::Until(expiry) => format!("until {expiry:?}").split('(').next().unwrap().to_owned(),
            };
            let witness = gain.witness.as_ref().map_or("undecided".to_owned(), |witness| {
                let source = witness.source.parts().map_or("-", |(_, text)| text).to_owned();
                format!("{} {source} {}", witness.api, witness.referer.as_deref().unwrap_or("-"))
            });
            (what, witness)
        })
        .collect()
}

#[test]
fn diff_reports_each_gain_with_a_witness() {
    type Case = (&'static str, Value, Value, &'static [(&'static str, &'static str)]);
    let maps = |sources: &[&str]| json!({ "allowed_apis": ["maps"], "grants": grants(sources) });
    let cases: [Case; 13] = [
        ("the same", maps(&["a.b"]), maps(&["a.b"]), &[]),
        ("said otherwise", maps(&["a.*", "a.b"]), maps(&["a.*"]), &[]),
        ("another table", maps(&["a.b"]), maps(&["a.b", "a.c"]), &[("a.c under maps", "maps a.c -")]),
        ("a wider pattern", maps(&["a.b*"]), maps(&["a.*"]), &[("a.* under maps", "maps a.a -")]),
        ("covered together", maps(&["a.b", "a.b*c*", "a.b*", "b.*"]), maps(&["a.b*", "b.c*"]), &[]),
        ("a narrower pattern", maps(&["a.*"]), maps(&["a.b*"]), &[]),
        ("everything", maps(&["a.*"]), maps(&["*"]), &[("* under maps", "maps a.a.a -")]),
        (
            "an API",
            json!({ "allowed_apis": ["maps"], "grants": grants(&["a.b", "select 1"]) }),
            json!({ "allowed_apis": ["maps", "sql"], "grants": grants(&["a.b", "select 1"]) }),
            &[("api sql", "sql select 1 -")],
        ),
        (
            "a query under one of two APIs",
            json!({ "allowed_apis": ["maps", "own"], "grants": grants(&["a.*"]) }),
            json!({ "allowed_apis": ["maps", "own"], "grants": grants(&["a.*", "select 1"]) }),
            &[("select 1 under maps", "maps select 1 -")],
        ),
        (
            "a referer",
            json!({ "allowed_apis": ["lds"], "referers": ["https://a.test/"] }),
            json!({ "allowed_apis": ["lds"], "referers": ["https://a.test/", "https://*.b.test/"] }),
            &[("referer https://*.b.test/", "lds - https://any.b.test/any")],
        ),
        (
            "any referer",
            json!({ "allowed_apis": ["lds"], "referers": ["https://a.test/"] }),
            json!({ "allowed_apis": ["lds"] }),
            &[("referer any", "lds - -")],
        ),
        (
            "more time",
            json!({ "allowed_apis": ["lds"], "expiration_date": "2030-01-01" }),
            json!({ "allowed_apis": ["lds"] }),
            &[("until Never", "lds - -")],
        ),
        (
            "a token",
            json!({ "allowed_apis": ["lds"] }),
            json!({ "allowed_apis": ["lds"], "token": "another", "id": "b" }),
            &[("token", "lds - -")],
        ),
    ];
    for (what, old, new, expected) in cases {
        let found = gained(&old, &new);
        let found: Vec<(&str, &str)> = found.iter().map(|(what, shown)| (what.as_str(), shown.as_str())).collect();
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn diff_ignores_tokens_that_expired_earlier() {
    let expired = |date: &str| json!({ "allowed_apis": ["lds"], "expiration_date": date });
    assert_eq!(gained(&expired("2018-01-01"), &expired("2019-01-01")), []);
    assert_eq!(gained(&expired("2018-01-01"), &expired("2021-01-01")).len(), 1);
}

#[test]
fn diff_reports_changed_dialects_and_newly_accepted_queries_as_gains() {
    let document = |named: bool, dialect: &str, source: &str| {
        json!({
            "connections": [{ "name": "dw", "named_sources_only": named, "dialect": dialect }],
            "tokens": [{ "id": "a", "token": "s3cret", "allowed_apis": ["maps"], "grants": grants(&[source]) }],
        })
    };
    let widens = |old: &Value, new: &Value| {
        let (old, new) = (policy(old), policy(new));
        let found = first_widening(&Side::new(&old).unwrap(), &Side::new(&new).unwrap(), SINCE.parse().unwrap());
        found.unwrap().map(|(_, gain)| gain.witness.map(|witness| witness.source.parts().unwrap().1.to_owned()))
    };
    let all = |named| document(named, "generic", "*");
    assert_eq!(widens(&all(true), &all(false)), Some(Some("SELECT 1".to_owned())));
    assert_eq!(widens(&all(false), &all(true)), None);
    // `A.b` equals `a.b` only in one of the dialects.
    let names = |dialect| document(false, dialect, "a.b");
    assert_eq!(widens(&names("generic"), &names("postgres")), Some(None), "undecided is a gain");
    assert_eq!(widens(&names("snowflake"), &names("snowflake")), None);
}

/// Generates two similar policies, and requests for both.
fn pairs() -> impl Strategy<Value = (World, World)> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 0..6);
    let tokens = prop::collection::vec(bytes(150), 1..=4);
    let requests = prop::collection::vec(bytes(60), 24..=24);
    (bytes(12), bytes(12), 0_u8..4, tokens, edits, requests).prop_map(
        |(head, other, heads, tokens, edits, requests)| {
            let old = World::of(&head, &tokens, &requests);
            let mut edited = tokens;
            for (token, at, value) in edits {
                let token = token.index(edited.len());
                if !edited[token].is_empty() {
                    let at = at.index(edited[token].len());
                    edited[token][at] = value;
                }
            }
            // Both policies have the same connections and APIs in three of four cases.
            let new = World::of(if heads == 0 { &other } else { &head }, &edited, &requests);
            (old, new)
        },
    )
}

type Granted<'p> = (String, Box<dyn Fn(&Snapshot) -> bool + 'p>);

/// Returns a check for each grant and API of each token: whether a snapshot allows the source of the grant as it is
/// written.
fn granted(policy: &Policy) -> Vec<Granted<'_>> {
    let mut requests: Vec<Granted<'_>> = Vec::new();
    for token in policy.tokens() {
        let referer = match token.referers() {
            Referers::Only(entries) => entries.entries().next().map(|entry| entry.as_str().replace("*.", "x.")),
            Referers::Any => None,
        };
        for grant in token.grants() {
            let connection = policy.connection(grant.connection()).unwrap();
            let text = grant.source().display(connection.dialect());
            let kind = grant.source().kind();
            for (_, api) in policy.apis().iter().filter(|(_, api)| api.needs_source()) {
                let (referer, text) = (referer.clone(), text.clone());
                let is_allowed = move |snapshot: &Snapshot| {
                    let source = match kind {
                        GrantKind::Query => Source::Query(&text),
                        GrantKind::NamedSource => Source::NamedSource(&text),
                        _ => Source::Resource(&text),
                    };
                    [Operation::Query, Operation::Model].into_iter().any(|operation| {
                        let request =
                            Request::new(api.name(), connection.name()).digest(*token.digest()).source(source);
                        let request = request.operation(operation);
                        let request = match &referer {
                            Some(referer) => request.referer(referer),
                            None => request,
                        };
                        decide(snapshot, &request, "2026-11-22T12:00:00Z".parse().unwrap()).is_allow()
                    })
                };
                requests.push((token.id().to_owned(), Box::new(is_allowed)));
            }
        }
    }
    requests
}

#[test]
fn diff_reports_every_newly_allowed_or_denied_request() {
    let count = std::env::var("PORTCULLIS_REQUESTS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000_u32);
    // Each pair decides 48 requests.
    let mut runner = TestRunner::new(Config { cases: count.div_ceil(48), ..Config::default() });
    let since: Timestamp = Timestamp::from_unix(i64::MIN / 2, 0);
    let outcome = runner.run(&pairs(), |(old, new)| {
        let policies = (policy(&old.document), policy(&new.document));
        let (before, after) = (Side::new(&policies.0).unwrap(), Side::new(&policies.1).unwrap());
        let diff = diff(&before, &after, since).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let first = first_widening(&before, &after, since).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let widening = diff.widening().map(|(token, gain)| (token.to_owned(), gain.clone()));
        prop_assert_eq!(first, widening);
        let snapshots = (snapshot(&policies.0, &Options::default()), snapshot(&policies.1, &Options::default()));
        let is_narrower = match narrower(&snapshots.0, &snapshots.1, since) {
            Ok(()) => true,
            Err(NotNarrower::Wider { .. }) => false,
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert_eq!(is_narrower, diff.widening().is_none());
        for asked in old.requests.iter().chain(&new.requests) {
            let allowed = |snapshot| {
                asked.with(|request, now| match decide(snapshot, request, now) {
                    portcullis::Decision::Allow(allow) => Some(allow.token().to_owned()),
                    portcullis::Decision::Deny(_) => None,
                })
            };
            let is_reported = |id: &str, gains: bool| {
                let named =
                    |token: &&portcullis_diff::compare::TokenDiff| token.id == id || token.was.as_deref() == Some(id);
                let found = diff.tokens.iter().find(named);
                found.is_some_and(|token| !if gains { &token.gains } else { &token.losses }.is_empty())
            };
            match (allowed(&snapshots.0), allowed(&snapshots.1)) {
                (None, Some(id)) => {
                    prop_assert!(
                        is_reported(&id, true),
                        "newly allowed: {asked:?}\n{:#}\n{:#}",
                        old.document,
                        new.document
                    );
                }
                (Some(id), None) => {
                    prop_assert!(
                        is_reported(&id, false),
                        "newly denied: {asked:?}\n{:#}\n{:#}",
                        old.document,
                        new.document
                    );
                }
                _ => {}
            }
        }
        // Requests for the exact source of each grant: random requests seldom match queries and named sources.
        for (id, request) in granted(&policies.0).into_iter().chain(granted(&policies.1)) {
            let (before, after) = (request(&snapshots.0), request(&snapshots.1));
            let is_missing = |gains: bool| {
                let is =
                    |token: &&portcullis_diff::compare::TokenDiff| token.id == id || token.was.as_deref() == Some(&id);
                let tokens = diff.tokens.iter().filter(is);
                tokens.flat_map(|token| if gains { &token.gains } else { &token.losses }).count() == 0
            };
            prop_assert!(
                before || !after || !is_missing(true),
                "newly allowed for {id}\n{:#}\n{:#}",
                old.document,
                new.document
            );
            prop_assert!(
                after || !before || !is_missing(false),
                "newly denied for {id}\n{:#}\n{:#}",
                old.document,
                new.document
            );
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Whether any request for `name` from the token with this digest is allowed.
fn may_read(policy: &Policy, snapshot: &Snapshot, digest: &SecretDigest, connection: &str, name: &str) -> bool {
    policy.apis().iter().filter(|(_, api)| api.needs_source()).any(|(_, api)| {
        [Operation::Query, Operation::Model].into_iter().any(|operation| {
            let request = Request::new(api.name(), connection)
                .digest(*digest)
                .operation(operation)
                .source(Source::Resource(name));
            decide(snapshot, &request, SINCE.parse().unwrap()).is_allow()
        })
    })
}

proptest! {
    #![proptest_config(Config::with_cases(128))]

    #[test]
    fn names_diff_equals_the_difference_of_two_enumerations((mut old, mut new) in pairs()) {
        let mut names: Vec<(String, String)> = Vec::new();
        for world in [&mut old, &mut new] {
            for token in world.document["tokens"].as_array_mut().unwrap() {
                token.as_object_mut().unwrap().remove("referers");
            }
            for asked in &world.requests {
                let resources = asked.sources.iter().filter_map(|source| match source {
                    OwnedSource::Resource(name) => Some((asked.connection.clone(), name.clone())),
                    _ => None,
                });
                names.extend(resources);
            }
        }
        let policies = (policy(&old.document), policy(&new.document));
        let snapshots = (snapshot(&policies.0, &Options::default()), snapshot(&policies.1, &Options::default()));
        let since = SINCE.parse().unwrap();
        let diff = diff(&Side::new(&policies.0).unwrap(), &Side::new(&policies.1).unwrap(), since).unwrap();
        let mut found = NamesDiff::new(&diff, (&policies.0, None), (&policies.1, None), since);
        names.retain(|(connection, name)| found.see(connection, name));
        let changes = found.changes();
        let digests: BTreeMap<String, &SecretDigest> =
            policies.0.tokens().iter().chain(policies.1.tokens()).map(|token| (token.digest().to_hex(), token.digest())).collect();
        for digest in digests.into_values() {
            let counts = |one: (&Policy, &Snapshot), other: (&Policy, &Snapshot)| {
                let is = |(connection, name): &&(String, String)| {
                    may_read(one.0, one.1, digest, connection, name) && !may_read(other.0, other.1, digest, connection, name)
                };
                names.iter().filter(is).count() as u64
            };
            let (old, new) = ((&policies.0, &snapshots.0), (&policies.1, &snapshots.1));
            let expected = (counts(new, old), counts(old, new));
            let id = |policy: &Policy| policy.tokens().iter().find(|token| token.digest() == digest).map(|token| token.id().to_owned());
            let (before, after) = (id(&policies.0), id(&policies.1));
            let at = diff.tokens.iter().position(|token| match (&before, &after) {
                (_, Some(after)) => !token.gone && token.id == *after,
                (before, None) => token.gone && Some(&token.id) == before.as_ref(),
            });
            let counted = at.map_or((0, 0), |at| (changes[at].gained.count, changes[at].lost.count));
            prop_assert_eq!(counted, expected, "{:?} {:?}", before, after);
        }
    }
}
