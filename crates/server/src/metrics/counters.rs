//! Counters of requests: plain atomics, found without a lock and without allocation.
//!
//! Each thread has counters of its own or shares them with few: processors that write to one cache line wait for each
//! other.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::decided::Decided;
use portcullis::decision::{Decision, Reason};

/// The built-in APIs, whose counters exist from the start.
const BUILT_IN: [&str; 4] = ["maps", "sql", "imports", "lds"];

/// The number of APIs with counters of their own. A policy has at most 64 (N8.5), but policies change.
const APIS: usize = 128;

/// The label of every API that no policy declares, and of APIs beyond [`APIS`].
const OTHER: &str = "other";

/// The label of requests that were not understood, and so have no API.
const NONE: &str = "none";

/// The upper bounds of the latency buckets, in nanoseconds. A decision takes some hundred.
const BOUNDS: [u64; 14] = [
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

/// Decisions by API, outcome and reason, and their durations.
#[derive(Debug)]
pub(super) struct Counters {
    /// The APIs with counters of their own.
    apis: Box<[OnceLock<Box<str>>]>,
    shards: Box<[Shard]>,
}

/// The counters of one or more threads.
#[derive(Debug)]
struct Shard {
    /// By index of the API; then one for other APIs, and one for requests without an API.
    outcomes: Box<[Outcomes]>,
    latency: Latency,
}

/// Decisions by outcome and reason. Aligned, so that no other thread writes to the same cache lines.
#[derive(Debug)]
#[repr(align(128))]
struct Outcomes {
    allowed: AtomicU64,
    denied: [AtomicU64; Reason::ALL.len()],
}

/// The durations of decisions.
#[derive(Debug)]
#[repr(C, align(128))]
struct Latency {
    // Next to the buckets of normal durations: mostly one cache line is written.
    nanoseconds: AtomicU64,
    /// The count of each bucket alone; the last is for durations above every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
}

/// The maximum number of shards. With more threads, some share a shard.
const MAX_SHARDS: usize = 64;

impl Counters {
    pub(super) fn new() -> Self {
        let apis: Box<[_]> = std::iter::repeat_with(OnceLock::new).take(APIS).collect();
        for (slot, name) in apis.iter().zip(BUILT_IN) {
            let _ = slot.set(name.into());
        }
        let shards = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_SHARDS);
        Self { apis, shards: std::iter::repeat_with(Shard::new).take(shards).collect() }
    }

    pub(super) fn record(&self, decided: &Decided<'_>) {
        let Some(shard) = self.shards.get(thread() % self.shards.len()) else { return };
        let index = match decided.request {
            None => APIS + 1,
            Some(request) => self.api_index(request.api, decided.decision),
        };
        if let Some(outcomes) = shard.outcomes.get(index) {
            outcomes.record(decided.decision);
        }
        shard.latency.record(decided.took);
    }

    /// Returns the index of an API; [`APIS`] if it has no counters of its own.
    fn api_index(&self, api: &str, decision: &Decision<'_>) -> usize {
        let known = self.apis.iter().map_while(OnceLock::get).position(|known| **known == *api);
        known.unwrap_or_else(|| {
            // Clients may send any name. If a token lists the API, a policy declares it: then it gets counters of its own.
            let mut remembered = self.apis.iter().map(|slot| slot.get_or_init(|| api.into()));
            if decision.is_allow() { remembered.position(|known| **known == *api).unwrap_or(APIS) } else { APIS }
        })
    }

    /// Returns every counter: API, outcome, reason, count.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &'static str, &'static str, u64)> {
        let known = self.apis.iter().map_while(OnceLock::get).map(|name| &**name);
        known.zip(0..).chain([(OTHER, APIS), (NONE, APIS + 1)]).flat_map(move |(api, index)| {
            let all = self.shards.iter().filter_map(move |shard| shard.outcomes.get(index));
            let allowed = all.clone().map(|outcomes| read(&outcomes.allowed)).sum();
            let denied = Reason::ALL.iter().enumerate().map(move |(index, reason)| {
                let counters = all.clone().filter_map(|outcomes| outcomes.denied.get(index));
                (api, "deny", reason.code(), counters.map(read).sum())
            });
            std::iter::once((api, "allow", "", allowed)).chain(denied)
        })
    }

    /// Returns the durations: the sum in seconds, the count, and each bucket's upper bound in seconds with its own count.
    pub(super) fn latency(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let ends = BOUNDS.iter().map(|bound| Duration::from_nanos(*bound).as_secs_f64()).chain([f64::INFINITY]);
        let all = || self.shards.iter().map(|shard| &shard.latency);
        let buckets: Vec<_> = (0_usize..)
            .zip(ends)
            .map(|(bound, end)| (end, all().filter_map(|latency| latency.buckets.get(bound)).map(read).sum()))
            .collect();
        let nanoseconds = all().map(|latency| read(&latency.nanoseconds)).sum();
        let count = buckets.iter().map(|(_, count)| count).sum();
        (Duration::from_nanos(nanoseconds).as_secs_f64(), count, buckets)
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Returns the number of the current thread.
fn thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<Option<usize>> = const { Cell::new(None) };
    }
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed);
            number.set(Some(next));
            next
        })
    })
}

impl Shard {
    fn new() -> Self {
        Self { outcomes: std::iter::repeat_with(Outcomes::new).take(APIS + 2).collect(), latency: Latency::new() }
    }
}

impl Outcomes {
    const fn new() -> Self {
        Self { allowed: AtomicU64::new(0), denied: [const { AtomicU64::new(0) }; Reason::ALL.len()] }
    }

    fn record(&self, decision: &Decision<'_>) {
        let counter = match decision {
            Decision::Allow(_) => Some(&self.allowed),
            Decision::Deny(reason) => self.denied.get(*reason as usize),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Latency {
    const fn new() -> Self {
        Self { nanoseconds: AtomicU64::new(0), buckets: [const { AtomicU64::new(0) }; BOUNDS.len() + 1] }
    }

    fn record(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let index = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decided::Ids;
    use portcullis::base::Timestamp;
    use portcullis::decision::Request;

    #[test]
    fn counts_of_all_threads_add_up() {
        let counters = Counters::new();
        let request = Request::new("maps", "dw");
        std::thread::scope(|scope| {
            for reason in [Reason::TokenMissing, Reason::TokenUnknown, Reason::TokenMissing] {
                let (counters, request) = (&counters, &request);
                scope.spawn(move || {
                    for _ in 0..1000 {
                        counters.record(&Decided {
                            at: Timestamp::from_unix(0, 0),
                            evaluated_at: None,
                            ids: Ids::default(),
                            generation: 1,
                            token_id: None,
                            request: Some(request),
                            decision: &Decision::Deny(reason),
                            took: Duration::from_nanos(300),
                        });
                    }
                });
            }
        });
        let counts: Vec<_> = counters.each().filter(|(.., count)| *count > 0).collect();
        assert_eq!(counts, [("maps", "deny", "token_missing", 2000), ("maps", "deny", "token_unknown", 1000)]);
        let (seconds, count, buckets) = counters.latency();
        assert_eq!(count, 3000);
        assert!((seconds - 900e-6).abs() < 1e-9, "{seconds}");
        assert_eq!(buckets[1], (500e-9, 3000));
    }
}
