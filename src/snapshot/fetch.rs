//! Prefetches memory that a decision will need.
//!
//! After a read that misses its caches, a processor executes only as many instructions as its reorder buffer holds, a
//! few hundred. A prefetch hint completes immediately.

/// The size of a cache line, in bytes.
const LINE: usize = 64;

/// Prefetches the cache line that contains `byte`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the address of the byte matters, not its value")]
#[inline]
pub(super) fn fetch(byte: &u8) {
    #[cfg(target_arch = "x86_64")]
    safe_arch::prefetch_t0(byte);
    // On targets without a prefetch hint, reads the byte. Nothing waits for the result.
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box(*byte);
}

/// Prefetches two cache lines, starting with the byte at `offset`, if `bytes` extends that far.
#[inline]
pub(super) fn fetch_from(bytes: &[u8], offset: usize) {
    if let Some([first, .., second]) = bytes.get(offset..=offset.saturating_add(LINE)) {
        fetch(first);
        fetch(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetch_from_accepts_any_offset() {
        for length in [0, 1, LINE, LINE + 1, 3 * LINE] {
            let bytes = vec![7; length];
            for offset in [0, 1, length, length + 1, usize::MAX - LINE, usize::MAX] {
                fetch_from(&bytes, offset);
            }
        }
    }
}
