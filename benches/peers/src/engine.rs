//! The interface of all engines, and the measurement of their times.

use std::hint::black_box;
use std::time::Instant;

use crate::requests::{ParsedRequest, touch};

/// The number of decisions that are timed together. It is large, so that the clock costs little. It is small enough
/// that the text of the requests stays in the cache, and that other load of the host seldom interrupts a batch.
const BATCH: usize = 256;

/// An engine that decides requests.
pub trait Engine {
    fn decide(&mut self, asked: &ParsedRequest<'_>) -> bool;

    /// Measures the mean nanoseconds for each decision, once for each batch of requests.
    fn batches(&mut self, asked: &[ParsedRequest<'_>], times: &mut Vec<f64>) {
        for batch in asked.chunks(BATCH) {
            touch(batch);
            let start = Instant::now();
            for asked in batch {
                black_box(self.decide(black_box(asked)));
            }
            times.push(start.elapsed().as_nanos() as f64 / batch.len() as f64);
        }
    }

    /// Measures the nanoseconds of each decision, including the clock.
    fn singles(&mut self, asked: &[ParsedRequest<'_>], times: &mut Vec<u32>) {
        for batch in asked.chunks(BATCH) {
            touch(batch);
            for asked in batch {
                let start = Instant::now();
                black_box(self.decide(black_box(asked)));
                times.push(u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX));
            }
        }
    }
}

/// An engine that does nothing, for measuring the cost of the clock.
pub struct Nothing;

impl Engine for Nothing {
    fn decide(&mut self, _: &ParsedRequest<'_>) -> bool {
        false
    }
}
