//! Round-robin: each engine takes its turn on the same requests, so that what disturbs the machine disturbs all alike.

use std::time::Duration;

use crate::asked::Asked;
use crate::engine::{Engine, Nothing};
use crate::memory::Built;

/// An engine with what is known of it.
pub struct Contender<'e> {
    pub name: &'static str,
    pub engine: Box<dyn Engine + 'e>,
    pub built: Built,
    /// How many tokens and grants it holds.
    pub holds: (usize, usize),
}

/// What was measured, in nanoseconds a decision.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// The median over batches.
    pub median: f64,
    /// Of single calls, the clock's own median taken off: 50, 99, 99.9 %.
    pub single: [f64; 3],
    /// How many single calls.
    pub calls: usize,
}

/// How long to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// The most decisions in a turn.
    pub decisions: usize,
    /// An engine's turn lasts no longer than about this.
    pub turn: Duration,
}

/// Measures all of `contenders` on `asked`, and says what the clock itself costs.
pub fn measure(contenders: &mut [Contender<'_>], asked: &[Asked<'_>], effort: Effort) -> (Vec<Times>, f64) {
    let turns: Vec<usize> = contenders.iter_mut().map(|contender| turn(contender, asked, effort)).collect();
    let mut batches = vec![Vec::new(); contenders.len()];
    let mut singles = vec![Vec::new(); contenders.len()];
    let mut clock = Vec::new();
    for round in 0..effort.rounds {
        for step in 0..contenders.len() {
            // Nobody always comes after the same one.
            let at = (step + round) % contenders.len();
            let (contender, turn) = (&mut contenders[at], turns[at]);
            let places = asked.len() / turn;
            let part = |place: usize| &asked[place % places * turn..][..turn];
            // Other engines were here: a quarter of other requests, so that the popular tokens are back in the cache.
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

/// How many requests this engine answers in its turn.
fn turn(contender: &mut Contender<'_>, asked: &[Asked<'_>], effort: Effort) -> usize {
    let most = effort.decisions.min(asked.len() / 4);
    let few = &asked[..64.min(most)];
    let mut times = Vec::new();
    contender.engine.batches(few, &mut times);
    contender.engine.batches(few, &mut times);
    let each = times.last().copied().unwrap_or_default();
    let affordable = effort.turn.as_nanos() as f64 / each.max(1.0);
    (affordable as usize).clamp(64.min(most), most)
}

/// The time below which this share of `times` lies.
pub fn percentile(times: &mut [u32], share: f64) -> f64 {
    if times.is_empty() {
        return 0.0;
    }
    let at = ((times.len() as f64 * share) as usize).min(times.len() - 1);
    f64::from(*times.select_nth_unstable(at).1)
}

/// The median of several measurements of one thing, each of `asked` in order, in nanoseconds a decision.
pub fn median_of(rounds: usize, mut batch: impl FnMut() -> f64) -> f64 {
    let mut times: Vec<f64> = (0..rounds).map(|_| batch()).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
