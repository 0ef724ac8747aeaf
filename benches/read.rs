//! Measures the reading of an HTTP request: from method, target, headers and body to a request for a decision.
//!
//! - `tile`: the most frequent request of a map, with the headers of a browser and without encoded values that matter.
//! - `tile, decided`: the same request, read and decided among 1,000 tokens.
//! - `tile, encoded`: a tile with a connection and a name that must be decoded.
//! - `model`: an aggregate, whose parameters are long, encoded JSON.
//! - `body`: a query that is too long for a URL, as a JSON body of 8 KiB.
//! - `twice`: a repeated parameter, which is rejected.
//!
//! `floor/look` is the minimum work of a reader: it reads each byte of the target and of the header names once.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark that fails should stop"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use portcullis::decision::decide;
use portcullis::snapshot::{Options, Snapshot};
use portcullis_http::gateway::{Body, HttpRequest, Reader, Reading};
use workload::http::{HEADERS, TOKEN, tiles};

#[path = "workload/mod.rs"]
mod workload;

const ENCODED: &str = "/v3/maps/Oracle%20Conn/table/5/15/12?name=%22Sales+Db%22.%22Regions%22&spatialDataColumn=geom\
    &spatialDataType=geo&tileResolution=0.5&columns=name%2Crevenue&cache=1767225600000&formatTiles=binary&v=3.4&client=deck-gl";
const TWICE: &str = "/v3/maps/carto_dw/table/5/15/12?name=carto-demo-data.demo_tables.airports&name=other";

fn benches(criterion: &mut Criterion) {
    let reader = Reader::default();
    let tile = &*tiles(1).remove(0);
    let filters = "%7B%22storetype%22%3A%7B%22in%22%3A%7B%22values%22%3A%5B%22Supermarket%22%5D%7D%7D%7D".repeat(4);
    let model = format!(
        "/v3/sql/carto_dw/model/category?type=query&client=deck-gl&source=SELECT+*+FROM+%60carto-demo-data.demo_tables.stores%60\
        &params=%7B%22column%22%3A%22storetype%22%7D&queryParameters=&filters={filters}&filtersLogicalOperator=and&spatialDataType=geo"
    );
    let values: Vec<String> = (0..500).map(|at| format!("'order-{at:06}'")).collect();
    let body = serde_json::json!({"v": "3.4", "client": "deck-gl", "q": format!("SELECT * FROM t WHERE id IN ({})", values.join(","))});
    let body = body.to_string();
    let mut group = criterion.benchmark_group("read");
    for (name, method, target, body, is_understood) in [
        ("tile", "GET", tile, "", true),
        ("tile, encoded", "GET", ENCODED, "", true),
        ("model", "GET", &*model, "", true),
        ("body", "POST", "/v3/sql/carto_dw/query", &*body, true),
        ("twice", "GET", TWICE, "", false),
    ] {
        let request = HttpRequest { method, target, headers: &HEADERS, body: Body::Whole(body.as_bytes()) };
        // A benchmark with wrong results would be meaningless.
        assert_eq!(matches!(reader.read(&request), Ok(Reading::Access(_))), is_understood, "{name}");
        group.bench_function(name, |bencher| bencher.iter(|| reader.read(black_box(&request)).is_ok()));
    }
    let now = workload::NOW.parse().unwrap();
    let document = workload::http::policy(1_000);
    let policy = portcullis_document::load::policy(document).unwrap();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    let request = HttpRequest { method: "GET", target: tile, headers: &HEADERS, body: Body::Whole(b"") };
    let is_allowed = |request: &HttpRequest<'_>| {
        let Ok(Reading::Access(access)) = reader.read(request) else { return false };
        decide(&snapshot, &access.request(&access.sources()), now).is_allow()
    };
    assert!(is_allowed(&request), "the token {TOKEN} reads the table");
    group.bench_function("tile, decided", |bencher| bencher.iter(|| is_allowed(black_box(&request))));
    group.bench_function("floor/look", |bencher| {
        bencher.iter(|| {
            let bytes = black_box(tile).bytes().filter(|byte| *byte == b'&').count();
            bytes + black_box(&HEADERS).iter().flat_map(|(name, _)| name.bytes()).filter(|byte| *byte == b'-').count()
        });
    });
    group.finish();
}

criterion_group!(read_benches, benches);
criterion_main!(read_benches);
