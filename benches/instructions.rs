//! Decides a fixed list of requests, and reads a fixed list of HTTP requests, for counting instructions:
//! `benches/instructions.sh` runs this program in callgrind.
//!
//! Callgrind counts only inside the functions `counted_decisions` and `counted_readings`. The preparation before them
//! uses hash tables with random seeds, and would add noise.
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

use portcullis::base::Timestamp;
use portcullis::decision::{Credential, Request, decide};
use portcullis::model::SecretDigest;
use portcullis::snapshot::{Options, Snapshot};
use portcullis_http::gateway::{Body, HttpRequest, Reader, Reading};

fn main() {
    let workload = workload::workload(1_000, 2_000, 1);
    let policy = portcullis_document::load::policy(workload.document).unwrap();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    let now = workload::NOW.parse().unwrap();
    // Starts from digests: SHA-256 is in another crate, and callgrind does not support SHA instructions.
    let asked = workload.requests.iter().map(workload::OwnedRequest::request);
    let requests: Vec<_> = asked
        .map(|request| match request.credential {
            Credential::Secret(secret) if !secret.is_empty() => request.digest(SecretDigest::of(secret)),
            _ => request,
        })
        .collect();
    let allowed = counted_decisions(&snapshot, &requests, now);
    let share = allowed * 100 / requests.len();
    assert!((65..85).contains(&share), "{share} % allowed");

    let reader = Reader::default();
    let tiles = workload::http::tiles(1_000);
    assert_eq!(counted_readings(&reader, &tiles), tiles.len());
    println!("{} decisions, {} readings", requests.len(), tiles.len());
}

#[inline(never)]
fn counted_decisions(snapshot: &Snapshot, requests: &[Request<'_>], now: Timestamp) -> usize {
    requests.iter().filter(|request| decide(snapshot, request, now).is_allow()).count()
}

#[inline(never)]
fn counted_readings(reader: &Reader, targets: &[String]) -> usize {
    let read = |target: &&String| {
        let headers = &workload::http::HEADERS;
        let request = HttpRequest { method: "GET", target, headers, body: Body::Whole(b"") };
        matches!(reader.read(&request), Ok(Reading::Access(_)))
    };
    targets.iter().filter(read).count()
}
