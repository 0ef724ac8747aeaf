//! The span or instant that a text means which is neither, such as `30 days`, `300` or `12h`: the fix in an error.

use portcullis::base::Timestamp;
use portcullis::model::Expiry;

/// The span or duration that a text means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Meant {
    /// A span of the calendar, such as `30d`.
    Span(String),
    /// A duration that no span has, in seconds.
    Seconds(i64),
    /// No expiry.
    Never,
}

/// Returns the span, the instant or `never` that `text` means as an expiry; `None` if it means none.
pub(super) fn expiry_meant(text: &str, now: Timestamp) -> Option<String> {
    let fix = match meant(text)? {
        Meant::Span(span) => span,
        // The fraction of a second is dropped.
        Meant::Seconds(seconds) => Timestamp::from_unix(now.seconds().checked_add(seconds)?, 0).to_string(),
        Meant::Never => return Some("never".to_owned()),
    };
    Expiry::at_creation(&fix, now).is_ok().then_some(fix)
}

/// Returns the span that `text` means; `None` if it means none. A part of a day counts as a day.
pub(super) fn span_meant(text: &str, now: Timestamp) -> Option<String> {
    const DAY: i64 = 86_400;
    let fix = match meant(text)? {
        Meant::Span(span) => span,
        Meant::Seconds(seconds) => format!("{}d", seconds.checked_add(DAY - 1)? / DAY),
        Meant::Never => return None,
    };
    Expiry::at_creation(&fix, now).is_ok().then_some(fix)
}

fn meant(text: &str) -> Option<Meant> {
    const NEVER: [&str; 9] = ["never", "none", "no", "null", "forever", "infinite", "infinity", "unlimited", "always"];
    let text = text.trim().to_lowercase();
    if NEVER.contains(&&*text) {
        return Some(Meant::Never);
    }
    let text = text.trim_start_matches('+');
    // ISO 8601: `P30D`, `PT12H`.
    let text = text.strip_prefix('p').map_or(text, |rest| rest.trim_start_matches('t'));
    let (count, word, rest) = next(text)?;
    let unit = match word {
        "" | "d" | "day" | "days" => 'd',
        "w" | "week" | "weeks" => 'w',
        "m" | "mo" | "mon" | "month" | "months" => 'm',
        "y" | "yr" | "yrs" | "year" | "years" => 'y',
        _ => return seconds(text).map(Meant::Seconds),
    };
    (rest.is_empty() && count > 0).then(|| Meant::Span(format!("{count}{unit}")))
}

/// Returns the seconds that `text` means, such as `1h30` or `90 min`.
fn seconds(text: &str) -> Option<i64> {
    let (mut total, mut smaller, mut rest) = (0_i64, None, text);
    while !rest.is_empty() {
        let (count, word, after) = next(rest)?;
        let size: i64 = match word {
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
            "min" | "mins" | "minute" | "minutes" => 60,
            "m" if smaller.is_some() => 60,
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "" => smaller?,
            _ => return None,
        };
        total = total.checked_add(count.checked_mul(size)?)?;
        (smaller, rest) = (Some(size / 60), after);
    }
    (total > 0).then_some(total)
}

/// Splits off a number and the word after it.
fn next(text: &str) -> Option<(i64, &str, &str)> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (count, rest) = text.split_at_checked(digits)?;
    let rest = rest.trim_start();
    let letters = rest.find(|character: char| !character.is_alphabetic()).unwrap_or(rest.len());
    let (word, rest) = rest.split_at_checked(letters)?;
    Some((count.parse().ok()?, word, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::{expiry_meant, span_meant};
    use portcullis::base::Timestamp;
    use portcullis::model::Expiry;

    #[test]
    fn durations_of_other_programs_have_a_valid_fix() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        for (text, expiry, span) in [
            ("30 days", Some("30d"), Some("30d")),
            ("30D", Some("30d"), Some("30d")),
            ("+7d", Some("7d"), Some("7d")),
            ("300", Some("300d"), Some("300d")),
            ("2weeks", Some("2w"), Some("2w")),
            ("3 months", Some("3m"), Some("3m")),
            ("1yr", Some("1y"), Some("1y")),
            ("P30D", Some("30d"), Some("30d")),
            ("PT12H", Some("2026-11-23T00:00:00Z"), Some("1d")),
            ("12h", Some("2026-11-23T00:00:00Z"), Some("1d")),
            ("1h30", Some("2026-11-22T13:30:00Z"), Some("1d")),
            ("1h30m", Some("2026-11-22T13:30:00Z"), Some("1d")),
            ("90min", Some("2026-11-22T13:30:00Z"), Some("1d")),
            ("3600s", Some("2026-11-22T13:00:00Z"), Some("1d")),
            ("48 hours", Some("2026-11-24T12:00:00Z"), Some("2d")),
            ("none", Some("never"), None),
            ("Never", Some("never"), None),
            ("", None, None),
            ("0", None, None),
            ("0h", None, None),
            ("-1", None, None),
            ("-5d", None, None),
            ("1x", None, None),
            ("soon", None, None),
            ("1y6m", None, None),
            ("99999999999999999999d", None, None),
            ("9999999h99999999999999h", None, None),
        ] {
            assert_eq!(expiry_meant(text, now).as_deref(), expiry, "{text}");
            assert_eq!(span_meant(text, now).as_deref(), span, "{text}");
            for fix in [expiry, span].into_iter().flatten().filter(|fix| *fix != "never") {
                assert!(Expiry::at_creation(fix, now).is_ok(), "{fix}");
            }
        }
    }
}
