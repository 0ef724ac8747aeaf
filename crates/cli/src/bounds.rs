//! Value parsers for numeric options, with limits.

use std::ffi::OsString;
use std::fmt::Display;
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Command;
use portcullis::base::{InstantError, Timestamp, is_unsafe};
use portcullis_secret::contains_secret;

use super::quantity::{BYTES, COUNTS, DAYS, SECONDS, Units, meant};

/// The limit of byte counts: more than any machine has. The sum of a few such counts does not overflow.
pub(super) const MAX_BYTES: usize = 1 << 40;

/// The limit of counts of results: more than any output has.
pub(super) const MAX_COUNT: usize = 1_000_000_000;

/// The limit of `--threads`.
const MAX_THREADS: usize = 1024;

/// Lets every option of `command` and of its subcommands read a negative number, so that the parser of its value refuses it.
pub(super) fn with_rule(command: Command) -> Command {
    command.mut_subcommands(with_rule).mut_args(|arg| {
        let is_option = arg.get_long().is_some() && arg.get_action().takes_values();
        arg.allow_negative_numbers(is_option)
    })
}

/// Joins an option and a negative value with a unit, such as `--overlap -1d`, so that the parser of its value refuses it.
/// Numbers without a unit need no equals sign.
pub(super) fn joined(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let is_negative = |arg: &OsString| {
        let text = arg.to_str().filter(|text| text.parse::<f64>().is_err());
        text.and_then(|text| text.strip_prefix('-')).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let is_option =
        |arg: &OsString| arg.to_str().is_some_and(|arg| arg.len() > 2 && arg.starts_with("--") && !arg.contains('='));
    let (mut joined, mut has_ended): (Vec<OsString>, bool) = (Vec::new(), false);
    for arg in args {
        has_ended |= arg == "--";
        match joined.last_mut().filter(|before| !has_ended && is_negative(&arg) && is_option(before)) {
            Some(option) => {
                option.push("=");
                option.push(arg);
            }
            None => joined.push(arg),
        }
    }
    joined
}

/// Returns the error of an option: what was expected, and a value that is valid.
pub(super) fn expected(what: impl Display, instead: impl Display) -> String {
    format!("expected {what}\nhelp: write `{instead}`")
}

/// Parses a whole number from `MIN` to `MAX`.
pub(super) fn count<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    whole(text, MIN..=MAX, format_args!("a whole number from {MIN} to {MAX}"), COUNTS, MIN)
}

/// Parses a number of bytes from `MIN` to `MAX`.
pub(super) fn byte_count<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    /// The proposal instead of a text without a meaning.
    const EXAMPLE: usize = 1 << 20;
    whole(text, MIN..=MAX, format_args!("a number of bytes from {MIN} to {MAX}"), BYTES, EXAMPLE)
}

/// Parses a number of days from `MIN` to `MAX`.
pub(super) fn day_count<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    const EXAMPLE: usize = 30;
    whole(text, MIN..=MAX, format_args!("a whole number of days from {MIN} to {MAX}"), DAYS, EXAMPLE)
}

/// Parses a whole number of seconds from `MIN` to `MAX`.
pub(super) fn whole_seconds<const MIN: usize, const MAX: usize>(text: &str) -> Result<usize, String> {
    whole(text, MIN..=MAX, format_args!("a whole number of seconds from {MIN} to {MAX}"), SECONDS, MIN)
}

/// Parses a whole number in `range`. The error has the number that `text` means in `units`, or `example`.
fn whole(
    text: &str,
    range: RangeInclusive<usize>,
    what: impl Display,
    units: Units,
    example: usize,
) -> Result<usize, String> {
    // Digits alone: other programs that read a script must not read another number.
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_number && range.contains(number));
    number.ok_or_else(|| {
        // A number that is beyond `usize` is beyond the limit.
        let meant = meant(text, units)
            .filter(|number| *number > 0.0 || *range.start() == 0)
            .map(|number| format!("{:.0}", number.ceil()).parse().unwrap_or(usize::MAX));
        expected(what, meant.unwrap_or(example).clamp(*range.start(), *range.end()))
    })
}

/// Parses a value of a list with commas.
pub(super) fn item(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("expected a value, found none\nhelp: leave out the comma without a value, or the option".to_owned());
    }
    let is_separator = |character: char| matches!(character, ';' | '|') || character.is_whitespace();
    // The fix repeats the text.
    let is_shown = !text.chars().any(is_unsafe) && !contains_secret(text);
    if is_shown && text.trim().contains(is_separator) && !text.contains("://") {
        let items: Vec<&str> = text.split(is_separator).filter(|item| !item.is_empty()).collect();
        return Err(expected("values with commas between them", items.join(",")));
    }
    Ok(text.to_owned())
}

/// Parses an instant or a date.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    const EXAMPLE: &str = "2026-11-22";
    text.parse().map_err(|error: InstantError| {
        // Seconds since 1970 have ten digits.
        let seconds = text.trim().parse().ok().filter(|_| text.trim().len() == 10);
        let meant = seconds.map(|seconds| Timestamp::from_unix(seconds, 0).to_string());
        let trimmed = text.trim().replacen(' ', "T", 1);
        let meant = meant.or_else(|| trimmed.parse::<Timestamp>().is_ok().then_some(trimmed));
        format!("{error}\nhelp: write `{}`", meant.as_deref().unwrap_or(EXAMPLE))
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
            number.or_else(|| meant(text, SECONDS)).map_or(5.0, |seconds| seconds.clamp(MIN, MAX)),
        )),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::any::TypeId;

    use clap::error::ErrorKind;
    use clap::{Arg, Command};

    use super::{MAX_BYTES, byte_count, count, day_count, instant, item, seconds, whole_seconds};
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

    pub(crate) fn is_number(arg: &Arg) -> bool {
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
        for text in ["", "0", "-1", "NaN", "inf", "-inf", "1e-9", "86401", "5s", "3d"] {
            assert!(seconds(&instead(seconds(text).unwrap_err())).is_ok(), "{text}");
        }
    }

    #[test]
    fn help_of_a_number_with_a_unit_is_the_number_that_it_is() {
        let instead = |error: String| error.split('`').nth(1).unwrap().to_owned();
        for (text, number) in [("10k", "10000"), ("1_000", "1000"), ("0x10", "16"), ("1.2", "2"), ("9e99", "1000000")] {
            assert_eq!(instead(count::<1, 1_000_000>(text).unwrap_err()), number, "{text}");
        }
        for (text, number) in [("1MB", "1000000"), ("1 MiB", "1048576"), ("10k", "10000"), ("9TB", "1099511627776")] {
            assert_eq!(instead(byte_count::<1, MAX_BYTES>(text).unwrap_err()), number, "{text}");
        }
        for (text, number) in [("30d", "30"), ("2w", "14"), ("1y", "365"), ("12h", "1"), ("300y", "36500")] {
            assert_eq!(instead(day_count::<0, 36_500>(text).unwrap_err()), number, "{text}");
        }
        for (text, number) in [("5m", "300"), ("1h30", "5400"), ("2d", "86400"), ("1s", "60")] {
            assert_eq!(instead(whole_seconds::<60, 86_400>(text).unwrap_err()), number, "{text}");
        }
        for (text, number) in [("5m", "300"), ("1h30", "5400"), ("500ms", "0.5"), ("0,5", "0.5"), ("2d", "86400")] {
            assert_eq!(instead(seconds(text).unwrap_err()), number, "{text}");
        }
    }

    #[test]
    fn a_list_without_commas_and_a_wrong_instant_have_a_valid_fix() {
        let instead = |error: String| error.split("\nhelp: write `").nth(1).unwrap().trim_end_matches('`').to_owned();
        for (text, fix) in [
            ("lds maps", "lds,maps"),
            ("lds; maps", "lds,maps"),
            ("read:tokens write:tokens", "read:tokens,write:tokens"),
        ] {
            assert_eq!(instead(item(text).unwrap_err()), fix);
        }
        for text in ["lds", " lds", "https://a.example/x y"] {
            assert_eq!(item(text).as_deref(), Ok(text));
        }
        for (text, fix) in [
            ("", "2026-11-22"),
            ("tomorrow", "2026-11-22"),
            ("1764547200", "2025-12-01T00:00:00Z"),
            ("2026-11-22 12:00:00Z", "2026-11-22T12:00:00Z"),
            (" 2026-11-23", "2026-11-23"),
        ] {
            assert_eq!(instead(instant(text).unwrap_err()), fix, "{text}");
            assert!(instant(fix).is_ok(), "{fix}");
        }
    }

    #[test]
    fn a_negative_number_is_the_value_of_an_option() {
        each(&crate::command(), &mut |_: &Command, words: &[String], arg: &Arg| {
            let Some((option, line)) = words.split_last().filter(|_| is_number(arg) && arg.get_long().is_some()) else {
                return;
            };
            let option = option.trim_end_matches("={}");
            let line = line.iter().map(String::as_str).chain([option, "-1"]);
            // The registry refuses negative spans itself.
            let kind = crate::command().try_get_matches_from(line).err().map(|error| error.kind());
            assert_ne!(kind, Some(ErrorKind::UnknownArgument), "{words:?}");
        });
    }

    #[test]
    fn negative_quantities_are_values_and_not_options() {
        let args = |line: &str| line.split(' ').map(Into::into).collect::<Vec<std::ffi::OsString>>();
        for (line, joined) in [
            ("p --overlap -1d", "p --overlap=-1d"),
            ("p --overlap -1d --all-users", "p --overlap=-1d --all-users"),
            ("p --drain -5s", "p --drain=-5s"),
            ("p --last -1", "p --last -1"),
            ("p --wide-share -0.5", "p --wide-share -0.5"),
            ("p --overlap=1d -1d", "p --overlap=1d -1d"),
            ("p --quiet -q", "p --quiet -q"),
            ("p -1d", "p -1d"),
            ("p -- --overlap -1d", "p -- --overlap -1d"),
            ("p -- -1d", "p -- -1d"),
        ] {
            assert_eq!(super::joined(args(line)), args(joined), "{line}");
        }
        // Every option of a duration or a quantity reads such a value, and its own parser or a later check refuses it.
        let mut options = 0;
        each(&crate::command(), &mut |_: &Command, words: &[String], arg: &Arg| {
            let name = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
            if !NUMBERS.contains(&name) && name != "WHEN" {
                return;
            }
            options += 1;
            let line = words.iter().flat_map(|word| word.split('=')).map(|word| word.replace("{}", "-1d").into());
            let parsed = crate::command().try_get_matches_from(super::joined(line));
            let Err(error) = parsed else { return };
            let kind = error.kind();
            assert_ne!(kind, ErrorKind::UnknownArgument, "{words:?}: {error}");
            if kind == ErrorKind::ValueValidation {
                assert!(error.to_string().contains("\nhelp: "), "{words:?}: {error}");
            }
        });
        assert!(options > 20, "{options}");
    }
}
