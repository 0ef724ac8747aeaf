//! Instants (N9). The engine reads no clock: `now` is always an argument.

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::quoted;

const UNIX_EPOCH: DateTime = jiff::civil::datetime(1970, 1, 1, 0, 0, 0, 0);

/// An instant in UTC, to the nanosecond.
///
/// Timestamps are ordered by time. They are displayed and parsed as RFC 3339; an ISO date alone means midnight UTC at
/// the start of that date (N9.2). Two forms of ISO 8601 are parsed as well: a time without seconds is that of second 0,
/// and digits of a fraction after the ninth are dropped. Both round down: for a token that is expired, `now` and the
/// expiry keep their order.
///
/// ```
/// use portcullis::base::Timestamp;
///
/// let noon: Timestamp = "2026-11-22T12:00:00Z".parse()?;
/// assert_eq!(noon, "2026-11-22T13:00:00+01:00".parse()?);
/// assert!(noon > "2026-11-22".parse()?);
/// # Ok::<(), portcullis::base::InstantError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
}

/// The error for text that is neither an RFC 3339 instant nor an ISO date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not an instant: expected RFC 3339 such as `2026-11-22T12:00:00Z`, or a date such as `2026-11-22`",
    quoted(found)
)]
pub struct InstantError {
    found: Box<str>,
}

impl Timestamp {
    /// Creates the instant `seconds` and `nanoseconds` after 1970-01-01T00:00:00Z. `nanoseconds` above 999,999,999
    /// count as 999,999,999.
    pub const fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        let nanoseconds = if nanoseconds < 1_000_000_000 { nanoseconds } else { 999_999_999 };
        Self { seconds, nanoseconds }
    }

    /// Returns the whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    /// Returns the nanoseconds since the last whole second.
    pub const fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }

    /// Converts the instant for calendar arithmetic; returns `None` outside the years -9999 to 9999.
    pub fn to_jiff(self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::new(self.seconds, i32::try_from(self.nanoseconds).ok()?).ok()
    }
}

impl From<jiff::Timestamp> for Timestamp {
    fn from(instant: jiff::Timestamp) -> Self {
        let (seconds, nanoseconds) = (instant.as_second(), instant.subsec_nanosecond());
        match u32::try_from(nanoseconds) {
            Ok(nanoseconds) => Self { seconds, nanoseconds },
            // Before 1970 the fraction is negative.
            Err(_) => Self { seconds: seconds - 1, nanoseconds: (1_000_000_000 + nanoseconds).unsigned_abs() },
        }
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => Self::from_unix(i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos()),
            Err(before) => {
                let before = before.duration();
                let seconds = i64::try_from(before.as_secs()).unwrap_or(i64::MAX);
                match before.subsec_nanos() {
                    0 => Self::from_unix(-seconds, 0),
                    nanoseconds => Self::from_unix(-seconds - 1, 1_000_000_000 - nanoseconds),
                }
            }
        }
    }
}

impl FromStr for Timestamp {
    type Err = InstantError;

    fn from_str(text: &str) -> Result<Self, InstantError> {
        read(text).ok_or_else(|| InstantError { found: text.into() })
    }
}

/// Parses with the civil calendar, which includes the last instant of the year 9999. The instants of `jiff` end a day
/// earlier.
fn read(text: &str) -> Option<Timestamp> {
    let Written { civil, offset } = Written::read(text.as_bytes())?;
    let since_1970 = civil.duration_since(UNIX_EPOCH).checked_sub(SignedDuration::from_secs(offset))?;
    let (seconds, nanoseconds) = (since_1970.as_secs(), since_1970.subsec_nanos());
    Some(match u32::try_from(nanoseconds) {
        Ok(nanoseconds) => Timestamp { seconds, nanoseconds },
        // Before 1970 the fraction is negative.
        Err(_) => Timestamp { seconds: seconds - 1, nanoseconds: (1_000_000_000 + nanoseconds).unsigned_abs() },
    })
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_1970 = SignedDuration::new(self.seconds, i32::try_from(self.nanoseconds).unwrap_or(0));
        match UNIX_EPOCH.checked_add(since_1970) {
            Ok(civil) => write!(f, "{civil}Z"),
            Err(_) => write!(f, "{} seconds since 1970", self.seconds),
        }
    }
}

/// The parts of an instant. The parser of `jiff` accepts more, such as week dates and zone names, which other readers of a
/// policy may reject.
struct Written {
    civil: DateTime,
    /// The offset from UTC, in seconds.
    offset: i64,
}

impl Written {
    fn read(text: &[u8]) -> Option<Self> {
        let (date, rest) = text.split_at_checked(10)?;
        let [year, month, day] = numbers(date, b"0000-00-00")?;
        let (year, month, day) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        if rest.is_empty() {
            return Some(Self { civil: DateTime::new(year, month, day, 0, 0, 0, 0).ok()?, offset: 0 });
        }
        let (time, rest) =
            rest.split_first().filter(|(separator, _)| matches!(separator, b'T' | b't'))?.1.split_at_checked(5)?;
        let [hour, minute] = numbers(time, b"00:00")?;
        let (second, nanosecond, zone) = seconds(rest)?;
        // Leap seconds are rejected, because implementations differ on them.
        let civil = DateTime::new(
            year,
            month,
            day,
            i8::try_from(hour).ok()?,
            i8::try_from(minute).ok()?,
            i8::try_from(second).ok()?,
            nanosecond,
        );
        Some(Self { civil: civil.ok()?, offset: offset(zone)? })
    }
}

/// Splits the seconds, if there are any, with their fraction in nanoseconds, from the zone that follows.
fn seconds(text: &[u8]) -> Option<(u32, i32, &[u8])> {
    if !text.starts_with(b":") {
        return Some((0, 0, text));
    }
    let (second, rest) = text.split_at_checked(3)?;
    let [second] = numbers(second, b":00")?;
    let Some(fraction) = rest.strip_prefix(b".") else { return Some((second, 0, rest)) };
    let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, zone) = fraction.split_at_checked(digits).filter(|_| digits > 0)?;
    let nanosecond = (0..9).fold(0, |sum, at| sum * 10 + i32::from(fraction.get(at).map_or(0, |digit| digit - b'0')));
    Some((second, nanosecond, zone))
}

/// Parses an offset from UTC, in seconds. RFC 3339 limits its hours to 23.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, rest) = zone.split_first()?;
    let sign = match sign {
        b'Z' | b'z' if rest.is_empty() => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let [hours, minutes] = numbers(rest, b"00:00")?;
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

/// Parses the numbers of `text`, which has the form `form`: each zero means any digit.
fn numbers<const N: usize>(text: &[u8], form: &[u8]) -> Option<[u32; N]> {
    let mut numbers = [0; N];
    let (mut at, mut in_number) = (0, false);
    for (byte, form) in text.iter().zip(form) {
        if *form == b'0' {
            let number = numbers.get_mut(at).filter(|_| byte.is_ascii_digit())?;
            *number = *number * 10 + u32::from(byte - b'0');
            in_number = true;
        } else if byte == form {
            at += usize::from(std::mem::take(&mut in_number));
        } else {
            return None;
        }
    }
    (text.len() == form.len()).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displayed_instants_are_normalized_to_utc() {
        for (text, written) in [
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("2026-11-22T12:00:00+01:00", "2026-11-22T11:00:00Z"),
            ("2026-11-22t12:00:00.5z", "2026-11-22T12:00:00.5Z"),
            ("1969-12-31T23:59:59.75Z", "1969-12-31T23:59:59.75Z"),
            ("2025-06-27T18:03-07:00", "2025-06-28T01:03:00Z"),
            ("2026-11-22T12:00Z", "2026-11-22T12:00:00Z"),
            ("2026-11-22T12:00:00.1234567899Z", "2026-11-22T12:00:00.123456789Z"),
            ("2026-11-22T12:00:00.000000000000000000000001+00:00", "2026-11-22T12:00:00Z"),
            ("1969-12-31T23:59:59.9999999999Z", "1969-12-31T23:59:59.999999999Z"),
            ("0001-01-01", "0001-01-01T00:00:00Z"),
            ("9999-12-31", "9999-12-31T00:00:00Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999999Z"),
            ("9999-12-31T23:59:59-01:00", "253402304399 seconds since 1970"),
        ] {
            let instant: Timestamp = text.parse().unwrap();
            assert_eq!(instant.to_string(), written, "{text}");
        }
    }

    #[test]
    fn instants_are_ordered_by_time() {
        let ordered = ["0001-01-01", "1969-12-31T23:59:59.5Z", "1970-01-01", "2026-11-22T12:00:00.1Z", "9999-12-31"];
        let instants: Vec<Timestamp> = ordered.iter().map(|text| text.parse().unwrap()).collect();
        assert!(instants.is_sorted(), "{instants:?}");
    }

    #[test]
    fn other_texts_are_not_instants() {
        for text in [
            "",
            "2026",
            "2026-11-2",
            "2026-11-22T12:00:00",
            "2026-02-30",
            "2026-11-22T25:00:00Z",
            "2026-11-22T12:00:00.Z",
            "2026-11-22T12:00",
            "2026-11-22T12:00.5Z",
            "2026-11-22T12:00:Z",
            "2026-11-22T12:0Z",
            "2026-11-22T12Z",
            "2026-11-22T24:00Z",
            "2026-11-22T12:60Z",
            "2026-11-22T12:00+0700",
            "2026-11-22T12:00+07",
            "2026-11-22T12:00+07:60",
            "2026-11-22T12:00Z ",
            " 2026-11-22T12:00Z",
            "2026-11-22T12:00:00,5Z",
            "2026-11-22T12:00:00.5",
            "2026-11-22T12:00:00.1234567890",
            "2026-11-22 12:00Z",
            "2026-11-22T12:00:00+24:00",
            "2026-11-22T12:34:60Z",
            "2016-12-31T23:59:60Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
