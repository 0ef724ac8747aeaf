//! Sizes at and around those at which a compilation, or a decision, does something else. Every strategy, every time.
//!
//! The thresholds themselves are named in `snapshot::Options` and in the modules; these tests walk over them, and go on
//! holding when one of them is moved.

use portcullis::base::Timestamp;
use portcullis::model::Operation;
use portcullis_testkit::reference::ReferenceDecision;
use serde_json::{Value, json};

use crate::document;
use crate::engine::{by_engine, for_each_strategy, policy, snapshot};
use crate::request::{Asked, AskedSource, Presented};

/// Compares engine and reference for all requests, under every strategy. At least one request must be allowed, and at
/// least one denied.
fn check(what: &str, document: &Value, requests: &[Asked]) {
    let reference = document::reference(document);
    let expected: Vec<ReferenceDecision> =
        requests.iter().map(|asked| asked.ask(|request, now| reference.decide(request, now))).collect();
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

fn asked(index: usize, sources: &[AskedSource]) -> Asked {
    Asked {
        credential: Presented::Secret(format!("secret-{index}")),
        api: "maps".to_owned(),
        operation: Operation::Query,
        connection: "dw".to_owned(),
        sources: sources.to_vec(),
        referer: None,
        now: Timestamp::from_unix(0, 0),
    }
}

fn resource(text: impl Into<String>) -> AskedSource {
    AskedSource::Resource(text.into())
}

fn token(index: usize, grants: &[Value]) -> Value {
    json!({ "id": format!("{index}"), "token": format!("secret-{index}"), "allowed_apis": ["maps"], "grants": grants })
}

fn grant(kind: &str, source: &str) -> Value {
    json!({ "connection_name": "dw", "type": kind, "source": source })
}

/// One token of `count` grants of `kind`, and one that shares half of them; each grant is asked for, and its neighbour.
fn check_grants(kind: &str, count: usize, write: impl Fn(usize) -> String, ask: impl Fn(usize) -> AskedSource) {
    let grants: Vec<Value> = (0..count).map(|at| grant(kind, &write(at))).collect();
    let document = json!({ "tokens": [token(0, &grants), token(1, &grants[count / 2..])] });
    let places = (0..=count).flat_map(|at| [0, 1].map(|index| asked(index, &[ask(at)])));
    check(&format!("{count} of {kind}"), &document, &places.collect::<Vec<_>>());
}

const SMALL: [usize; 12] = [1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65];

#[test]
fn exact_grants() {
    for count in SMALL {
        check_grants("resource", count, |at| format!("s.t{at}"), |at| resource(format!("s.t{at}")));
        check_grants(
            "named_source",
            count,
            |at| format!("named-{at}"),
            |at| AskedSource::NamedSource(format!("named-{at}")),
        );
        check_grants("query", count, |at| format!("SELECT  {at}"), |at| AskedSource::Query(format!("SELECT {at} ;")));
    }
}

/// Where numbers of grants, connections and places outgrow one byte, then two.
#[test]
fn widths_of_numbers() {
    for count in [254, 255, 256, 257, 9_000, 9_400, 65_534, 65_535, 65_536, 65_537] {
        let on = |dw: usize, at: usize| json!({ "connection_name": format!("dw{dw}"), "source": format!("s.t{at}") });
        let mut grants: Vec<Value> = (0..count - 2).map(|at| on(0, at)).collect();
        grants.extend([on(255, 1), on(256, 2)]);
        // Declared first, so that the connections' own numbers are those of their names.
        let connections: Vec<Value> = (0..257).map(|at| json!({ "name": format!("dw{at}") })).collect();
        let document = json!({ "connections": connections, "tokens": [token(0, &grants)] });
        let asks = |dw: usize, at: usize| {
            let connection = format!("dw{dw}");
            Asked { connection, ..asked(0, &[resource(format!("s.t{at}"))]) }
        };
        let mut requests: Vec<Asked> = [(255, 1), (255, 2), (256, 2), (256, 1)].map(|(dw, at)| asks(dw, at)).into();
        requests.extend([0, 1, 253, 254, 255, count - 4, count - 3, count - 2].map(|at| asks(0, at)));
        check(&format!("{count} grants"), &document, &requests);
    }
}

/// Patterns that no hash of known places tells apart.
#[test]
fn patterns_of_one_key() {
    for count in [7, 8, 9, 33, 256, 257] {
        check_grants("pattern", count, |at| format!("*x{at}y*.t"), |at| resource(format!("ax{at}yb.t")));
    }
}

/// Patterns of one shape, each with a key of its own.
#[test]
fn patterns_of_one_shape() {
    for count in SMALL {
        check_grants("pattern", count, |at| format!("s.t{at:04}_*"), |at| resource(format!("s.t{at:04}_")));
    }
}

/// Patterns that all have different shapes.
#[test]
fn patterns_of_many_shapes() {
    for count in [1, 2, 7, 8, 9, 31, 33, 63, 64, 65, 66, 130] {
        let text = |at: usize| format!("{}_", "ab".chars().cycle().take(at).collect::<String>());
        check_grants("pattern", count, |at| format!("{}*.t", text(at)), |at| resource(format!("{}.t", text(at))));
    }
}

/// One name that many patterns cover, some with text that others have too.
#[test]
fn patterns_that_cover_one_name() {
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
fn connections_of_a_token() {
    for count in [1, 2, 7, 8, 9, 10, 17, 65] {
        let on = |at: usize, source: &str| json!({ "connection_name": format!("dw{at}"), "source": source });
        let grants: Vec<Value> = (0..count).flat_map(|at| [on(at, "a.t"), on(count - at - 1, "a.*_b")]).collect();
        let document = json!({ "tokens": [token(0, &grants)] });
        let mut requests = Vec::new();
        for at in 0..=count {
            for name in ["a.t", "a._b", "a.b"] {
                requests.push(Asked { connection: format!("dw{at}"), ..asked(0, &[resource(name)]) });
            }
        }
        check(&format!("{count} connections"), &document, &requests);
    }
}

#[test]
fn tokens_of_a_policy() {
    for count in [1, 2, 3, 6, 7, 8, 9, 13, 14, 15, 16, 17, 27, 28, 29, 55, 56, 57, 112, 113, 449] {
        let grants = |at: usize| [grant("resource", &format!("a.t{}", at % 5)), grant("pattern", "b.*")];
        let tokens: Vec<Value> = (0..count).map(|at| token(at, &grants(at))).collect();
        let requests: Vec<Asked> = (0..=count).map(|at| asked(at, &[resource("a.t1")])).collect();
        let more: Vec<Asked> = (0..=count).map(|at| asked(at, &[resource("b.t1")])).collect();
        check(&format!("{count} tokens"), &json!({ "tokens": tokens }), &[requests, more].concat());
    }
}

#[test]
fn sources_of_a_request() {
    let grants =
        [grant("pattern", "a.*"), grant("resource", "a.t2"), grant("query", "SELECT 1"), grant("pattern", "a.*_*")];
    let document = json!({ "tokens": [token(0, &grants)] });
    let cycle = [resource("a.t2"), resource("a.\"t_2\""), AskedSource::Query("SELECT\n1".to_owned()), resource("a.x")];
    let last = [resource("a.t2"), resource("b.t2"), resource("a..b"), AskedSource::NamedSource("named".to_owned())];
    let mut requests = Vec::new();
    for count in [0, 1, 2, 3, 4, 5, 8, 9, 33] {
        for last in &last {
            let mut sources: Vec<AskedSource> = cycle.iter().cycle().take(count).cloned().collect();
            requests.push(asked(0, &sources));
            sources.push(last.clone());
            requests.push(asked(0, &sources));
            sources.rotate_right(1);
            requests.push(asked(0, &sources));
        }
    }
    check("sources", &document, &requests);
}

/// Queries whose normal form is cut into pieces at every place around a buffer's end.
#[test]
fn lengths_of_queries() {
    let text =
        |length: usize, gap: usize| format!("SELECT {}  'x  y',\n{}  1", "a".repeat(gap), "b".repeat(length - gap));
    let lengths: Vec<usize> = (220..270).chain([1000, 4090, 4100]).collect();
    let grants: Vec<Value> = lengths.iter().map(|&length| grant("query", &text(length, 100))).collect();
    let document = json!({ "tokens": [token(0, &grants)] });
    let mut requests = Vec::new();
    for &length in &lengths {
        let granted = text(length, 100);
        for asked_for in
            [granted.clone(), granted.replace('\n', " \t"), granted.replace("x  y", "x y"), text(length, 99)]
        {
            requests.push(asked(0, &[AskedSource::Query(asked_for)]));
        }
    }
    check("lengths of queries", &document, &requests);
}

/// Names and patterns up to the most that N2.4 allows.
#[test]
fn lengths_of_names() {
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
fn numbers_of_segments() {
    let path = |count: usize, last: &str| [&vec!["a"; count - 1][..], &[last]].concat().join(".");
    let mut grants: Vec<Value> = (2..=16).map(|count| grant("pattern", &path(count, "*"))).collect();
    grants.extend((2..=16).map(|count| grant("pattern", &vec!["*"; count].join("."))));
    grants.extend((2..=16).map(|count| grant("resource", &path(count, "t"))));
    for wanted in ["pattern", "resource"] {
        let some: Vec<Value> = grants.iter().filter(|grant| grant["type"] == wanted).cloned().collect();
        let document = json!({ "tokens": [token(0, &some), token(1, &some[..5])] });
        let names = (1..=17).flat_map(|count| ["t", "x"].map(|last| path(count, last)));
        let requests: Vec<Asked> =
            names.flat_map(|name| [0, 1].map(|index| asked(index, &[resource(name.clone())]))).collect();
        check(&format!("segments, {wanted}"), &document, &requests);
    }
}

/// As many APIs as a policy may know.
#[test]
fn numbers_of_apis() {
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
                    requests.push(Asked { api: api.to_owned(), ..asked(index, &[resource(name)]) });
                }
            }
        }
        check(&format!("{declared} APIs"), &json!({ "apis": apis, "tokens": [all, last] }), &requests);
    }
}

/// Lists of referers that are scanned, and that are searched.
#[test]
fn lists_of_referers() {
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
                requests.push(Asked { referer, ..asked(0, &[resource("a.b")]) });
            }
        }
        requests.push(Asked { referer: None, ..asked(0, &[resource("a.b")]) });
        check(&format!("{count} referers"), &json!({ "tokens": [restricted] }), &requests);
    }
}
