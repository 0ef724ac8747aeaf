//! Value parsers for numeric options, with limits.

use std::num::NonZero;
use std::time::Duration;

/// The limit of byte counts: more than any machine has. The sum of a few such counts does not overflow.
pub(super) const MAX_BYTES: usize = 1 << 40;

/// The limit of `--threads`.
const MAX_THREADS: usize = 1024;

/// Parses a whole number from `MIN` to `MAX`.
pub(super) fn count<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number));
    number.ok_or_else(|| format!("expected a whole number from {MIN} to {MAX}"))
}

/// Parses a number of threads.
pub(super) fn threads(text: &str) -> Result<NonZero<usize>, String> {
    let number = count::<1, MAX_THREADS>(text)?;
    NonZero::new(number).ok_or_else(|| "expected at least 1".to_owned())
}

/// Parses a number of seconds, at most one day.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok().filter(|seconds| (0.001..=86_400.0).contains(seconds));
    let seconds = seconds.ok_or("expected seconds from 0.001 to 86400, such as 5 or 0.5")?;
    Ok(Duration::from_secs_f64(seconds))
}
