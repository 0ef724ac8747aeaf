//! Value parsers for numeric options, with limits.

use std::fmt::Display;
use std::num::NonZero;
use std::time::Duration;

/// The limit of byte counts: more than any machine has. The sum of a few such counts does not overflow.
pub(super) const MAX_BYTES: usize = 1 << 40;

/// The limit of counts of results: more than any output has.
pub(super) const MAX_COUNT: usize = 1_000_000_000;

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
    use std::any::TypeId;

    use clap::error::ErrorKind;
    use clap::{Arg, Command};

    use super::{count, seconds};
    use crate::arguments::each;

    /// The value names of numbers.
    const NUMBERS: [&str; 8] = ["BYTES", "COUNT", "DAYS", "MODE", "N", "SECONDS", "SHARE", "SPAN"];

    /// The options of which 0 means something, each with its meaning.
    const ZERO: [(&str, &str); 10] = [
        ("automaton-bytes", "build no automaton"),
        ("exact", "grant only patterns of names"),
        ("expires-within", "report no token that expires soon"),
        ("keep-expired", "delete tokens when they expire"),
        ("log-sample-allows", "log no allowed request"),
        ("max-depth", "open no archive, and report each one as unread"),
        ("max-expanded", "expand nothing, and report each archive as unread"),
        ("schemas", "grant only patterns of schemas"),
        ("shadow-examples", "count changes without keeping a request"),
        ("wide-share", "report every pattern"),
    ];

    fn is_number(arg: &Arg) -> bool {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().any(|name| NUMBERS.contains(&name.as_str()))
    }

    #[test]
    fn every_number_refuses_other_values_in_our_words_with_a_valid_value() {
        let mut numbers = 0;
        each(&crate::command(), &mut |command: &Command, words: &[String], arg: &Arg| {
            // The registry reads spans itself.
            let is_text = arg.get_value_parser().type_id() == TypeId::of::<String>();
            if !is_number(arg) || is_text {
                return;
            }
            numbers += 1;
            let name = format!("{} {}", command.get_name(), arg.get_id());
            let parse = |value: &str| {
                let line = words.iter().map(|word| word.replace("{}", value));
                let error = crate::command().try_get_matches_from(line).err()?;
                (error.kind() == ErrorKind::ValueValidation).then(|| error.to_string())
            };
            let zero = ZERO.iter().any(|(long, _)| arg.get_long() == Some(long));
            for value in
                ["x", "1x", "-1", "1e99", "0x10", "99999999999999999999999", "NaN", "٣", "0", "0d", "1,000", "1_000"]
            {
                let Some(error) = parse(value) else {
                    let number = value.trim_end_matches('d');
                    assert!(number == "0" && zero, "{name}: {value} is accepted");
                    continue;
                };
                assert!(error.contains("': expected "), "{name}: {error}");
                let fix = error.split("\nhelp: write `").nth(1).and_then(|fix| fix.split('`').next()).expect(&error);
                assert_eq!(parse(fix), None, "{name}: the fix of {value}");
            }
        });
        assert!(numbers > 50, "only {numbers} numbers");
    }

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
