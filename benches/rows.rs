//! Measures decisions of one kind at a time, each as a multiple of the hashed floor. The requests are from a second
//! workload, on which the engine was not tuned.
//!
//! `cargo bench --bench rows` prints a table at 1,000 and at 100,000 tokens. Arguments are other numbers of tokens.
//!
//! The floor and the engine decide the same batches of requests in turn. A figure is the median of the batches: it is
//! right on a busy machine, too, as long as most batches are not interrupted.
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
use std::time::Instant;

use portcullis::base::Timestamp;
use portcullis::decision::{Request, decide};
use portcullis::model::{Policy, SecretDigest};
use portcullis::snapshot::{Options, Snapshot};
use workload::OwnedRequest;
use workload::floor::HashedFloor;
use workload::plain::Plain;
use workload::rows::{Population, RowRequests};

const BATCH: usize = 128;

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
        println!("\n{tokens} tokens\n\n| workload | bytes a token | table | grants | texts | referers |");
        println!("| --- | ---: | ---: | ---: | ---: | ---: |");
        print_bytes("first", &first(tokens));
        print_bytes("second", &snapshot);
        println!();
        println!("| row | floor, ns | decision, ns | ÷ floor | digest ÷ loop |\n| --- | ---: | ---: | ---: | ---: |");
        let (floor, plain) = (HashedFloor::new(&policy), Plain::new(&policy));
        let count = if measuring { 16 * BATCH } else { BATCH };
        population.each_row(count, 7, |row| measure(&row, &policy, &snapshot, &floor, &plain));
    }
    mix();
}

/// Returns the snapshot of the first workload.
fn first(tokens: usize) -> Snapshot {
    let policy = portcullis_document::load::policy(workload::workload(tokens, 1, 1).document).unwrap();
    Snapshot::compile(&policy, &Options::default()).unwrap()
}

fn print_bytes(workload: &str, snapshot: &Snapshot) {
    let (report, tokens) = (snapshot.report(), snapshot.token_count());
    let parts = [report.bytes(), report.token_bytes, report.grant_bytes, report.text_bytes, report.referer_bytes];
    let parts = parts.map(|bytes| format!(" {} |", bytes / tokens));
    println!("| {workload} |{}", parts.concat());
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

/// Returns the median nanoseconds of a call of each engine. The engines take turns of one batch each.
fn medians<const N: usize>(requests: usize, engines: &[&dyn Fn(usize) -> bool; N]) -> [f64; N] {
    let mut batches: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..if requests > BATCH { 24 } else { 1 } {
        for start in (0..requests).step_by(BATCH) {
            for (engine, batches) in engines.iter().zip(&mut batches) {
                let begun = Instant::now();
                for at in start..start + BATCH {
                    black_box(engine(black_box(at)));
                }
                batches.push(begun.elapsed().as_nanos() as f64 / BATCH as f64);
            }
        }
    }
    batches.map(|mut batches| quantile(&mut batches, 0.5))
}

fn quantile(times: &mut [f64], share: f64) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * share) as usize]
}

/// Prints single calls from a digest compared with the plain loop, on the mix of the first workload.
fn mix() {
    let workload = workload::workload(1_000, 10_000, 1);
    let policy = portcullis_document::load::policy(&workload.document).unwrap();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    let now: Timestamp = workload::NOW.parse().unwrap();
    let plain = Plain::new(&policy);
    let digests: Vec<SecretDigest> = workload.requests.iter().map(|owned| SecretDigest::of(&owned.secret)).collect();
    let (mut decisions, mut loops) = (Vec::new(), Vec::new());
    for (owned, digest) in workload.requests.iter().zip(&digests) {
        let request = owned.request().digest(*digest);
        for (times, engine) in [
            (&mut decisions, &(|| decide(&snapshot, &request, now).is_allow()) as &dyn Fn() -> bool),
            (&mut loops, &|| plain.allows(digest, owned, now)),
        ] {
            black_box(engine());
            let begun = Instant::now();
            black_box(engine());
            times.push(begun.elapsed().as_nanos() as f64);
        }
    }
    for share in [0.5, 0.99] {
        let (decision, plain) = (quantile(&mut decisions, share), quantile(&mut loops, share));
        println!(
            "\nmix of 1,000 tokens, from a digest, p{}: {decision:.0} ns, {:.2} of the plain loop",
            share * 100.0,
            decision / plain
        );
    }
}
