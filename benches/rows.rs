//! Measures decisions of one kind at a time, each as a multiple of the hashed floor. The requests are from a second
//! workload, on which the engine was not tuned.
//!
//! `cargo bench -p portcullis-benches --bench rows` prints a table at 1,000 and at 100,000 tokens. Arguments are other numbers of tokens.
//!
//! The floor and the engine decide the same batches of requests in turn. A figure is the median of the batches.
//!
//! Other tables have single calls of the mix of the first workload, and one token with 10 to 100,000 patterns.
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

use std::collections::HashSet;

use portcullis::base::Timestamp;
use portcullis::decision::{Request, Source, decide};
use portcullis::model::{Policy, SecretDigest};
use portcullis::snapshot::{Options, Snapshot};
use workload::OwnedRequest;
use workload::floor::HashedFloor;
use workload::measure::{BATCH, medians, quantile, single};
use workload::plain::Plain;
use workload::rows::{Population, RowRequests};

fn main() {
    // `cargo test --benches` only checks the results.
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let mut sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = if measuring { vec![1_000, 100_000] } else { vec![100] };
    }
    for tokens in sizes {
        let population = Population::new(tokens, 20_261);
        let policy = portcullis_document::load::policy(population.document()).unwrap();
        let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
        println!("\n{tokens} tokens; bytes a token, and what a token has\n");
        println!(
            "| workload | all | table | grants | texts | referers | number of grants | of referers | text to keep |"
        );
        println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        let first = workload::workload(tokens, 1, 1).document;
        print_bytes("first", &compiled(&first), &first);
        print_bytes("second", &snapshot, &population.document());
        println!();
        println!("| row | floor, ns | decision, ns | ÷ floor | digest ÷ loop |\n| --- | ---: | ---: | ---: | ---: |");
        let (floor, plain) = (HashedFloor::new(&policy), Plain::new(&policy));
        let count = if measuring { 16 * BATCH } else { BATCH };
        population.each_row(count, 7, |row| measure(&row, &policy, &snapshot, &floor, &plain));
    }
    let count = if measuring { 20_000 } else { 200 };
    mix(1_000, count);
    if measuring {
        mix(100_000, count);
        patterns();
    }
}

fn compiled(document: &str) -> Snapshot {
    let policy = portcullis_document::load::policy(document).unwrap();
    Snapshot::compile(&policy, &Options::default()).unwrap()
}

/// Prints the bytes of a token, and what they hold: the number of its grants and referers, and the bytes of all distinct
/// ids, sources and referers of the document. No snapshot takes fewer bytes without compressing them.
fn print_bytes(workload: &str, snapshot: &Snapshot, document: &str) {
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    let (mut grants, mut referers, mut texts) = (0, 0, HashSet::new());
    let list = |value: &'_ serde_json::Value| value.as_array().cloned().unwrap_or_default();
    for token in list(&document["tokens"]) {
        let (own, sites) = (list(&token["grants"]), list(&token["referers"]));
        (grants, referers) = (grants + own.len(), referers + sites.len());
        let sources = own.into_iter().map(|grant| grant["source"].clone());
        let all = std::iter::once(token["id"].clone()).chain(sites).chain(sources);
        texts.extend(all.map(|text| text.as_str().unwrap_or_default().to_owned()));
    }
    let text: usize = texts.iter().map(String::len).sum();
    let (report, tokens) = (snapshot.report(), snapshot.token_count());
    let parts = [report.bytes(), report.token_bytes, report.grant_bytes, report.text_bytes, report.referer_bytes];
    let parts = parts.into_iter().chain([grants, referers, text]).map(|sum| format!(" {} |", sum / tokens));
    println!("| {workload} |{}", parts.collect::<String>());
}

/// Prints the figures of one row, after checking its decisions.
fn measure(row: &RowRequests, policy: &Policy, snapshot: &Snapshot, floor: &HashedFloor, plain: &Plain<'_>) {
    let now: Timestamp = workload::NOW.parse().unwrap();
    let requests: Vec<Request<'_>> = row.requests.iter().map(OwnedRequest::request).collect();
    let digests: Vec<SecretDigest> = row.requests.iter().map(|owned| SecretDigest::of(&owned.secret)).collect();
    let known: Vec<Request<'_>> =
        requests.iter().zip(&digests).map(|(request, digest)| request.digest(*digest)).collect();
    for (request, owned) in requests.iter().zip(&row.requests) {
        assert_eq!(decide(snapshot, request, now).reason(), row.expected, "{}: {owned:?}", row.name);
    }
    assert!(!policy.tokens().is_empty());
    let engines: [&dyn Fn(usize) -> bool; 4] = [
        &|at| floor.knows(&row.requests[at].secret),
        &|at| decide(snapshot, &requests[at], now).is_allow(),
        &|at| decide(snapshot, &known[at], now).is_allow(),
        &|at| plain.allows(&digests[at], &row.requests[at], now),
    ];
    let [floor, whole, digest, plain] = medians(requests.len(), &engines);
    println!("| {} | {floor:.0} | {whole:.0} | {:.2} | {:.2} |", row.name, whole / floor, digest / plain);
}

/// Prints single calls on the mix of the first workload.
///
/// - From a digest, compared with the plain loop.
/// - The slowest of 1,000 whole decisions, compared with the median.
/// - Cold: whole decisions after 4 MiB of other memory, compared with the hashed floor.
fn mix(tokens: usize, count: usize) {
    let workload = workload::workload(tokens, count, 1);
    let policy = portcullis_document::load::policy(&workload.document).unwrap();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    let now: Timestamp = workload::NOW.parse().unwrap();
    let (floor, plain) = (HashedFloor::new(&policy), Plain::new(&policy));
    let requests: Vec<Request<'_>> = workload.requests.iter().map(OwnedRequest::request).collect();
    let digests: Vec<SecretDigest> = workload.requests.iter().map(|owned| SecretDigest::of(&owned.secret)).collect();
    let known: Vec<Request<'_>> =
        requests.iter().zip(&digests).map(|(request, digest)| request.digest(*digest)).collect();
    let engines: [&dyn Fn(usize) -> bool; 4] = [
        &|at| floor.knows(&workload.requests[at].secret),
        &|at| decide(&snapshot, &requests[at], now).is_allow(),
        &|at| decide(&snapshot, &known[at], now).is_allow(),
        &|at| plain.allows(&digests[at], &workload.requests[at], now),
    ];
    let mut warm = single(count, &mut [], &engines);
    let mut others = vec![[0; 8]; (4 << 20) / 64];
    let mut cold = single(count.min(2_000), &mut others, &engines);
    let at = |times: &mut [Vec<f64>; 4], engine: usize, share: f64| quantile(&mut times[engine], share);
    let row = |name: &str, value: f64, goal: f64| println!("| {name} | {value:.2} | {goal} |");
    println!("\n| mix of {tokens} tokens, single calls | result | goal |\n| --- | ---: | ---: |");
    row("from a digest ÷ plain loop, median", at(&mut warm, 2, 0.5) / at(&mut warm, 3, 0.5), 0.7);
    row("from a digest ÷ plain loop, p99", at(&mut warm, 2, 0.99) / at(&mut warm, 3, 0.99), 0.4);
    row("whole decision, p99.9 ÷ median", at(&mut warm, 1, 0.999) / at(&mut warm, 1, 0.5), 5.0);
    let floor = at(&mut warm, 0, 0.999) / at(&mut warm, 0, 0.5);
    println!("| hashed floor, p99.9 ÷ median | {floor:.2} | for comparison |");
    row("whole decision ÷ hashed floor, cold, median", at(&mut cold, 1, 0.5) / at(&mut cold, 0, 0.5), 2.0);
}

/// Prints decisions of one token by the number of its patterns, from a digest.
fn patterns() {
    println!("\n| patterns of one token | ns | ÷ 10 patterns (goal: 1.5) |\n| ---: | ---: | ---: |");
    let counts = [10, 100, 1_000, 10_000, 100_000];
    let policies = counts.map(|count| portcullis_document::load::policy(workload::rows::one_token(count)).unwrap());
    let snapshots = policies.map(|policy| Snapshot::compile(&policy, &Options::default()).unwrap());
    let now: Timestamp = workload::NOW.parse().unwrap();
    let digest = SecretDigest::of(workload::rows::ONE_SECRET);
    let names = counts.map(|count| workload::rows::names_of_one(count, 2_048));
    let decides = |size: usize, at: usize| {
        let request = Request::new("maps", "dw").source(Source::Resource(&names[size][at])).digest(digest);
        decide(&snapshots[size], &request, now).is_allow()
    };
    for (size, names) in names.iter().enumerate() {
        assert!((0..names.len()).all(|at| decides(size, at)));
    }
    let times = medians(
        names[0].len(),
        &[&|at| decides(0, at), &|at| decides(1, at), &|at| decides(2, at), &|at| decides(3, at), &|at| decides(4, at)],
    );
    for (count, time) in counts.iter().zip(times) {
        println!("| {count} | {time:.0} | {:.2} |", time / times[0]);
    }
}
