//! Reloads under load: no wrong answer, no growth.
//!
//! `PORTCULLIS_RELOADS=10000 cargo test --release -p portcullis-cli --test it server::soak -- --nocapture` is the whole of it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use portcullis::decision::{Decision, Request, Source as Asked};
use portcullis_server::decision_log::{DecisionLog, LogOptions, Target};
use portcullis_server::metrics::Metrics;
use portcullis_server::policy::{LiveOptions, Outcome, Source, Timing};
use portcullis_server::shadow::Shadow;

use super::util::{SECRET, decide_and, now, serve};

const TOKENS: usize = 200;

/// Odd policies grant `db.odd` to every token, even ones `db.even`, and `db.both` is granted always.
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

/// Memory in use, in kilobytes, where the system tells.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
}

#[test]
fn reloads_under_load_give_no_wrong_answer() {
    let asked = std::env::var("PORTCULLIS_RELOADS").ok();
    let reloads: usize = asked.as_ref().map_or(200, |count| count.parse().unwrap());
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
    let begun = Instant::now();
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
                    let request = Request::new("maps", "dw").secret(&secret).source(Asked::Resource(table));
                    let decision: Decision<'_> = current.decide(&request, now());
                    assert_eq!(decision.is_allow(), granted, "{table} in generation {generation}: {decision:?}");
                    decide_and(&authorizer, &request, now(), |told| {
                        log.record(told);
                        metrics.record(told);
                        shadow.record(told);
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
        begun.elapsed(),
    );
    // Alone, for other tests take memory, too: that of replaced policies is given back, so there is no more at the end than soon
    // after the beginning, but for what the allocator keeps apart.
    if let (Some(_), Some(early), Some(late)) = (asked, memory.get(2), memory.last()) {
        assert!(*late < early * 3 / 2, "memory grew from {early} to {late} KiB");
    }
}
