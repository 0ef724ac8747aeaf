//! Decides a fixed list of requests, for counting instructions: `benches/instructions.sh` runs this program in
//! callgrind.
//!
//! The argument is the number of repetitions. The difference between two runs contains only the instructions of
//! decisions.
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

use portcullis::decision::{Credential, decide};
use portcullis::model::SecretDigest;
use portcullis::snapshot::{Options, Snapshot};

fn main() {
    let rounds = std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
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
    let mut allowed = 0;
    for _ in 0..rounds {
        allowed += requests.iter().filter(|request| decide(&snapshot, request, now).is_allow()).count();
    }
    let share = allowed * 100 / (requests.len() * rounds).max(1);
    assert!(rounds == 0 || (65..85).contains(&share), "{share} % allowed");
}
