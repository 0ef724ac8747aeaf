//! Prefetches memory that a decision will need.
//!
//! After a read that misses its caches, a processor executes only as many instructions as its reorder buffer holds, a
//! few hundred. A prefetch hint completes immediately.

/// The size of a cache line, in bytes.
const LINE: usize = 64;

/// Prefetches the cache line that contains `byte`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the address of the byte matters, not its value")]
#[inline]
pub(crate) fn fetch(byte: &u8) {
    #[cfg(target_arch = "x86_64")]
    safe_arch::prefetch_t0(byte);
    // On targets without a prefetch hint, reads the byte. Nothing waits for the result.
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box(*byte);
}

/// Prefetches cache lines, starting with the byte at `offset`, if `bytes` extends that far.
#[inline]
pub(crate) fn fetch_lines<const LINES: usize>(bytes: &[u8], offset: usize) {
    let Some(bytes) = bytes.get(offset..).and_then(|bytes| bytes.get(..LINE * LINES)) else { return };
    for line in 0..LINES {
        if let Some(first) = bytes.get(line * LINE) {
            fetch(first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetch_lines_accepts_any_offset() {
        for length in [0, 1, LINE, LINE + 1, 3 * LINE] {
            let bytes = vec![7; length];
            for offset in [0, 1, length, length + 1, usize::MAX - LINE, usize::MAX] {
                fetch_lines::<1>(&bytes, offset);
                fetch_lines::<2>(&bytes, offset);
            }
        }
    }
}
