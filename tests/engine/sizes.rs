//! Sizes at and around the thresholds at which compilations and decisions change their methods, with every strategy.
//!
//! `snapshot::Options` and the modules define the thresholds. The tests cover sizes below and above them, and stay valid if
//! a threshold changes.

use portcullis::base::Timestamp;
use portcullis::model::Operation;
use portcullis_testkit::reference::ReferenceDecision;
use serde_json::{Value, json};

use crate::document;
use crate::engine::{by_engine, for_each_strategy, policy, snapshot};
use crate::request::{OwnedRequest, OwnedSource, Presented};

/// Compares the engine with the reference for all requests and strategies. At least one request must be allowed, and at
/// least one must be denied.
fn check(what: &str, document: &Value, requests: &[OwnedRequest]) {
    let reference = document::reference(document);
    let expected: Vec<ReferenceDecision> =
        requests.iter().map(|asked| asked.with(|request, now| reference.decide(request, now))).collect();
    let is_allow = |decision: &ReferenceDecision| matches!(decision, ReferenceDecision::Allow { .. });
    assert!(expected.iter().any(is_allow) && !expected.iter().all(is_allow), "{what}: {expected:?}");
    let policy = policy(document);
    for_each_strategy(|strategy, options| {
        let snapshot = snapshot(&policy, options);
        for (asked, expected) in requests.iter().zip(&expected) {
            assert_eq!(by_engine(&snapshot, asked), *expected, "{what}, {strategy}: {asked:?}");
        }
    });
}

fn asked(index: usize, sources: &[OwnedSource]) -> OwnedRequest {
    OwnedRequest {
        credential: Presented::Secret(format!("secret-{index}")),
        api: "maps".to_owned(),
        operation: Operation::Query,
        connection: "dw".to_owned(),
        sources: sources.to_vec(),
        referer: None,
        now: Timestamp::from_unix(0, 0),
    }
}

fn resource(text: impl Into<String>) -> OwnedSource {
    OwnedSource::Resource(text.into())
}

fn token(index: usize, grants: &[Value]) -> Value {
    json!({ "id": format!("{index}"), "token": format!("secret-{index}"), "allowed_apis": ["maps"], "grants": grants })
}

fn grant(kind: &str, source: &str) -> Value {
    json!({ "connection_name": "dw", "type": kind, "source": source })
}

/// Checks a token of `count` grants of `kind`, and a token with half of them. Requests match each grant, and one
/// matches none.
fn check_grants(kind: &str, count: usize, write: impl Fn(usize) -> String, ask: impl Fn(usize) -> OwnedSource) {
    let grants: Vec<Value> = (0..count).map(|at| grant(kind, &write(at))).collect();
    let document = json!({ "tokens": [token(0, &grants), token(1, &grants[count / 2..])] });
    let requests = (0..=count).flat_map(|at| [0, 1].map(|index| asked(index, &[ask(at)])));
    check(&format!("{count} of {kind}"), &document, &requests.collect::<Vec<_>>());
}

const SMALL: [usize; 12] = [1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65];

#[test]
fn exact_grants_of_all_sizes_decide_as_the_reference() {
    for count in SMALL {
        check_grants("resource", count, |at| format!("s.t{at}"), |at| resource(format!("s.t{at}")));
        check_grants(
            "named_source",
            count,
            |at| format!("named-{at}"),
            |at| OwnedSource::NamedSource(format!("named-{at}")),
        );
        check_grants("query", count, |at| format!("SELECT  {at}"), |at| OwnedSource::Query(format!("SELECT {at} ;")));
    }
}

/// Numbers of grants and connections that need more than one byte, then more than two.
#[test]
fn numbers_of_all_widths_decide_as_the_reference() {
    for count in [255, 256, 257, 9_000, 9_400, 65_535, 65_536, 65_537] {
        let on = |dw: usize, at: usize| json!({ "connection_name": format!("dw{dw}"), "source": format!("s.t{at}") });
        let mut grants: Vec<Value> = (0..count - 2).map(|at| on(0, at)).collect();
        grants.extend([on(255, 1), on(256, 2)]);
        // Declares the connections first, so that their numbers are those in their names.
        let connections: Vec<Value> = (0..257).map(|at| json!({ "name": format!("dw{at}") })).collect();
        let document = json!({ "connections": connections, "tokens": [token(0, &grants)] });
        let asks = |dw: usize, at: usize| {
            let connection = format!("dw{dw}");
            OwnedRequest { connection, ..asked(0, &[resource(format!("s.t{at}"))]) }
        };
        let mut requests: Vec<OwnedRequest> =
            [(255, 1), (255, 2), (256, 2), (256, 1)].map(|(dw, at)| asks(dw, at)).into();
        requests.extend([0, 1, 253, 254, 255, count - 4, count - 3, count - 2].map(|at| asks(0, at)));
        check(&format!("{count} grants"), &document, &requests);
    }
}

/// Patterns with equal hash keys.
#[test]
fn patterns_with_one_key_decide_as_the_reference() {
    for count in [7, 8, 9, 33, 256, 257] {
        check_grants("pattern", count, |at| format!("*x{at}y*.t"), |at| resource(format!("ax{at}yb.t")));
    }
}

/// Patterns with one shape and different keys.
#[test]
fn patterns_with_one_shape_decide_as_the_reference() {
    for count in SMALL {
        check_grants("pattern", count, |at| format!("s.t{at:04}_*"), |at| resource(format!("s.t{at:04}_")));
    }
}

/// Patterns with different shapes.
#[test]
fn patterns_with_many_shapes_decide_as_the_reference() {
    for count in [1, 2, 7, 8, 9, 31, 33, 63, 64, 65, 66, 130] {
        let text = |at: usize| format!("{}_", "ab".chars().cycle().take(at).collect::<String>());
        check_grants("pattern", count, |at| format!("{}*.t", text(at)), |at| resource(format!("{}.t", text(at))));
    }
}

/// Many patterns that cover one name. Some share literal text.
#[test]
fn patterns_that_cover_one_name_decide_as_the_reference() {
    let name = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
    for count in [8, 9, 33, 60] {
        let piece = |at: usize| &name[at % 26..][..2 + at / 26];
        let write = |at: usize| format!("*{}*.*", piece(at));
        check_grants("pattern", count, write, |at| match at % 3 {
            0 => resource(format!("{name}.t")),
            1 => resource(format!("{}.{name}", piece(at))),
            _ => resource(format!("_{}_.t", piece(at).to_ascii_uppercase())),
        });
    }
}

#[test]
fn tokens_with_many_connections_decide_as_the_reference() {
    for count in [1, 2, 7, 8, 9, 10, 17, 65] {
        let on = |at: usize, source: &str| json!({ "connection_name": format!("dw{at}"), "source": source });
        let grants: Vec<Value> = (0..count).flat_map(|at| [on(at, "a.t"), on(count - at - 1, "a.*_b")]).collect();
        let document = json!({ "tokens": [token(0, &grants)] });
        let mut requests = Vec::new();
        for at in 0..=count {
            for name in ["a.t", "a._b", "a.b"] {
                requests.push(OwnedRequest { connection: format!("dw{at}"), ..asked(0, &[resource(name)]) });
            }
        }
        check(&format!("{count} connections"), &document, &requests);
    }
}

#[test]
fn policies_with_many_tokens_decide_as_the_reference() {
    for count in [1, 2, 3, 6, 7, 8, 9, 13, 14, 15, 16, 17, 27, 28, 29, 55, 56, 57, 112, 113, 449] {
        let grants = |at: usize| [grant("resource", &format!("a.t{}", at % 5)), grant("pattern", "b.*")];
        let tokens: Vec<Value> = (0..count).map(|at| token(at, &grants(at))).collect();
        let requests: Vec<OwnedRequest> = (0..=count).map(|at| asked(at, &[resource("a.t1")])).collect();
        let more: Vec<OwnedRequest> = (0..=count).map(|at| asked(at, &[resource("b.t1")])).collect();
        check(&format!("{count} tokens"), &json!({ "tokens": tokens }), &[requests, more].concat());
    }
}

#[test]
fn requests_with_many_sources_decide_as_the_reference() {
    let grants =
        [grant("pattern", "a.*"), grant("resource", "a.t2"), grant("query", "SELECT 1"), grant("pattern", "a.*_*")];
    let document = json!({ "tokens": [token(0, &grants)] });
    let cycle = [resource("a.t2"), resource("a.\"t_2\""), OwnedSource::Query("SELECT\n1".to_owned()), resource("a.x")];
    let last = [resource("a.t2"), resource("b.t2"), resource("a..b"), OwnedSource::NamedSource("named".to_owned())];
    let mut requests = Vec::new();
    for count in [0, 1, 2, 3, 4, 5, 8, 9, 33] {
        for last in &last {
            let mut sources: Vec<OwnedSource> = cycle.iter().cycle().take(count).cloned().collect();
            requests.push(asked(0, &sources));
            sources.push(last.clone());
            requests.push(asked(0, &sources));
            sources.rotate_right(1);
            requests.push(asked(0, &sources));
        }
    }
    check("sources", &document, &requests);
}

/// Queries whose normal forms are split into pieces at every offset around the end of a buffer.
#[test]
fn queries_of_all_lengths_decide_as_the_reference() {
    let text =
        |length: usize, gap: usize| format!("SELECT {}  'x  y',\n{}  1", "a".repeat(gap), "b".repeat(length - gap));
    let lengths: Vec<usize> = (220..270).chain([1000, 4090, 4100]).collect();
    let grants: Vec<Value> = lengths.iter().map(|&length| grant("query", &text(length, 100))).collect();
    let document = json!({ "tokens": [token(0, &grants)] });
    let mut requests = Vec::new();
    for &length in &lengths {
        let granted = text(length, 100);
        for requested in
            [granted.clone(), granted.replace('\n', " \t"), granted.replace("x  y", "x y"), text(length, 99)]
        {
            requests.push(asked(0, &[OwnedSource::Query(requested)]));
        }
    }
    check("lengths of queries", &document, &requests);
}

/// Names and patterns up to the length limit of N2.4.
#[test]
fn names_of_all_lengths_decide_as_the_reference() {
    for length in [1, 100, 255, 256, 257, 4090] {
        let long = "a".repeat(length);
        let grants = [
            grant("resource", &format!("r.{long}")),
            grant("pattern", &format!("p.{long}*")),
            grant("pattern", &format!("*{long}.q")),
            grant("pattern", &format!("*{long}*.s")),
            grant("pattern", &format!("*{}*.*", "b".repeat(length))),
        ];
        let document = json!({ "tokens": [token(0, &grants)] });
        let names = [
            format!("r.{long}"),
            format!("r.{long}a"),
            format!("p.{long}"),
            format!("p.{long}aa"),
            format!("{long}.q"),
            format!("a{long}.q"),
            format!("b{long}.q"),
            format!("{long}b.q"),
            format!("b{long}b.s"),
            format!("{}.s", &long[1..]),
            format!("{}.b", long.replace('a', "b")),
            format!("p.{}", &long[1..]),
        ];
        check(&format!("names of {length}"), &document, &names.map(|name| asked(0, &[resource(name)])));
    }
}

/// Names of up to 16 segments.
#[test]
fn names_with_many_segments_decide_as_the_reference() {
    let path = |count: usize, last: &str| [&vec!["a"; count - 1][..], &[last]].concat().join(".");
    let mut grants: Vec<Value> = (2..=16).map(|count| grant("pattern", &path(count, "*"))).collect();
    grants.extend((2..=16).map(|count| grant("pattern", &vec!["*"; count].join("."))));
    grants.extend((2..=16).map(|count| grant("resource", &path(count, "t"))));
    for wanted in ["pattern", "resource"] {
        let some: Vec<Value> = grants.iter().filter(|grant| grant["type"] == wanted).cloned().collect();
        let document = json!({ "tokens": [token(0, &some), token(1, &some[..5])] });
        let names = (1..=17).flat_map(|count| ["t", "x"].map(|last| path(count, last)));
        let requests: Vec<OwnedRequest> =
            names.flat_map(|name| [0, 1].map(|index| asked(index, &[resource(name.clone())]))).collect();
        check(&format!("segments, {wanted}"), &document, &requests);
    }
}

/// Policies with up to the maximum number of APIs.
#[test]
fn policies_with_many_apis_decide_as_the_reference() {
    for declared in [1, 59, 60] {
        let apis: Vec<Value> =
            (0..declared).map(|at| json!({ "name": format!("api{at}"), "accepts": ["pattern"] })).collect();
        let names: Vec<String> = (0..declared).map(|at| format!("api{at}")).collect();
        let mut all = token(0, &[grant("pattern", "a.*"), grant("resource", "b.b")]);
        all["allowed_apis"] = json!(names);
        let mut last = token(1, &[grant("pattern", "a.*")]);
        last["allowed_apis"] = json!(names[declared - 1..]);
        let mut requests = Vec::new();
        for api in names.iter().map(String::as_str).chain(["maps", "api60", "lds"]) {
            for index in [0, 1] {
                for name in ["a.b", "b.b"] {
                    requests.push(OwnedRequest { api: api.to_owned(), ..asked(index, &[resource(name)]) });
                }
            }
        }
        check(&format!("{declared} APIs"), &json!({ "apis": apis, "tokens": [all, last] }), &requests);
    }
}

/// Short lists of referers, which are scanned, and long ones, which are searched.
#[test]
fn lists_of_referers_decide_as_the_reference() {
    let hosts = ["a.com", "*.a.com", "b.a.com", "*.b.a.com", "c.org", "c.org:8080"];
    let paths = ["/x", "/x/*", "/x/y/*", "/x?q", "/z/", "/x/y", "/*", ""];
    let entries: Vec<String> =
        paths.iter().flat_map(|path| hosts.iter().map(move |host| format!("https://{host}{path}"))).collect();
    for count in [1, 7, 8, 9, 10, 20, 36, 42, 48] {
        let mut restricted = token(0, &[grant("all", "*")]);
        restricted["referers"] = json!(entries[..count]);
        let mut requests = Vec::new();
        for host in
            ["a.com", "b.a.com", "d.b.a.com", "x.a.com", ".a.com", "c.org", "c.org:8080", "d.c.org", "aa.com", "a.com."]
        {
            for path in ["", "/", "/x", "/x/", "/x/y", "/x/y/z", "/x?q", "/x?p", "/z", "/z/", "/z/a", "/xx"] {
                let referer = Some(format!("https://{host}{path}"));
                requests.push(OwnedRequest { referer, ..asked(0, &[resource("a.b")]) });
            }
        }
        requests.push(OwnedRequest { referer: None, ..asked(0, &[resource("a.b")]) });
        check(&format!("{count} referers"), &json!({ "tokens": [restricted] }), &requests);
    }
}
