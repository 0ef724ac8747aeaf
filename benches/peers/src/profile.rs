//! Runs only the decisions of one engine, for a profiler: `--profile digest` or `--profile secret`.
//!
//! ```text
//! perf record -e cpu-clock peers --profile digest --n 100000
//! valgrind --tool=callgrind --toggle-collect='*profile*decisions*' peers --quick --profile digest --n 1000
//! ```

use std::hint::black_box;
use std::sync::Arc;

use portcullis::base::Timestamp;
use portcullis::snapshot::{Options, Snapshot};
use portcullis_document::load;

use crate::engine::Engine;
use crate::gate::{FromDigest, FromSecret};
use crate::requests::{ParsedRequest, Requests};
use crate::workload;

pub fn profile(what: &str, tokens: usize, times: usize) -> Result<(), String> {
    let now: Timestamp = workload::NOW.parse().expect("an instant");
    let workload = workload::workload(tokens, 1 << 14, 1);
    let requests = Requests::new(&workload.requests);
    let policy = load::policy(workload.document).expect("the workload is a policy");
    let snapshot = Arc::new(Snapshot::compile(&policy, &Options::default()).expect("it compiles"));
    eprintln!("{:#?}", snapshot.report());
    drop(policy);
    let asked = requests.list();
    for _ in 0..times {
        let snapshot = Arc::clone(&snapshot);
        match what {
            "secret" => decisions(FromSecret { snapshot, now }, &asked),
            "digest" => decisions(FromDigest { snapshot, now }, &asked),
            _ => return Err(format!("expected `secret` or `digest` after `--profile`, found `{what}`")),
        }
    }
    Ok(())
}

#[inline(never)]
fn decisions(mut engine: impl Engine, asked: &[ParsedRequest<'_>]) {
    for asked in asked {
        black_box(engine.decide(black_box(asked)));
    }
}
