//! Value parsers for numeric options, with limits.

use std::fmt::Display;
use std::num::NonZero;
use std::time::Duration;

/// The limit of byte counts: more than any machine has. The sum of a few such counts does not overflow.
pub(super) const MAX_BYTES: usize = 1 << 40;

/// The limit of `--threads`.
const MAX_THREADS: usize = 1024;

/// Returns the error of an option: what was expected, and a value that is valid.
pub(super) fn expected(what: impl Display, instead: impl Display) -> String {
    format!("expected {what}\nhelp: write `{instead}`")
}

/// Parses a whole number from `MIN` to `MAX`.
pub(super) fn count<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (MIN..=MAX).contains(number));
    number.ok_or_else(|| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let instead = match text.parse::<usize>() {
            Ok(number) if is_number => number.clamp(MIN, MAX),
            Err(_) if is_number => MAX,
            _ => MIN,
        };
        expected(format_args!("a whole number from {MIN} to {MAX}"), instead)
    })
}

/// Parses a number of threads.
pub(super) fn threads(text: &str) -> Result<NonZero<usize>, String> {
    let number = count::<1, MAX_THREADS>(text)?;
    NonZero::new(number).ok_or_else(|| expected("at least 1", 1))
}

/// Parses a number of seconds, at most one day.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    const MIN: f64 = 0.001;
    const MAX: f64 = 86_400.0;
    let number: Option<f64> = text.parse().ok().filter(|number: &f64| !number.is_nan());
    match number {
        Some(seconds) if (MIN..=MAX).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(expected(
            format_args!("seconds from {MIN} to {MAX}, such as 5 or 0.5"),
            number.map_or(5.0, |seconds| seconds.clamp(MIN, MAX)),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{count, seconds};

    #[test]
    fn help_of_a_refused_number_is_a_valid_number() {
        let instead = |error: String| error.split('`').nth(1).unwrap().to_owned();
        for text in ["", "0", "-1", "1.5", "1e3", "5", "18446744073709551616", "many", "+7", "00"] {
            if let Err(error) = count::<6, 100>(text) {
                assert!(count::<6, 100>(&instead(error)).is_ok(), "{text}");
            }
        }
        assert_eq!(instead(count::<6, 100>("5").unwrap_err()), "6");
        assert_eq!(instead(count::<6, 100>("101").unwrap_err()), "100");
        for text in ["", "0", "-1", "NaN", "inf", "-inf", "1e-9", "86401", "5s"] {
            assert!(seconds(&instead(seconds(text).unwrap_err())).is_ok(), "{text}");
        }
    }
}
