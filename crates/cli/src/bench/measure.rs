//! The measurements themselves.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use portcullis::base::Timestamp;
use portcullis::decision::{Reason, Request, decide};
use portcullis::snapshot::Snapshot;

/// Decisions between two looks at the clock, where throughput is measured.
const BATCH: usize = 256;

/// Readings of the clock to learn its cost.
const READINGS: usize = 100_000;

/// The longest latency that is told apart from longer ones: a minute.
const LONGEST: u64 = 60_000_000_000;

/// What is measured: these requests, decided by this snapshot, for so long.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) requests: &'a [(Request<'a>, Timestamp)],
    pub(super) duration: Duration,
}

/// What was measured.
pub(super) struct Measured {
    /// Distinct requests.
    pub(super) requests: usize,
    pub(super) tokens: usize,
    /// The median of two readings of the clock, one after the other, in nanoseconds; taken off each latency.
    pub(super) timer: u64,
    pub(super) latency: Histogram<u64>,
    /// By outcome: `None` is an allow.
    pub(super) outcomes: BTreeMap<Option<Reason>, Histogram<u64>>,
    pub(super) throughput: Vec<Throughput>,
}

/// The throughput of so many threads together.
pub(super) struct Throughput {
    pub(super) threads: usize,
    pub(super) decisions: u64,
    pub(super) took: Duration,
}

impl Work<'_> {
    pub(super) fn measure(self, threads: usize) -> anyhow::Result<Measured> {
        self.warm_up();
        let timer = timer();
        let outcomes = self.latencies(timer)?;
        let mut latency = histogram()?;
        for outcome in outcomes.values() {
            latency.add(outcome)?;
        }
        let doubling = std::iter::successors(Some(1), |count| Some(count * 2)).take_while(|count| *count < threads);
        let throughput = doubling.chain([threads]).map(|threads| self.throughput(threads)).collect();
        let (requests, tokens) = (self.requests.len(), self.snapshot.token_count());
        Ok(Measured { requests, tokens, timer, latency, outcomes, throughput })
    }

    /// Once over all requests, so that first touches of memory are not measured.
    fn warm_up(self) {
        let end = Instant::now() + self.duration;
        for batch in self.requests.chunks(BATCH) {
            self.batch(batch);
            if Instant::now() > end {
                return;
            }
        }
    }

    fn batch(self, requests: &[(Request<'_>, Timestamp)]) {
        for (request, now) in requests {
            black_box(decide(self.snapshot, black_box(request), *now));
        }
    }

    fn latencies(self, timer: u64) -> anyhow::Result<BTreeMap<Option<Reason>, Histogram<u64>>> {
        let mut outcomes = BTreeMap::new();
        let end = Instant::now() + self.duration;
        for (request, now) in self.requests.iter().cycle() {
            let begun = Instant::now();
            let decision = black_box(decide(self.snapshot, black_box(request), *now));
            let ended = Instant::now();
            let took = u64::try_from((ended - begun).as_nanos()).unwrap_or(LONGEST).saturating_sub(timer);
            match outcomes.entry(decision.reason()) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => entry.insert(histogram()?),
            }
            .saturating_record(took.max(1));
            if ended > end {
                break;
            }
        }
        Ok(outcomes)
    }

    fn throughput(self, threads: usize) -> Throughput {
        let start = Barrier::new(threads);
        let decisions = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|at| {
                    scope.spawn({
                        let start = &start;
                        move || {
                            start.wait();
                            self.until_the_end(at, threads)
                        }
                    })
                })
                .collect();
            workers.into_iter().filter_map(|worker| worker.join().ok()).collect::<Vec<_>>()
        });
        let took = decisions.iter().map(|(_, took)| *took).max().unwrap_or_default();
        Throughput { threads, decisions: decisions.iter().map(|(count, _)| count).sum(), took }
    }

    /// Decides until the time is up. Each thread begins elsewhere, so that they do not share what the caches hold.
    fn until_the_end(self, at: usize, threads: usize) -> (u64, Duration) {
        let begun = Instant::now();
        let skipped = self.requests.len() * at / threads.max(1);
        let mut decided = 0;
        let batches = self.requests.chunks(BATCH);
        for batch in batches.cycle().skip(skipped / BATCH) {
            self.batch(batch);
            decided += batch.len() as u64;
            if begun.elapsed() >= self.duration {
                break;
            }
        }
        (decided, begun.elapsed())
    }
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST, 3)?)
}

/// What reading the clock costs, in nanoseconds.
fn timer() -> u64 {
    let mut readings: Vec<u64> = (0..READINGS)
        .map(|_| {
            let begun = Instant::now();
            u64::try_from(black_box(begun).elapsed().as_nanos()).unwrap_or(u64::MAX)
        })
        .collect();
    let (_, median, _) = readings.select_nth_unstable(READINGS / 2);
    *median
}
