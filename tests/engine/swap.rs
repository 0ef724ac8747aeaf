//! Hot swaps under load: every decision comes from exactly one generation.

use std::sync::atomic::{AtomicBool, Ordering};

use portcullis::authorizer::{Authorizer, Usage};
use portcullis::base::Timestamp;
use portcullis::decision::{Reason, Request, Source};
use portcullis::snapshot::{Options, Snapshot};
use portcullis_document::load;

const SWAPS: u64 = 2_000;

fn snapshot(table: &str) -> Snapshot {
    let document = format!(
        r#"{{"tokens": [{{"id": "only_{table}", "token": "s3cret", "allowed_apis": ["maps"],
            "grants": [{{"connection_name": "dw", "source": "db.{table}"}}]}}]}}"#
    );
    Snapshot::compile(&load::policy(&document).unwrap(), &Options::default()).unwrap()
}

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

#[test]
fn concurrent_readers_see_only_complete_generations() {
    // Odd generations grant `db.odd`, and even ones grant `db.even`. A mixture of two generations would allow or deny
    // both.
    let authorizer = Authorizer::new(snapshot("odd"));
    let done = AtomicBool::new(false);
    let readers = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let decided: u64 = std::thread::scope(|scope| {
        let reader = || {
            let mut decided = 0;
            let mut last = 0;
            while !done.load(Ordering::Relaxed) || decided == 0 {
                let current = authorizer.current();
                let number = current.number();
                assert!(number >= last, "generation {number} after {last}");
                last = number;
                for table in ["db.odd", "db.even"] {
                    let request = Request::new("maps", "dw").secret("s3cret").source(Source::Resource(table));
                    let decision = current.decide(&request, now());
                    let granted = (table == "db.odd") == (number % 2 == 1);
                    assert_eq!(decision.is_allow(), granted, "{table} in generation {number}: {decision:?}");
                    decided += 1;
                }
            }
            decided
        };
        let readers: Vec<_> = (0..readers).map(|_| scope.spawn(reader)).collect();
        for swap in 0..SWAPS {
            let swapped = authorizer.swap(snapshot(if swap % 2 == 0 { "even" } else { "odd" }));
            assert_eq!(swapped.generation, swap + 2);
            assert!(swapped.previous.is_some());
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    assert!(decided > 0);
    assert_eq!(authorizer.current().number(), SWAPS + 1);
}

#[test]
fn concurrent_writers_number_every_generation_once() {
    let authorizer = Authorizer::unavailable();
    let mut numbers: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..50).map(|_| authorizer.swap(snapshot("odd")).generation).collect::<Vec<_>>()))
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
}

#[test]
fn failed_reload_keeps_last_good_snapshot_and_returns_error() {
    let authorizer = Authorizer::new(snapshot("odd"));
    let failure = authorizer.reload(|| load::policy("{\"tokens\": [{}]}").map(|_| Snapshot::default())).unwrap_err();
    assert!(failure.to_string().contains("tokens[0]"), "{failure}");
    let current = authorizer.current();
    assert_eq!(current.number(), 1);
    let request = Request::new("maps", "dw").secret("s3cret").source(Source::Resource("db.odd"));
    assert!(current.decide(&request, now()).is_allow());
}

#[test]
fn loaded_generation_is_usable_after_a_swap() {
    let authorizer = Authorizer::new(snapshot("odd"));
    let before = authorizer.current();
    authorizer.swap(snapshot("even"));
    let request = Request::new("maps", "dw").secret("s3cret").source(Source::Resource("db.odd"));
    assert!(before.decide(&request, now()).is_allow());
    assert_eq!(authorizer.current().decide(&request, now()).reason(), Some(Reason::SourceNotGranted));
}

#[test]
fn decisions_are_policy_unavailable_before_the_first_policy() {
    let current = Authorizer::unavailable().current();
    assert_eq!(current.number(), 0);
    let decision = current.decide(&Request::new("lds", ""), now());
    assert_eq!(decision.reason(), Some(Reason::PolicyUnavailable));
    assert_eq!(Reason::PolicyUnavailable.status(), 503);
}

#[test]
fn usage_is_counted_by_token_and_grant_and_survives_swaps() {
    let usage = Usage::default();
    let authorizer = Authorizer::counting(usage.clone());
    let document = |grants: &str| {
        let text = format!(
            r#"{{"tokens": [{{"id": "tk", "token": "s3cret", "allowed_apis": ["maps"], "grants": [{grants}]}}]}}"#
        );
        Snapshot::compile(&load::policy(&text).unwrap(), &Options::default()).unwrap()
    };
    let (a, b) = (r#"{"connection_name": "dw", "source": "db.a"}"#, r#"{"connection_name": "dw", "source": "db.*"}"#);
    let ask = |table: &str| {
        let request = Request::new("maps", "dw").secret("s3cret").source(Source::Resource(table));
        authorizer.current().decide(&request, now()).is_allow()
    };
    authorizer.swap(document(&format!("{a}, {b}")));
    assert!(ask("db.a") && ask("db.a") && ask("db.other") && !ask("db.other.deeper"));
    let counted = usage.token("tk").unwrap();
    assert_eq!((counted.allowed, counted.grants.as_slice()), (3, [2, 1].as_slice()));
    assert_eq!(counted.denied.into_iter().collect::<Vec<_>>(), [(Reason::SourceNotGranted, 1)]);
    assert_eq!(counted.last_used, Some(now()));

    // The order of the grants changes, and one is new. The counts follow the sources of the grants.
    let c = r#"{"connection_name": "dw", "source": "db.c"}"#;
    authorizer.swap(document(&format!("{c}, {b}, {a}")));
    assert!(ask("db.a"));
    let counted = usage.token("tk").unwrap();
    assert_eq!((counted.allowed, counted.grants.as_slice()), (4, [0, 1, 3].as_slice()));

    // The count of a removed token is kept. A token that never existed has no usage.
    authorizer.swap(Snapshot::default());
    assert_eq!(usage.token("tk").unwrap().allowed, 4);
    assert_eq!(usage.token("other"), None);
}

#[test]
fn concurrent_usage_counts_are_exact() {
    let usage = Usage::default();
    let authorizer = Authorizer::counting(usage.clone());
    authorizer.swap(snapshot("odd"));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    let request = Request::new("maps", "dw").secret("s3cret").source(Source::Resource("db.odd"));
                    assert!(authorizer.current().decide(&request, now()).is_allow());
                }
            });
        }
    });
    assert_eq!(usage.token("only_odd").unwrap().allowed, 4_000);
}
