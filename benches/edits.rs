//! Measures edits of single tokens in a large policy, and their effect on readers.
//!
//! Run `cargo bench -p portcullis-benches --bench edits [-- tokens...]`. The default is 100,000 tokens. The results are:
//!
//! - one edit, from the JSON of the token to a swapped snapshot, by the number of earlier edits;
//! - single decisions of one reader: without edits, with 1,000 edits a second, and with edits without a pause.
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
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use portcullis::Authorizer;
use portcullis::authorizer::Usage;
use portcullis::decision::Request;
use portcullis::model::{Policy, SecretDigest};
use portcullis::snapshot::{Editor, Options};
use portcullis_document::load;

/// The number of edits after which a service would compile the policy again.
const MAX_EDITS: usize = 4_096;

fn main() {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let mut sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![if measuring { 100_000 } else { 1_000 }];
    }
    let time = if measuring { Duration::from_secs(5) } else { Duration::from_millis(50) };
    for tokens in sizes {
        let workload = workload::workload(tokens, 1 << 14, 1);
        let policy = load::policy(workload.document).unwrap();
        one_edit(&policy);
        let asked: Vec<Request<'_>> =
            workload.requests.iter().map(|asked| asked.request().digest(SecretDigest::of(&asked.secret))).collect();
        readers(&policy, &asked, time);
    }
}

/// Returns a token with four grants, a typical number.
fn token(at: usize, version: usize) -> String {
    let grant = |n: usize| {
        format!(r#"{{"connection_name": "connection_{n:02}", "source": "warehouse_{n:02}.roads_{n:02}.v{version}_*"}}"#)
    };
    let grants: Vec<String> = (0..4).map(grant).collect();
    format!(
        r#"{{"id": "tk_{at}", "token": "edited-{at}", "allowed_apis": ["maps"], "grants": [{}]}}"#,
        grants.join(",")
    )
}

fn edit(editor: &mut Editor, authorizer: &Authorizer, at: usize, version: usize) -> Duration {
    let text = token(at, version);
    let begun = Instant::now();
    let changed = load::tokens(text, editor.known()).unwrap();
    authorizer.swap(editor.change(&changed).unwrap());
    begun.elapsed()
}

fn one_edit(policy: &Policy) {
    let tokens = policy.tokens().len();
    let mut editor = Editor::new(policy, &Options::default()).unwrap();
    for (counting, authorizer) in
        [("", Authorizer::unavailable()), (", counting", Authorizer::counting(Usage::default()))]
    {
        authorizer.swap(editor.snapshot().clone());
        let mut edits = 0;
        for until in [100, 1_000, MAX_EDITS] {
            let until = until.min(tokens);
            let mut times: Vec<Duration> = (edits..until).map(|at| edit(&mut editor, &authorizer, at, 1)).collect();
            edits = until;
            times.sort_unstable();
            if let (Some(median), Some(p99)) = (times.get(times.len() / 2), times.get(times.len() * 99 / 100)) {
                println!("{tokens} tokens, edit up to the {until}th{counting}: median {median:.1?}, p99 {p99:.1?}");
            }
        }
    }
}

fn readers(policy: &Policy, asked: &[Request<'_>], time: Duration) {
    let tokens = policy.tokens().len();
    let compile = || Editor::new(policy, &Options::default()).unwrap();
    for (name, pause) in
        [("none", None), ("1,000 a second", Some(Duration::from_millis(1))), ("no pause", Some(Duration::ZERO))]
    {
        let mut editor = compile();
        let authorizer = Authorizer::new(editor.snapshot().clone());
        let stop = AtomicBool::new(false);
        let (mut times, edits) = std::thread::scope(|scope| {
            let reader = scope.spawn(|| read(&authorizer, asked, &stop));
            let end = Instant::now() + time;
            let mut edits = 0;
            while Instant::now() < end {
                let Some(pause) = pause else {
                    std::thread::sleep(time);
                    break;
                };
                edit(&mut editor, &authorizer, edits % MAX_EDITS.min(tokens), edits);
                edits += 1;
                if !pause.is_zero() {
                    std::thread::sleep(pause);
                }
            }
            stop.store(true, Relaxed);
            (reader.join().unwrap(), edits)
        });
        times.sort_unstable();
        let at = |share: f64| times[((times.len() as f64 * share) as usize).min(times.len() - 1)];
        println!(
            "{tokens} tokens, edits: {name} ({edits}); a decision: p50 {} ns, p99 {} ns, p99.9 {} ns",
            at(0.5),
            at(0.99),
            at(0.999)
        );
    }
}

fn read(authorizer: &Authorizer, asked: &[Request<'_>], stop: &AtomicBool) -> Vec<u32> {
    let now = workload::NOW.parse().unwrap();
    let mut times = Vec::new();
    for (at, request) in asked.iter().cycle().enumerate() {
        if at % 256 == 0 && stop.load(Relaxed) {
            break;
        }
        // Times one decision in 16: the clock costs about as much as a decision.
        let begun = (at % 16 == 0).then(Instant::now);
        black_box(authorizer.current().decide(request, now).is_allow());
        if let Some(begun) = begun {
            times.push(u32::try_from(begun.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
    }
    times
}
