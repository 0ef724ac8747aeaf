//! The number that a text with a unit or with separators means, such as `1MB`, `1_000` or `1h30`: the fix in an error.

/// The units of a quantity, from the largest: the words of each, and its size. No letter after a number is the word `""`.
pub(super) type Units = &'static [(&'static [&'static str], f64)];

/// The units of counts.
pub(super) const COUNTS: Units = &[
    (&["g", "billion", "billions"], 1e9),
    (&["m", "million", "millions"], 1e6),
    (&["k", "thousand", "thousands"], 1e3),
    (&[""], 1.0),
];

/// The units of counts of bytes.
pub(super) const BYTES: Units = &[
    (&["ti", "tib"], 1_099_511_627_776.0),
    (&["t", "tb"], 1e12),
    (&["gi", "gib"], 1_073_741_824.0),
    (&["g", "gb"], 1e9),
    (&["mi", "mib"], 1_048_576.0),
    (&["m", "mb"], 1e6),
    (&["ki", "kib"], 1024.0),
    (&["k", "kb"], 1e3),
    (&["", "b", "byte", "bytes"], 1.0),
];

/// The units of durations in seconds.
pub(super) const SECONDS: Units = &[
    (&["w", "week", "weeks"], 604_800.0),
    (&["d", "day", "days"], 86_400.0),
    (&["h", "hr", "hour", "hours"], 3600.0),
    (&["m", "min", "mins", "minute", "minutes"], 60.0),
    (&["", "s", "sec", "secs", "second", "seconds"], 1.0),
    (&["ms", "msec", "millisecond", "milliseconds"], 0.001),
];

/// The units of durations in days. A month has 30 days, and a year 365.
pub(super) const DAYS: Units = &[
    (&["y", "yr", "year", "years"], 365.0),
    (&["m", "mo", "month", "months"], 30.0),
    (&["w", "week", "weeks"], 7.0),
    (&["", "d", "day", "days"], 1.0),
    (&["h", "hr", "hour", "hours"], 1.0 / 24.0),
];

/// Returns the number that `text` means in `units`; `None` if it means none, or a negative one.
pub(super) fn meant(text: &str, units: Units) -> Option<f64> {
    let text = text.trim().trim_start_matches('+').to_lowercase();
    if let Some(number) = number(&text) {
        return Some(number);
    }
    let (mut rest, mut total, mut last) = (&*text, 0.0, None);
    while !rest.is_empty() {
        let digits = rest.find(|character: char| character.is_alphabetic()).unwrap_or(rest.len());
        let (count, after) = rest.split_at_checked(digits)?;
        let letters = after.find(|character: char| !character.is_alphabetic()).unwrap_or(after.len());
        let (word, after) = after.split_at_checked(letters)?;
        let at = match last {
            // The unit of `30` in `1h30` is the next smaller one.
            Some(last) if word.is_empty() => last + 1,
            _ => units.iter().position(|(words, _)| words.contains(&word))?,
        };
        let (_, size) = units.get(at)?;
        total += number(count.trim())? * size;
        (rest, last) = (after.trim_start(), Some(at));
    }
    last.map(|_| total)
}

/// Reads a number that is not negative: with separators of thousands, a comma before its fraction, or hexadecimal.
fn number(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok().map(f64::from);
    }
    let plain: String = text.chars().filter(|character| !matches!(character, '_' | '\'' | ' ' | '\u{a0}')).collect();
    let mut groups = plain.split(',');
    let first = groups.next().unwrap_or_default();
    let is_thousands = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
    let plain = if is_thousands { plain.replace(',', "") } else { plain.replacen(',', ".", 1) };
    let is_number = plain.starts_with(|first: char| first.is_ascii_digit())
        && plain.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e'));
    plain.parse().ok().filter(|number: &f64| is_number && number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::{BYTES, COUNTS, DAYS, SECONDS, Units, meant};

    #[test]
    fn quantities_are_read_with_units_and_separators() {
        let cases: [(Units, &[(&str, f64)]); 4] = [
            (
                COUNTS,
                &[
                    ("1_000", 1e3),
                    ("1,000", 1e3),
                    ("12,345,678", 12_345_678.0),
                    ("1'000", 1e3),
                    ("1 000", 1e3),
                    ("1e6", 1e6),
                    ("0x10", 16.0),
                    ("+7", 7.0),
                    (" 7 ", 7.0),
                    ("1.5", 1.5),
                    ("1,5", 1.5),
                    ("10k", 1e4),
                    ("2M", 2e6),
                    ("2 million", 2e6),
                ],
            ),
            (
                BYTES,
                &[
                    ("1MB", 1e6),
                    ("1 MB", 1e6),
                    ("1MiB", 1_048_576.0),
                    ("1Mi", 1_048_576.0),
                    ("10k", 1e4),
                    ("10K", 1e4),
                    ("10KiB", 10_240.0),
                    ("1.5G", 1.5e9),
                    ("1,5 GB", 1.5e9),
                    ("100 bytes", 100.0),
                    ("100B", 100.0),
                    ("1tb", 1e12),
                ],
            ),
            (
                SECONDS,
                &[
                    ("5m", 300.0),
                    ("5 min", 300.0),
                    ("5minutes", 300.0),
                    ("1h30", 5400.0),
                    ("1h30m", 5400.0),
                    ("1h 30m 5s", 5405.0),
                    ("1m30", 90.0),
                    ("5s", 5.0),
                    ("500ms", 0.5),
                    ("0,5", 0.5),
                    ("1d", 86_400.0),
                ],
            ),
            (DAYS, &[("30d", 30.0), ("2w", 14.0), ("6m", 180.0), ("1y", 365.0), ("90 days", 90.0), ("12h", 0.5)]),
        ];
        for (units, cases) in cases {
            for (text, number) in cases {
                assert_eq!(meant(text, units), Some(*number), "{text}");
            }
        }
    }

    #[test]
    fn other_texts_are_not_quantities() {
        for units in [COUNTS, BYTES, SECONDS, DAYS] {
            for text in
                ["", " ", "-", "-1", "-5m", "x", "1x", "m5", "many", "NaN", "inf", "٣", "1..2", "1h-3", "0xg", "٣m"]
            {
                assert_eq!(meant(text, units), None, "{text}");
            }
        }
    }
}
