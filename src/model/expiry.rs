//! The expiry of a token (N9).

use jiff::tz::TimeZone;

use crate::base::{InstantError, Timestamp, quoted};

/// The expiry of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Expiry {
    /// The token does not expire.
    #[default]
    Never,
    /// The token is expired from this instant on (N9.1).
    At(Timestamp),
}

/// The error for an expiry that a new token cannot have (N9.2, N9.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryError {
    /// The text is neither a span nor an instant.
    #[error("{0}; at creation also a span from now: `7d`, `2w`, `6m`, `1y`")]
    Unreadable(#[from] InstantError),
    /// The expiry is not in the future.
    #[error("`{found}` is not in the future (it is {now} now)")]
    Past {
        /// The expiry.
        found: Timestamp,
        /// The instant of creation.
        now: Timestamp,
    },
    /// The span ends after the last year of the calendar.
    #[error("{} from now is after the year 9999", quoted(.0))]
    TooFar(Box<str>),
}

impl Expiry {
    /// Returns whether a token with this expiry is expired at `now` (N9.1).
    pub fn is_expired(self, now: Timestamp) -> bool {
        matches!(self, Self::At(end) if now >= end)
    }

    /// Reads the expiry of a stored token: an RFC 3339 instant or an ISO date (N9.2).
    ///
    /// # Errors
    ///
    /// If the text is anything else. A span is an error too: it counts from the creation of a token, which a stored
    /// token is past.
    pub fn parse(text: &str) -> Result<Self, InstantError> {
        text.parse().map(Self::At)
    }

    /// Reads the expiry of a token that is created at `now`: an instant, a date, or a span from `now` (N9.2, N9.3).
    ///
    /// # Errors
    ///
    /// If the text is none of these, or the expiry is not in the future.
    ///
    /// ```
    /// use portcullis::model::Expiry;
    ///
    /// let now = "2026-01-31T08:00:00Z".parse()?;
    /// assert_eq!(Expiry::at_creation("1m", now)?, Expiry::parse("2026-02-28T08:00:00Z")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn at_creation(text: &str, now: Timestamp) -> Result<Self, ExpiryError> {
        let found = match Span::read(text) {
            Some(span) => span.after(now).ok_or_else(|| ExpiryError::TooFar(text.into()))?,
            None => text.parse()?,
        };
        if found > now { Ok(Self::At(found)) } else { Err(ExpiryError::Past { found, now }) }
    }
}

/// A span (N9.2): a count and a calendar unit.
struct Span {
    // `None` if the count is above 1,000,000, which is beyond the calendar for every unit.
    count: Option<i32>,
    unit: char,
}

impl Span {
    fn read(text: &str) -> Option<Self> {
        let unit = text.chars().next_back().filter(|unit| matches!(unit, 'd' | 'w' | 'm' | 'y'))?;
        let count = text.strip_suffix(unit)?;
        let digits = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| Self { count: count.parse().ok().filter(|&count| count <= 1_000_000), unit })
    }

    /// Returns the instant this long after `now`; `None` if the calendar does not reach that far.
    fn after(&self, now: Timestamp) -> Option<Timestamp> {
        let (none, count) = (jiff::Span::new(), self.count?);
        let span = match self.unit {
            'd' => none.try_days(count),
            'w' => none.try_weeks(count),
            'm' => none.try_months(count),
            _ => none.try_years(count),
        };
        let start = now.to_jiff()?.to_zoned(TimeZone::UTC);
        Some(start.checked_add(span.ok()?).ok()?.timestamp().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_count_calendar_months_and_years_from_now() {
        let cases = [
            ("2026-01-31T08:00:00Z", "1d", Some("2026-02-01T08:00:00Z")),
            ("2026-01-31T08:00:00Z", "2w", Some("2026-02-14T08:00:00Z")),
            ("2026-01-31T08:00:00Z", "1m", Some("2026-02-28T08:00:00Z")),
            ("2024-02-29T00:00:00Z", "1y", Some("2025-02-28T00:00:00Z")),
            ("2026-01-31T08:00:00Z", "2026-02-01", Some("2026-02-01T00:00:00Z")),
            ("2026-01-31T08:00:00Z", "2026-02-01T01:00:00+01:00", Some("2026-02-01T00:00:00Z")),
            ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z", None),
            ("2026-01-31T08:00:00Z", "2025-01-01", None),
            ("2026-01-31T08:00:00Z", "0d", None),
            ("2026-01-31T08:00:00Z", "-1d", None),
            ("2026-01-31T08:00:00Z", "1h", None),
            ("2026-01-31T08:00:00Z", "d", None),
            ("2026-01-31T08:00:00Z", "9000y", None),
            ("2026-01-31T08:00:00Z", "99999999999999999999y", None),
            ("2026-01-31T08:00:00Z", "tomorrow", None),
            ("2026-01-31T08:00:00Z", "", None),
        ];
        for (now, text, expected) in cases {
            let found = Expiry::at_creation(text, now.parse().unwrap());
            let expected = expected.map(|end| Expiry::At(end.parse().unwrap()));
            assert_eq!(found.as_ref().ok(), expected.as_ref(), "{text} at {now}: {found:?}");
        }
    }

    #[test]
    fn token_is_expired_from_the_instant_of_its_expiry() {
        let end: Timestamp = "2026-11-22T12:00:00.5Z".parse().unwrap();
        for (now, expired) in
            [("2026-11-22T12:00:00.499999999Z", false), ("2026-11-22T12:00:00.5Z", true), ("2027-01-01", true)]
        {
            assert_eq!(Expiry::At(end).is_expired(now.parse().unwrap()), expired, "{now}");
        }
        assert!(!Expiry::Never.is_expired("9999-12-31".parse().unwrap()));
    }

    #[test]
    fn stored_expiry_accepts_only_instants_and_dates() {
        for text in [
            "7d",
            "20261122",
            "2026-11-22T12:00",
            "2026-11-22 12:00:00Z",
            "2026-W47-7",
            "2026-13-01",
            "now",
            "2026-11-22T12:00:00Z[UTC]",
        ] {
            assert!(Expiry::parse(text).is_err(), "{text}");
        }
        for text in
            ["2026-11-22", "2026-11-22T12:00:00Z", "2026-11-22t12:00:00z", "2026-11-22T12:00:00.123456789-05:30"]
        {
            assert!(Expiry::parse(text).is_ok(), "{text}");
        }
    }
}
