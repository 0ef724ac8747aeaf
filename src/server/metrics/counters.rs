//! What requests count: plain atomics, found without a lock and without allocating.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::decision::{Decision, Reason};
use crate::server::decided::Decided;

/// The built-in APIs: their counters are there from the start.
const BUILT_IN: [&str; 4] = ["maps", "sql", "imports", "lds"];

/// How many APIs are told apart; a policy has at most 64 (N8.5), but policies come and go.
const APIS: usize = 128;

/// What stands for every API that no policy declares, and for those beyond [`APIS`].
const OTHER: &str = "other";

/// What stands for the API of what was not understood.
const NONE: &str = "none";

/// The upper ends of the latency's buckets, in nanoseconds: a decision takes some hundred.
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

/// Decisions by API, outcome and reason.
#[derive(Debug)]
pub(super) struct Decisions {
    apis: Box<[OnceLock<Api>]>,
    other: Outcomes,
    none: Outcomes,
}

#[derive(Debug)]
struct Api {
    name: Box<str>,
    outcomes: Outcomes,
}

/// Decisions by outcome and reason.
#[derive(Debug)]
pub(super) struct Outcomes {
    allowed: AtomicU64,
    denied: [AtomicU64; Reason::ALL.len()],
}

/// How long decisions took.
#[derive(Debug)]
pub(super) struct Latency {
    /// Each bucket alone; the last is for what is longer than every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Decisions {
    pub(super) fn new() -> Self {
        let apis: Box<[_]> = std::iter::repeat_with(OnceLock::new).take(APIS).collect();
        for (slot, name) in apis.iter().zip(BUILT_IN) {
            let _ = slot.set(Api::new(name));
        }
        Self { apis, other: Outcomes::new(), none: Outcomes::new() }
    }

    pub(super) fn record(&self, decided: &Decided<'_>) {
        let outcomes = match decided.request {
            None => &self.none,
            Some(request) => self.of(request.api, decided.decision),
        };
        let counter = match decided.decision {
            Decision::Allow(_) => Some(&outcomes.allowed),
            Decision::Deny(reason) => outcomes.denied.get(*reason as usize),
        };
        if let Some(counter) = counter {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn of(&self, api: &str, decision: &Decision<'_>) -> &Outcomes {
        let known = self.apis.iter().map_while(OnceLock::get).find(|known| *known.name == *api);
        if let Some(known) = known {
            return &known.outcomes;
        }
        // A client may call an API anything. That a token lists it says that a policy declares it: then it is remembered.
        if !decision.is_allow() {
            return &self.other;
        }
        let mut remembered = self.apis.iter().map(|slot| slot.get_or_init(|| Api::new(api)));
        remembered.find(|known| *known.name == *api).map_or(&self.other, |known| &known.outcomes)
    }

    /// Every counter: API, outcome, reason, count.
    pub(super) fn each(&self) -> impl Iterator<Item = (&str, &'static str, &'static str, u64)> {
        let known = self.apis.iter().map_while(OnceLock::get).map(|api| (&*api.name, &api.outcomes));
        known.chain([(OTHER, &self.other), (NONE, &self.none)]).flat_map(|(api, outcomes)| {
            let allowed = std::iter::once(("allow", "", &outcomes.allowed));
            let denied = Reason::ALL.iter().zip(&outcomes.denied).map(|(reason, count)| ("deny", reason.code(), count));
            allowed
                .chain(denied)
                .map(move |(outcome, reason, count)| (api, outcome, reason, count.load(Ordering::Relaxed)))
        })
    }
}

impl Api {
    fn new(name: &str) -> Self {
        Self { name: name.into(), outcomes: Outcomes::new() }
    }
}

impl Outcomes {
    const fn new() -> Self {
        Self { allowed: AtomicU64::new(0), denied: [const { AtomicU64::new(0) }; Reason::ALL.len()] }
    }
}

impl Latency {
    pub(super) const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BOUNDS.len() + 1], nanoseconds: AtomicU64::new(0) }
    }

    pub(super) fn record(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let at = BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.nanoseconds.fetch_add(took, Ordering::Relaxed);
    }

    /// The sum in seconds, the count, and each bucket's upper end in seconds with its own count.
    pub(super) fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let ends = BOUNDS.iter().map(|bound| Duration::from_nanos(*bound).as_secs_f64()).chain([f64::INFINITY]);
        let buckets: Vec<_> = ends.zip(self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        (Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)).as_secs_f64(), count, buckets)
    }
}
