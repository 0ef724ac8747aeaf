//! The choices of a generator, read from a list of bytes that proptest generates.
//!
//! Shrinking removes bytes and lowers their values. Each generator therefore lists its simplest choice first: a byte of
//! zero selects it, and so does the end of the bytes.

use proptest::prelude::*;

/// The remaining bytes.
pub(crate) struct Choices<'b> {
    bytes: std::slice::Iter<'b, u8>,
}

impl<'b> Choices<'b> {
    pub(crate) fn of(bytes: &'b [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    /// Returns a number below `limit`, which is at most 256.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) % limit.max(1)
    }

    /// Returns one of `options`.
    pub(crate) fn pick<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.below(options.len())]
    }

    /// Returns one of the characters of `options`.
    pub(crate) fn character(&mut self, options: &str) -> char {
        options.chars().nth(self.below(options.chars().count())).unwrap()
    }

    /// Returns true once in `count` times, and never after the end of the bytes.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }
}

/// Generates the bytes of one generated value: `max / 2` to `max` bytes.
pub(crate) fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), max / 2..=max)
}

/// Returns the settings of a property with `cases` cases. The environment variable `PROPTEST_CASES` overrides the
/// number.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let settings = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { settings } else { ProptestConfig { cases, ..settings } }
}
