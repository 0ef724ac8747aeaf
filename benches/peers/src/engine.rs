//! What every engine is asked, and how its time is taken.

use std::hint::black_box;
use std::time::Instant;

use crate::asked::{Asked, touch};

/// How many decisions are timed as one: so many that the clock costs nothing, so few that their text stays in the cache
/// and that a neighbour of the machine seldom comes between.
const BATCH: usize = 256;

/// Anything that answers requests.
pub trait Engine {
    fn decide(&mut self, asked: &Asked<'_>) -> bool;

    /// The nanoseconds a decision of each batch of these.
    fn batches(&mut self, asked: &[Asked<'_>], times: &mut Vec<f64>) {
        for batch in asked.chunks(BATCH) {
            touch(batch);
            let start = Instant::now();
            for asked in batch {
                black_box(self.decide(black_box(asked)));
            }
            times.push(start.elapsed().as_nanos() as f64 / batch.len() as f64);
        }
    }

    /// The nanoseconds of each of these, clock included.
    fn singles(&mut self, asked: &[Asked<'_>], times: &mut Vec<u32>) {
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

/// The clock's own cost: an engine that does nothing.
pub struct Nothing;

impl Engine for Nothing {
    fn decide(&mut self, _: &Asked<'_>) -> bool {
        false
    }
}
