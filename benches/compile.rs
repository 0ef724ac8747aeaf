//! Measures reading a policy document and compiling its snapshot. A result is the time for one whole policy. The
//! throughput is in grants.
//!
//! With numbers of tokens as arguments, prints the median of five runs and the grants a second, on one core:
//! `cargo bench --bench compile -- 100000 1000000`.
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

use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group};
use portcullis::snapshot::{Options, Snapshot};

fn benches(criterion: &mut Criterion) {
    for tokens in [1_000, 10_000] {
        let workload = workload::workload(tokens, 0, 1);
        let policy = portcullis_document::load::policy(&workload.document).unwrap();
        let mut group = criterion.benchmark_group(format!("{tokens} tokens"));
        group.throughput(Throughput::Elements(workload.grants as u64)).sample_size(10);
        group.bench_function("floor/json", |bencher| {
            // Parses only the JSON structure of the document.
            bencher.iter(|| serde_json::from_str::<serde::de::IgnoredAny>(&workload.document).unwrap());
        });
        group.bench_function("read", |bencher| {
            bencher.iter_batched(
                || (),
                |()| portcullis_document::load::policy(&workload.document).unwrap(),
                BatchSize::LargeInput,
            );
        });
        group.bench_function("compile", |bencher| {
            bencher.iter_batched(
                || (),
                |()| Snapshot::compile(&policy, &Options::default()).unwrap(),
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

criterion_group!(compile_benches, benches);

fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        compile_benches();
        Criterion::default().configure_from_args().final_summary();
        return;
    }
    println!("| tokens | grants | read, s | compiled, s | grants/s |\n| ---: | ---: | ---: | ---: | ---: |");
    sizes.into_iter().for_each(whole);
}

/// Prints how long one policy takes from its document to its snapshot.
fn whole(tokens: usize) {
    let workload = workload::workload(tokens, 0, 1);
    let mut times: Vec<(Duration, Duration)> = std::iter::repeat_with(|| {
        let document = workload.document.clone();
        let begun = Instant::now();
        let policy = portcullis_document::load::policy(document).unwrap();
        let read = begun.elapsed();
        let begun = Instant::now();
        let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
        let compiled = begun.elapsed();
        assert_eq!(snapshot.token_count(), tokens);
        (read, compiled)
    })
    .take(5)
    .collect();
    times.sort_unstable_by_key(|(read, compiled)| *read + *compiled);
    let (read, compiled) = (times[2].0.as_secs_f64(), times[2].1.as_secs_f64());
    let rate = workload.grants as f64 / (read + compiled);
    println!("| {tokens} | {} | {read:.3} | {compiled:.3} | {rate:.0} |", workload.grants);
}
