//! Measures decisions and compares them with floors: the minimum work of any engine that keeps only digests of secrets.
//!
//! Every benchmark decides the same requests of one workload, in the same order. A result is the time of one decision.
//!
//! - `floor/hashed`: SHA-256 of the secret, one lookup in a hash map, one comparison of the digest.
//! - `floor/fast`: the hashed floor with a keyed hash that is not cryptographic.
//! - `decide/secret`: the whole decision.
//! - `decide/digest`: the decision from a digest that is already computed.
//! - `loop/digest`: the plain loop, which looks up the token and compares its grants one by one.
//!
//! The groups `cold` read and write 4 MiB of other memory before each decision. So the caches contain other data, as in
//! a server that has received and read a request. `floor/clock` is the cost of the clock in these groups: subtract it.
//!
//! Divide a result by the floor of its group: the quotient is comparable between machines.
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

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis::base::Timestamp;
use portcullis::decision::{Request, decide};
use portcullis::model::SecretDigest;
use portcullis::snapshot::{Options, Snapshot};
use workload::OwnedRequest;
use workload::plain::Plain;

fn benches(criterion: &mut Criterion) {
    let now: Timestamp = workload::NOW.parse().unwrap();
    // `cargo test --benches` only checks the results.
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let sizes: &[usize] = if measuring { &[1_000, 10_000, 100_000] } else { &[1_000] };
    for &tokens in sizes {
        let workload = workload::workload(tokens, 10_000, 1);
        let policy = portcullis_document::load::policy(&workload.document).unwrap();
        let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
        let requests: Vec<Request<'_>> = workload.requests.iter().map(OwnedRequest::request).collect();
        let digests: Vec<SecretDigest> =
            workload.requests.iter().map(|asked| SecretDigest::of(&asked.secret)).collect();
        let known: Vec<Request<'_>> =
            requests.iter().zip(&digests).map(|(request, digest)| request.digest(*digest)).collect();
        let plain = Plain::new(&policy);
        // A benchmark with wrong decisions would be meaningless.
        let mut allowed = 0;
        for ((request, asked), digest) in requests.iter().zip(&workload.requests).zip(&digests) {
            let allows = decide(&snapshot, request, now).is_allow();
            allowed += usize::from(allows);
            assert_eq!(allows, !asked.secret.is_empty() && plain.allows(digest, asked, now), "{asked:?}");
        }
        let share = allowed * 100 / requests.len();
        assert!((70..80).contains(&share), "{share} % allowed");

        let hashed: HashMap<SecretDigest, u32, foldhash::fast::FixedState> =
            policy.tokens().iter().zip(0..).map(|(token, at)| (*token.digest(), at)).collect();
        let fast: HashMap<&str, u32, foldhash::fast::RandomState> =
            workload.requests.iter().zip(0..).map(|(asked, at)| (asked.secret.as_str(), at)).collect();

        let engines: [(&str, &dyn Fn(usize) -> bool); 5] = [
            ("floor/hashed", &|at| hashed.contains_key(&SecretDigest::of(&workload.requests[at].secret))),
            ("floor/fast", &|at| fast.contains_key(workload.requests[at].secret.as_str())),
            ("decide/secret", &|at| decide(&snapshot, &requests[at], now).is_allow()),
            ("decide/digest", &|at| decide(&snapshot, &known[at], now).is_allow()),
            ("loop/digest", &|at| plain.allows(&digests[at], &workload.requests[at], now)),
        ];
        let next = |at: &mut usize| {
            *at = if *at + 1 == requests.len() { 0 } else { *at + 1 };
            *at
        };
        let mut group = criterion.benchmark_group(format!("{tokens} tokens"));
        group.throughput(Throughput::Elements(1));
        for (name, one) in engines {
            let mut at = 0;
            group.bench_function(name, |bencher| bencher.iter(|| black_box(one(next(&mut at)))));
        }
        group.finish();

        let mut group = criterion.benchmark_group(format!("{tokens} tokens, cold"));
        group.sample_size(50);
        let mut others = vec![[0_u64; 8]; (4 << 20) / 64];
        let nothing: (&str, &dyn Fn(usize) -> bool) = ("floor/clock", &|at| at > 0);
        for (name, one) in std::iter::once(nothing).chain(engines) {
            let mut at = 0;
            let mut timed = || {
                for line in black_box(&mut others) {
                    line[0] += 1;
                }
                let at = next(&mut at);
                // Loads the request into the cache, as if it had just been read.
                black_box((workload.requests[at].clone(), requests[at], known[at], digests[at]));
                let begun = Instant::now();
                black_box(one(at));
                begun.elapsed()
            };
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|count| (0..count).map(|_| timed()).sum::<Duration>());
            });
        }
        group.finish();
    }
}

criterion_group!(decide_benches, benches);
criterion_main!(decide_benches);
