//! Decides a fixed list of requests, reads a fixed list of HTTP requests, and loads and compiles a fixed policy, for
//! counting instructions: `benches/instructions.sh` runs this program in callgrind.
//!
//! Callgrind counts only inside the functions `counted_…`. The preparation before them uses hash tables with random
//! seeds, and would add noise.
//!
//! With an argument, decides only the requests of:
//!
//! - a row of `benches/rows.rs`, such as `5 referers: first`;
//! - `patterns` and a number: one token with that number of patterns;
//! - `query`: a granted query of 8 KiB with many quotes.
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
use portcullis::decision::{Credential, Request, Source, decide};
use portcullis::model::{Policy, SecretDigest};
use portcullis::snapshot::{Options, Snapshot};
use portcullis_http::gateway::{Body, HttpRequest, Reader, Reading};

fn main() {
    let now = workload::NOW.parse().unwrap();
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    match (arguments.next().as_deref(), arguments.next()) {
        (Some("patterns"), Some(count)) => decide_patterns(count.parse().unwrap(), now),
        (Some("query"), _) => decide_query(now),
        (Some(row), _) => decide_row(row, now),
        (None, _) => count_all(now),
    }
}

fn decide_patterns(count: usize, now: Timestamp) {
    let policy = portcullis_document::load::policy(workload::rows::one_token(count)).unwrap();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    let names = workload::rows::names_of_one(count, 2_000);
    let digest = SecretDigest::of(workload::rows::ONE_SECRET);
    let request = |name| Request::new("maps", "dw").source(Source::Resource(name)).digest(digest);
    let requests: Vec<_> = names.iter().map(|name| request(name)).collect();
    println!("{} of {} allowed", counted_decisions(&snapshot, &requests, now), requests.len());
}

fn decide_query(now: Timestamp) {
    let query = workload::http::long_query();
    let policy = portcullis_document::load::policy(workload::http::policy_of_query(&query)).unwrap();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    let digest = SecretDigest::of(workload::http::TOKEN);
    let request = Request::new("sql", workload::http::ONE_CONNECTION).source(Source::Query(&query)).digest(digest);
    println!("{} of 1 allowed", counted_decisions(&snapshot, &[request], now));
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

fn count_all(now: Timestamp) {
    let workload = workload::workload(1_000, 2_000, 1);
    let policy = counted_loading(workload.document);
    let snapshot = counted_compilation(&policy);
    let requests: Vec<_> = workload.requests.iter().map(from_digest).collect();
    let allowed = counted_decisions(&snapshot, &requests, now);
    let share = allowed * 100 / requests.len();
    assert!((65..85).contains(&share), "{share} % allowed");

    let reader = Reader::default();
    let tiles = workload::http::tiles(1_000);
    assert_eq!(counted_readings(&reader, &tiles), tiles.len());
    println!("{} decisions, {} readings, {} grants", requests.len(), tiles.len(), workload.grants);
}

#[inline(never)]
fn counted_loading(document: String) -> Policy {
    portcullis_document::load::policy(document).unwrap()
}

#[inline(never)]
fn counted_compilation(policy: &Policy) -> Snapshot {
    Snapshot::compile(policy, &Options::default()).unwrap()
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
