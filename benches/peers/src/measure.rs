//! Measures all engines in turns on the same requests, so that a disturbance of the machine affects all of them.

use std::time::Duration;

use crate::engine::{Engine, Nothing};
use crate::memory::Built;
use crate::requests::ParsedRequest;

/// An engine, its name, and the cost of its build.
pub struct Contender<'e> {
    pub name: &'static str,
    pub engine: Box<dyn Engine + 'e>,
    pub built: Built,
    /// The numbers of its tokens and grants.
    pub holds: (usize, usize),
}

/// The measured times, in nanoseconds for each decision.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// The median of the batches.
    pub median: f64,
    /// The 50th, 99th and 99.9th percentile of single calls, minus the median cost of the clock.
    pub single: [f64; 3],
    /// The number of single calls.
    pub calls: usize,
}

/// The extent of the measurement.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// The maximum number of decisions in a turn.
    pub decisions: usize,
    /// The approximate maximum time of a turn.
    pub turn: Duration,
}

/// Measures all `contenders` on `asked`. Returns their times and the median cost of the clock.
pub fn measure(contenders: &mut [Contender<'_>], asked: &[ParsedRequest<'_>], effort: Effort) -> (Vec<Times>, f64) {
    let turns: Vec<usize> = contenders.iter_mut().map(|contender| turn(contender, asked, effort)).collect();
    let mut batches = vec![Vec::new(); contenders.len()];
    let mut singles = vec![Vec::new(); contenders.len()];
    let mut clock = Vec::new();
    for round in 0..effort.rounds {
        for step in 0..contenders.len() {
            // The order rotates, so that an engine does not always follow the same one.
            let at = (step + round) % contenders.len();
            let (contender, turn) = (&mut contenders[at], turns[at]);
            let parts = asked.len() / turn;
            let part = |index: usize| &asked[index % parts * turn..][..turn];
            // The other engines have filled the cache. A quarter turn of other requests loads the popular tokens again.
            contender.engine.batches(&part(round * 2 + 7)[..turn / 4], &mut Vec::new());
            contender.engine.batches(part(round * 2), &mut batches[at]);
            contender.engine.singles(part(round * 2 + 1), &mut singles[at]);
        }
        Nothing.singles(&asked[..effort.decisions.min(asked.len())], &mut clock);
    }
    let overhead = percentile(&mut clock, 0.5);
    let times = batches.into_iter().zip(singles).map(|(mut batches, mut singles)| {
        batches.sort_by(f64::total_cmp);
        let of = |share| (percentile(&mut singles, share) - overhead).max(0.0);
        Times { median: batches[batches.len() / 2], single: [0.5, 0.99, 0.999].map(of), calls: singles.len() }
    });
    (times.collect(), overhead)
}

/// Returns the number of requests that this engine decides in a turn.
fn turn(contender: &mut Contender<'_>, asked: &[ParsedRequest<'_>], effort: Effort) -> usize {
    let max = effort.decisions.min(asked.len() / 4);
    let few = &asked[..64.min(max)];
    let mut times = Vec::new();
    contender.engine.batches(few, &mut times);
    contender.engine.batches(few, &mut times);
    let each = times.last().copied().unwrap_or_default();
    let affordable = effort.turn.as_nanos() as f64 / each.max(1.0);
    (affordable as usize).clamp(64.min(max), max)
}

/// Returns the time below which this share of `times` is.
pub fn percentile(times: &mut [u32], share: f64) -> f64 {
    if times.is_empty() {
        return 0.0;
    }
    let at = ((times.len() as f64 * share) as usize).min(times.len() - 1);
    f64::from(*times.select_nth_unstable(at).1)
}

/// Returns the median of `rounds` results of `batch`.
pub fn median_of(rounds: usize, mut batch: impl FnMut() -> f64) -> f64 {
    let mut times: Vec<f64> = (0..rounds).map(|_| batch()).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
