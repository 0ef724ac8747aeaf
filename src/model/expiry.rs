//! Until when a token may be used (N9).

use jiff::{Span, ToSpan, tz::TimeZone};

use crate::base::{InstantError, Timestamp};

/// The end of a token's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Expiry {
    /// The author wrote none.
    #[default]
    Never,
    /// From this instant on the token is expired (N9.1).
    At(Timestamp),
}

/// Why an expiry cannot be given to a new token (N9.2, N9.3).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpiryError {
    /// Neither a span nor an instant.
    #[error("{0}; at creation also a span from now: `7d`, `2w`, `6m`, `1y`")]
    Unreadable(#[from] InstantError),
    /// Not in the future.
    #[error("`{found}` is not in the future (it is {now} now)")]
    Past {
        /// The expiry.
        found: Timestamp,
        /// The instant of creation.
        now: Timestamp,
    },
    /// Beyond the calendar.
    #[error("`{0}` from now lies beyond the year 9999")]
    TooFar(Box<str>),
}

impl Expiry {
    /// Whether a token with this expiry is expired at `now` (N9.1).
    pub fn is_expired(self, now: Timestamp) -> bool {
        matches!(self, Self::At(end) if now >= end)
    }

    /// Reads the expiry of a stored token: an RFC 3339 instant or an ISO date (N9.2).
    ///
    /// # Errors
    ///
    /// For any other text, a span among them: a span is counted from the creation, and only then has a meaning.
    pub fn parse(text: &str) -> Result<Self, InstantError> {
        text.parse().map(Self::At)
    }

    /// Reads the expiry of a token that is created at `now`: as [`Expiry::parse`], or a span from now (N9.2, N9.3).
    ///
    /// # Errors
    ///
    /// If the text is neither, or does not lie in the future.
    ///
    /// ```
    /// use portcullis::model::Expiry;
    ///
    /// let now = "2026-01-31T08:00:00Z".parse()?;
    /// assert_eq!(Expiry::at_creation("1m", now)?, Expiry::parse("2026-02-28T08:00:00Z")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn at_creation(text: &str, now: Timestamp) -> Result<Self, ExpiryError> {
        let found = match span(text) {
            Some(span) => {
                let too_far = || ExpiryError::TooFar(text.into());
                let start = now.to_jiff().ok_or_else(too_far)?.to_zoned(TimeZone::UTC);
                start.checked_add(span.ok_or_else(too_far)?).map_err(|_| too_far())?.timestamp().into()
            }
            None => text.parse()?,
        };
        if found > now { Ok(Self::At(found)) } else { Err(ExpiryError::Past { found, now }) }
    }
}

/// `None`: not a span. `Some(None)`: a span, but longer than the calendar.
fn span(text: &str) -> Option<Option<Span>> {
    let unit = text.chars().next_back()?;
    let count = text.strip_suffix(unit)?;
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count = count.parse::<i32>().ok().filter(|&count| count <= 1_000_000);
    Some(match unit {
        'd' => count.and_then(|count| 0.days().try_days(count).ok()),
        'w' => count.and_then(|count| 0.weeks().try_weeks(count).ok()),
        'm' => count.and_then(|count| 0.months().try_months(count).ok()),
        'y' => count.and_then(|count| 0.years().try_years(count).ok()),
        _ => return None,
    })
}
