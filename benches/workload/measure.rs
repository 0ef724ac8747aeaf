//! Times of calls that take turns: right on a busy machine, too, as long as most batches are not interrupted.

use std::hint::black_box;
use std::time::Instant;

/// The calls of one batch.
pub const BATCH: usize = 128;

/// Returns the median nanoseconds of a call of each engine. The engines take turns of one batch each.
pub fn medians<const N: usize>(requests: usize, engines: &[&dyn Fn(usize) -> bool; N]) -> [f64; N] {
    let mut batches: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..if requests > BATCH { 24 } else { 1 } {
        for start in (0..requests).step_by(BATCH) {
            for (engine, batches) in engines.iter().zip(&mut batches) {
                let begun = Instant::now();
                for at in start..start + BATCH {
                    black_box(engine(black_box(at)));
                }
                batches.push(begun.elapsed().as_nanos() as f64 / BATCH as f64);
            }
        }
    }
    batches.map(|mut batches| quantile(&mut batches, 0.5))
}

/// Returns the nanoseconds of single calls, without the cost of the clock. Each engine reads and writes `others` before
/// each call, so that the caches contain other data, as in a server that has received a request.
pub fn single<const N: usize>(
    requests: usize,
    others: &mut [[u64; 8]],
    engines: &[&dyn Fn(usize) -> bool; N],
) -> [Vec<f64>; N] {
    let mut times: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(requests));
    let mut clock = Vec::with_capacity(requests);
    for at in 0..requests {
        for (engine, times) in engines.iter().zip(&mut times) {
            for line in black_box(&mut *others) {
                line[0] += 1;
            }
            let begun = Instant::now();
            let idle = begun.elapsed();
            let begun = Instant::now();
            black_box(engine(black_box(at)));
            times.push(begun.elapsed().as_nanos() as f64);
            clock.push(idle.as_nanos() as f64);
        }
    }
    let clock = quantile(&mut clock, 0.5);
    for time in times.iter_mut().flatten() {
        *time = (*time - clock).max(1.0);
    }
    times
}

/// Returns the smallest time that is not below `share` of the times.
pub fn quantile(times: &mut [f64], share: f64) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * share) as usize]
}
