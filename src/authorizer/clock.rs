//! Clocks that provide `now`.

use crate::base::Timestamp;

/// A source of the current time: the system's clock, or a fixed time in tests.
pub trait Clock {
    /// Returns the current instant.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only code that reads the system's clock")]
    fn now(&self) -> Timestamp {
        std::time::SystemTime::now().into()
    }
}

/// A clock that always returns the same instant.
impl Clock for Timestamp {
    fn now(&self) -> Timestamp {
        *self
    }
}
