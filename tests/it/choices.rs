//! What a generator is told by proptest: a list of bytes that it spends on choices.
//!
//! Shrinking drops and lowers bytes; a generator therefore puts the simplest choice first, which zero stands for, and
//! which it gets when its bytes are spent.

use proptest::prelude::*;

/// The bytes that are left.
pub(crate) struct Choices<'b> {
    bytes: std::slice::Iter<'b, u8>,
}

impl<'b> Choices<'b> {
    pub(crate) fn of(bytes: &'b [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    /// A number below `limit`, which is at most 256.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) % limit.max(1)
    }

    /// One of `options`.
    pub(crate) fn pick<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.below(options.len())]
    }

    /// One of the characters of `options`.
    pub(crate) fn character(&mut self, options: &str) -> char {
        options.chars().nth(self.below(options.chars().count())).unwrap()
    }

    /// True once in `count` times; never when the bytes are spent.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }
}

/// Up to `most` bytes for one generated thing.
pub(crate) fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), most / 2..=most)
}

/// Settings for a property that is tried `cases` times, unless the environment variable `PROPTEST_CASES` says otherwise.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let settings = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { settings } else { ProptestConfig { cases, ..settings } }
}
