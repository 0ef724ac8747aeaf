//! Measures an HTTP request in process: from method, target, headers and body to allow or deny, among 1,000 tokens.
//!
//! `cargo bench -p portcullis-benches --bench read` prints a table:
//!
//! - `tile`: the most frequent request of a map, with the headers of a browser.
//! - `tile, encoded names`: a tile with a connection and a name that must be decoded.
//! - `encoded query`: an aggregate, whose query is 400 bytes of encoded JSON and SQL.
//! - `JSON body`: a query that is too long for a URL, as a body of 8 KiB.
//! - `twice`: a repeated parameter, which is rejected.
//! - `tile, cold`: the tile after 4 MiB of other memory was read and written.
//!
//! The floor only finds the token, the path and the parameter of the source in the same bytes. It checks nothing,
//! decodes nothing and decides nothing.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark that fails should stop"
)]

#[path = "workload/mod.rs"]
mod workload;

use std::hint::black_box;

use portcullis::base::Timestamp;
use portcullis::decision::decide;
use portcullis::snapshot::{Options, Snapshot};
use portcullis_http::gateway::{Body, HttpRequest, Reader, Reading};
use workload::http::{HEADERS, ONE_CONNECTION, long_query, policy, policy_of_query, tiles};
use workload::measure::{BATCH, medians, quantile, single};

/// An HTTP request of one kind.
struct Row {
    name: &'static str,
    method: &'static str,
    target: String,
    body: String,
    /// The parameter of the source.
    parameter: &'static str,
    outcome: Outcome,
    policy: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Allowed,
    Denied,
    NotUnderstood,
}

fn rows() -> Vec<Row> {
    let filters = "%7B%22storetype%22%3A%7B%22in%22%3A%7B%22values%22%3A%5B%22Supermarket%22%5D%7D%7D%7D".repeat(2);
    let row = |name, target: &str, outcome| Row {
        name,
        method: "GET",
        target: target.to_owned(),
        body: String::new(),
        parameter: "name=",
        outcome,
        policy: policy(1_000),
    };
    let body = serde_json::json!({"v": "3.4", "client": "deck-gl", "q": long_query()}).to_string();
    let post = |name, outcome| Row {
        method: "POST",
        body: body.clone(),
        parameter: "\"q\":\"",
        ..row(name, &format!("/v3/sql/{ONE_CONNECTION}/query"), outcome)
    };
    let encoded = format!(
        "/v3/sql/{ONE_CONNECTION}/model/category?type=query&client=deck-gl\
        &source=SELECT+*+FROM+%60carto-demo-data.demo_tables.stores%60&params=%7B%22column%22%3A%22storetype%22%7D\
        &queryParameters=&filters={filters}&filtersLogicalOperator=and&spatialDataType=geo&spatialFilters=%7B%7D&v=3.4"
    );
    vec![
        row("tile", &tiles(1).remove(0), Outcome::Allowed),
        row(
            "tile, encoded names",
            "/v3/maps/Oracle%20Conn/table/5/15/12?name=%22Sales+Db%22.%22Regions%22&spatialDataColumn=geom\
            &spatialDataType=geo&tileResolution=0.5&columns=name%2Crevenue&cache=1767225600000&formatTiles=binary&v=3.4\
            &client=deck-gl",
            Outcome::Denied,
        ),
        Row { parameter: "source=", ..row("encoded query", &encoded, Outcome::Denied) },
        post("JSON body", Outcome::Denied),
        Row { policy: policy_of_query(&long_query()), ..post("JSON body, granted query", Outcome::Allowed) },
        row(
            "twice",
            "/v3/maps/carto_dw/table/5/15/12?name=carto-demo-data.demo_tables.airports&name=other",
            Outcome::NotUnderstood,
        ),
    ]
}

fn main() {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let now: Timestamp = workload::NOW.parse().unwrap();
    let reader = Reader::default();
    println!("| HTTP request | bytes | floor, ns | read, ns | read and decided, ns | ÷ floor | allocations |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for row in rows() {
        let policy = portcullis_document::load::policy(row.policy.as_str()).unwrap();
        let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
        let decided = |request: &HttpRequest<'_>| match reader.read(request) {
            Ok(Reading::Access(access)) if decide(&snapshot, &access.request(&access.sources()), now).is_allow() => {
                Outcome::Allowed
            }
            Ok(_) => Outcome::Denied,
            Err(_) => Outcome::NotUnderstood,
        };
        let body = row.body.as_bytes();
        let request =
            HttpRequest { method: row.method, target: &row.target, headers: &HEADERS, body: Body::Whole(body) };
        // A benchmark with wrong results would be meaningless.
        assert_eq!(decided(&request), row.outcome, "{}", row.name);
        let allocated = allocation_counter::measure(|| {
            black_box(decided(black_box(&request)));
        });
        let allocated = allocated.count_total;
        assert!(row.outcome != Outcome::Allowed || allocated == 0, "{} allocations of {}", allocated, row.name);
        let engines: [&dyn Fn(usize) -> bool; 3] =
            [&|_| found(black_box(&row)), &|_| reader.read(black_box(&request)).is_ok(), &|_| {
                decided(black_box(&request)) == Outcome::Allowed
            }];
        let [floor, read, whole] = medians(if measuring { 32 * BATCH } else { BATCH }, &engines);
        let bytes = row.target.len() + row.body.len();
        let ratio = whole / floor;
        println!("| {} | {bytes} | {floor:.0} | {read:.0} | {whole:.0} | {ratio:.2} | {allocated} |", row.name);
        if row.name == "tile" {
            let mut others = vec![[0; 8]; (4 << 20) / 64];
            let times = single(if measuring { 2_000 } else { 10 }, &mut others, &engines);
            let [floor, read, whole] = times.map(|mut times| quantile(&mut times, 0.5));
            let ratio = whole / floor;
            println!("| tile, cold | {bytes} | {floor:.0} | {read:.0} | {whole:.0} | {ratio:.2} | {allocated} |");
        }
    }
}

/// The floor: finds the token, the path and the parameter of the source.
fn found(row: &Row) -> bool {
    let token = HEADERS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        .and_then(|(_, value)| value.split_once(' '));
    let (path, query) = row.target.split_once('?').unwrap_or((&row.target, ""));
    let source = if row.body.is_empty() {
        query.split('&').find_map(|parameter| parameter.strip_prefix(row.parameter))
    } else {
        row.body.split_once(row.parameter).and_then(|(_, rest)| rest.split('"').next())
    };
    black_box((token, path, source)).2.is_some()
}
