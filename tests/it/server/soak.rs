//! Reloads under load: no wrong answer, no growth.
//!
//! The full test: `PORTCULLIS_RELOADS=10000 cargo test --release -p portcullis-cli --test it server::soak -- --nocapture`.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis::decision::{Decision, Request, Source as RequestSource};
use portcullis_server::decision_log::{DecisionLog, LogOptions, Target};
use portcullis_server::metrics::Metrics;
use portcullis_server::policy::{LiveOptions, Outcome, Source, Timing};
use portcullis_server::shadow::Shadow;

use super::util::{SECRET, decide_and, now, serve};

const TOKENS: usize = 200;

/// Odd policies grant `db.odd` to every token, even ones `db.even`; `db.both` is always granted.
fn policy(number: usize) -> String {
    let table = if number % 2 == 1 { "odd" } else { "even" };
    let token = |at: usize| {
        format!(
            r#"{{"id": "t{at}", "token": "{SECRET}-{at}", "allowed_apis": ["maps"], "grants": [
                {{"connection_name": "dw", "source": "db.{table}"}}, {{"connection_name": "dw", "source": "db.both"}},
                {{"connection_name": "dw", "source": "db.only_{number}_*"}}]}}"#
        )
    };
    let tokens: Vec<_> = (0..TOKENS).map(token).collect();
    format!("[{}]", tokens.join(","))
}

/// The memory in use in kilobytes, if the system reports it.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
}

#[test]
fn reloads_under_load_give_no_wrong_answer() {
    let setting = std::env::var("PORTCULLIS_RELOADS").ok();
    let reloads: usize = setting.as_ref().map_or(200, |count| count.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.json");
    fs::write(&file, policy(1)).unwrap();
    let timing = Timing { settle: Duration::ZERO, quiet: Duration::from_hours(1), ..Timing::default() };
    let options = LiveOptions { timing, state_dir: Some(folder.path().join("state")), ..LiveOptions::default() };
    let (live, authorizer) = serve(&Source::files([&file]).unwrap(), options);
    let log = DecisionLog::open(&Target::File("/dev/null".into()), LogOptions::default()).unwrap();
    let metrics = Arc::new(Metrics::new());
    let shadow = Shadow::new(authorizer.clone(), 10, portcullis_server::decision_log::QueryTexts::Hidden);
    let done = AtomicBool::new(false);
    let started = Instant::now();
    let mut memory = Vec::new();
    let decided: u64 = std::thread::scope(|scope| {
        let reader = |first: usize| {
            let mut decided = 0;
            let mut last = 0;
            for at in (first..TOKENS).cycle() {
                if done.load(Ordering::Relaxed) && decided > 0 {
                    return decided;
                }
                let secret = format!("{SECRET}-{}", at % TOKENS);
                let current = authorizer.current();
                let generation = current.number();
                assert!(generation >= last, "generation {generation} after {last}");
                last = generation;
                for (table, granted) in [
                    ("db.odd", generation % 2 == 1),
                    ("db.even", generation % 2 == 0),
                    ("db.both", true),
                    ("db.x", false),
                ] {
                    let request = Request::new("maps", "dw").secret(&secret).source(RequestSource::Resource(table));
                    let decision: Decision<'_> = current.decide(&request, now());
                    assert_eq!(decision.is_allow(), granted, "{table} in generation {generation}: {decision:?}");
                    decide_and(&authorizer, &request, now(), |decided| {
                        log.record(decided);
                        metrics.record(decided);
                        shadow.record(decided);
                    });
                    decided += 1;
                }
            }
            decided
        };
        let readers: Vec<_> = (0..2).map(|first| scope.spawn(move || reader(first))).collect();
        for number in 2..=reloads + 1 {
            fs::write(folder.path().join("new"), policy(number)).unwrap();
            fs::rename(folder.path().join("new"), &file).unwrap();
            assert_eq!(live.reload_now(), Outcome::Loaded);
            assert_eq!(authorizer.current().number(), number as u64);
            if number % (reloads / 10).max(1) == 0 {
                memory.extend(resident());
            }
        }
        done.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).sum()
    });
    log.close();
    let counts = log.counts();
    assert_eq!((counts.written + counts.dropped, counts.failed), (decided, 0));
    eprintln!(
        "{reloads} reloads of {TOKENS} tokens in {:.1?}, {decided} decisions meanwhile, none wrong; resident memory in KiB: {memory:?}",
        started.elapsed(),
    );
    // Only if this test runs alone, since other tests take memory, too. Replaced policies are freed, so memory at the end is
    // that of soon after the start, except for what the allocator keeps.
    if let (Some(_), Some(early), Some(late)) = (setting, memory.get(2), memory.last()) {
        assert!(*late < early * 3 / 2, "memory grew from {early} to {late} KiB");
    }
}
