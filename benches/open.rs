//! Measures a compiled policy from its file to the first decision, and compares it with reading the file alone.
//!
//! Run `cargo bench -p portcullis-benches --bench open [-- tokens...]`. The default is 100,000 tokens. The file has just
//! been written and is in the cache of the system, so the result is the time for copying, computing checksums and
//! verifying, without the disk.
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

use portcullis::snapshot::{Options, Snapshot};
use portcullis_document::load;

fn main() {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let mut sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![if measuring { 100_000 } else { 1_000 }];
    }
    let dir = tempfile::tempdir().unwrap();
    for tokens in sizes {
        let path = dir.path().join("policy.pcls");
        let (asked, compiled) = {
            let workload = workload::workload(tokens, 1, 1);
            let policy = load::policy(workload.document).unwrap();
            let begun = Instant::now();
            let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
            let compiled = begun.elapsed();
            snapshot.write(&mut std::fs::File::create(&path).unwrap()).unwrap();
            (workload.requests, compiled)
        };
        let now = workload::NOW.parse().unwrap();
        let opened = times(|| {
            let snapshot = Snapshot::open(&path).unwrap();
            std::hint::black_box(portcullis::decide(&snapshot, &asked[0].request(), now).is_allow());
            assert_eq!(snapshot.token_count(), tokens);
        });
        let read = times(|| drop(std::hint::black_box(std::fs::read(&path).unwrap())));
        let bytes = std::fs::metadata(&path).unwrap().len();
        println!(
            "{tokens} tokens, {bytes} bytes: compiling {compiled:.1?}; opening: median {:.1?}, minimum {:.1?}; reading alone: median {:.1?}, minimum {:.1?}",
            opened[opened.len() / 2],
            opened[0],
            read[read.len() / 2],
            read[0]
        );
    }
}

fn times(mut one: impl FnMut()) -> Vec<Duration> {
    let time = |()| {
        let begun = Instant::now();
        one();
        begun.elapsed()
    };
    let mut times: Vec<Duration> = std::iter::repeat_n((), 21).map(time).collect();
    times.sort_unstable();
    times
}
