//! Measures readers of an `Authorizer` while a writer swaps its snapshot without a pause.
//!
//! The writer has two snapshots and swaps them as fast as possible. It reuses a snapshot after the last reader has
//! released it. If threads share cores, as two readers and a writer do on two cores, the decisions are also counted for
//! each second of processor time of a reader.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use portcullis::authorizer::Authorizer;
use portcullis::base::Timestamp;
use portcullis::snapshot::{Options, Snapshot};
use portcullis_document::load;

use crate::gate::known;
use crate::measure::percentile;
use crate::requests::{ParsedRequest, Requests};
use crate::workload;

/// The results for a number of readers, with or without a writer.
pub struct Swaps {
    pub readers: usize,
    pub writing: bool,
    pub decisions: f64,
    /// Decisions for each second of processor time of a reader.
    pub of_processor: f64,
    pub swaps: f64,
    pub single: [f64; 3],
}

pub fn measure(tokens: usize, time: Duration, clock: f64) -> Vec<Swaps> {
    let workload = workload::workload(tokens, 1 << 14, 1);
    let requests = Requests::new(&workload.requests);
    let asked = requests.list();
    let policy = load::policy(workload.document).expect("the workload is a policy");
    let compile = || Snapshot::compile(&policy, &Options::default()).expect("it compiles");
    let settings = [(1, false), (2, false), (1, true), (2, true)];
    settings.map(|(readers, writing)| run(readers, writing, &asked, [compile(), compile()], time, clock)).into()
}

fn run(
    readers: usize,
    writing: bool,
    asked: &[ParsedRequest<'_>],
    [first, second]: [Snapshot; 2],
    time: Duration,
    clock: f64,
) -> Swaps {
    let authorizer = Authorizer::new(first);
    let (stop, decided, swapped) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; 2], AtomicUsize::new(0));
    let start = Instant::now();
    let mut times: Vec<u32> = std::thread::scope(|scope| {
        let reading: Vec<_> =
            (0..readers).map(|reader| scope.spawn(reader_of(&authorizer, asked, reader, &stop, &decided))).collect();
        if writing {
            scope.spawn(|| write(&authorizer, second, &stop, &swapped));
        }
        std::thread::sleep(time);
        stop.store(true, Relaxed);
        reading.into_iter().flat_map(|thread| thread.join().expect("a reader does not panic")).collect()
    });
    let seconds = start.elapsed().as_secs_f64();
    let single = [0.5, 0.99, 0.999].map(|share| (percentile(&mut times, share) - clock).max(0.0));
    let a_second = |counter: &AtomicUsize| counter.load(Relaxed) as f64 / seconds;
    let [decided, had] = decided;
    let of_processor = decided.load(Relaxed) as f64 * 1e9 / had.load(Relaxed).max(1) as f64;
    Swaps { readers, writing, decisions: a_second(&decided), of_processor, swaps: a_second(&swapped), single }
}

fn reader_of<'t>(
    authorizer: &'t Authorizer,
    asked: &'t [ParsedRequest<'t>],
    reader: usize,
    stop: &'t AtomicBool,
    [decided, had]: &'t [AtomicUsize; 2],
) -> impl FnOnce() -> Vec<u32> + Send + 't {
    let now: Timestamp = workload::NOW.parse().expect("an instant");
    move || {
        let mut times = Vec::new();
        let mut own = 0;
        for asked in asked.iter().cycle().skip(reader * 1000) {
            if own % 256 == 0 && stop.load(Relaxed) {
                break;
            }
            own += 1;
            // Times one decision in 64: the clock costs more than a decision.
            let start = (own % 64 == 0).then(Instant::now);
            black_box(authorizer.current().decide(&known(asked), now).is_allow());
            if let Some(start) = start {
                times.push(u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX));
            }
        }
        decided.fetch_add(own, Relaxed);
        had.fetch_add(processor_time(), Relaxed);
        times
    }
}

/// Returns the processor time of this thread, in nanoseconds.
fn processor_time() -> usize {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    statistics.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or_default()
}

fn write(authorizer: &Authorizer, mut next: Snapshot, stop: &AtomicBool, swapped: &AtomicUsize) {
    while !stop.load(Relaxed) {
        let mut previous = authorizer.swap(next).previous.expect("there was one");
        swapped.fetch_add(1, Relaxed);
        next = loop {
            match Arc::try_unwrap(previous) {
                Ok(snapshot) => break snapshot,
                Err(held) => previous = held,
            }
            if stop.load(Relaxed) {
                return;
            }
            std::thread::yield_now();
        };
    }
}
