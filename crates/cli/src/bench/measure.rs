//! The measurements themselves.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use portcullis::base::Timestamp;
use portcullis::decision::{Reason, Request, decide};
use portcullis::snapshot::Snapshot;

/// The number of decisions between two readings of the clock, for throughput.
const BATCH: usize = 256;

/// The number of readings that determine the cost of the clock.
const READINGS: usize = 100_000;

/// The limit of recorded latencies, in nanoseconds: one minute. Longer ones count as this.
const MAX_LATENCY: u64 = 60_000_000_000;

/// One benchmark: requests, the snapshot that decides them, and the time of each measurement.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) requests: &'a [(Request<'a>, Timestamp)],
    pub(super) duration: Duration,
}

/// The results of a benchmark.
pub(super) struct Measured {
    /// The number of distinct requests.
    pub(super) requests: usize,
    pub(super) tokens: usize,
    /// The median time between two successive readings of the clock, in nanoseconds. It is subtracted from each latency.
    pub(super) timer: u64,
    pub(super) latency: Histogram<u64>,
    /// The latency of each outcome; `None` is an allow.
    pub(super) outcomes: BTreeMap<Option<Reason>, Histogram<u64>>,
    pub(super) throughput: Vec<Throughput>,
}

/// The total throughput of several threads.
pub(super) struct Throughput {
    pub(super) threads: usize,
    pub(super) decisions: u64,
    pub(super) elapsed: Duration,
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

    /// Decides all requests once, so that first accesses to memory are not measured.
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
            let start = Instant::now();
            let decision = black_box(decide(self.snapshot, black_box(request), *now));
            let ended = Instant::now();
            let took = u64::try_from((ended - start).as_nanos()).unwrap_or(MAX_LATENCY).saturating_sub(timer);
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
        let barrier = Barrier::new(threads);
        let decisions = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|thread| {
                    scope.spawn({
                        let barrier = &barrier;
                        move || {
                            barrier.wait();
                            self.run_thread(thread, threads)
                        }
                    })
                })
                .collect();
            workers.into_iter().filter_map(|worker| worker.join().ok()).collect::<Vec<_>>()
        });
        let elapsed = decisions.iter().map(|(_, elapsed)| *elapsed).max().unwrap_or_default();
        Throughput { threads, decisions: decisions.iter().map(|(count, _)| count).sum(), elapsed }
    }

    /// Decides until the time is up. Each thread starts at another request, so that threads do not share cached data.
    fn run_thread(self, thread: usize, threads: usize) -> (u64, Duration) {
        let start = Instant::now();
        let skipped = self.requests.len() * thread / threads.max(1);
        let mut decided = 0;
        let batches = self.requests.chunks(BATCH);
        for batch in batches.cycle().skip(skipped / BATCH) {
            self.batch(batch);
            decided += batch.len() as u64;
            if start.elapsed() >= self.duration {
                break;
            }
        }
        (decided, start.elapsed())
    }
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, MAX_LATENCY, 3)?)
}

/// The cost of reading the clock, in nanoseconds.
fn timer() -> u64 {
    let mut readings: Vec<u64> = (0..READINGS)
        .map(|_| {
            let start = Instant::now();
            u64::try_from(black_box(start).elapsed().as_nanos()).unwrap_or(u64::MAX)
        })
        .collect();
    let (_, median, _) = readings.select_nth_unstable(READINGS / 2);
    *median
}
