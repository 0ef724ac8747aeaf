//! Decides a fixed list of requests, and reads a fixed list of HTTP requests, for counting instructions:
//! `benches/instructions.sh` runs this program in callgrind.
//!
//! Callgrind counts only inside the functions `counted_decisions` and `counted_readings`. The preparation before them
//! uses hash tables with random seeds, and would add noise.
//!
//! With the name of a row of `benches/rows.rs` as argument, such as `5 referers: first`, decides only its requests.
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
    let now = workload::NOW.parse().unwrap();
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    match arguments.next() {
        Some(row) => decide_row(&row, now),
        None => decide_and_read_all(now),
    }
}

fn decide_row(name: &str, now: Timestamp) {
    let population = workload::rows::Population::new(1_000, 20_261);
    let policy = portcullis_document::load::policy(population.document()).unwrap();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    population.each_row(2_000, 7, |row| {
        if row.name == name {
            let requests: Vec<_> = row.requests.iter().map(from_digest).collect();
            let allowed = counted_decisions(&snapshot, &requests, now);
            println!("{allowed} of {} allowed", requests.len());
        }
    });
}

/// Returns a request with a digest: SHA-256 is in another crate, and callgrind does not support SHA instructions.
fn from_digest(owned: &workload::OwnedRequest) -> Request<'_> {
    let request = owned.request();
    match request.credential {
        Credential::Secret(secret) if !secret.is_empty() => request.digest(SecretDigest::of(secret)),
        _ => request,
    }
}

fn decide_and_read_all(now: Timestamp) {
    let workload = workload::workload(1_000, 2_000, 1);
    let policy = portcullis_document::load::policy(workload.document).unwrap();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    let requests: Vec<_> = workload.requests.iter().map(from_digest).collect();
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
