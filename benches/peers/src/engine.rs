//! What every engine is asked, and how its time is taken.

use std::hint::black_box;
use std::time::Instant;

use crate::asked::{Asked, touch};

/// How many decisions are timed as one: so many that the clock costs nothing, so few that their text stays in the cache.
const CHUNK: usize = 256;

/// Anything that answers requests.
pub trait Engine {
    fn decide(&mut self, asked: &Asked<'_>) -> bool;

    /// The nanoseconds of all of these, and nothing but these.
    fn batch(&mut self, asked: &[Asked<'_>]) -> f64 {
        let mut nanoseconds = 0;
        for chunk in asked.chunks(CHUNK) {
            touch(chunk);
            let start = Instant::now();
            for asked in chunk {
                black_box(self.decide(black_box(asked)));
            }
            nanoseconds += start.elapsed().as_nanos();
        }
        nanoseconds as f64
    }

    /// The nanoseconds of each of these, clock included.
    fn singles(&mut self, asked: &[Asked<'_>], times: &mut Vec<u32>) {
        for chunk in asked.chunks(CHUNK) {
            touch(chunk);
            for asked in chunk {
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
