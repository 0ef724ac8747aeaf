//! Measures reading a policy document and compiling its snapshot. A result is the time for one whole policy. The
//! throughput is in grants.
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

#[path = "workload/mod.rs"]
mod workload;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
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
criterion_main!(compile_benches);
