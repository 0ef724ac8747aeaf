//! Memory that will be needed, on its way before it is waited for.
//!
//! A processor goes on behind a read that misses its caches only as far as it can remember what is not yet done, some
//! hundred instructions; a hint it is done with at once.

/// Bytes that come from memory together.
const LINE: usize = 64;

/// Has the line of memory on its way in which `byte` is.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "where the byte is, not what")]
#[inline]
pub(super) fn fetch(byte: &u8) {
    #[cfg(target_arch = "x86_64")]
    safe_arch::prefetch_t0(byte);
    // Where no library has the hint, the byte is read, and nothing waits for it.
    #[cfg(not(target_arch = "x86_64"))]
    std::hint::black_box(*byte);
}

/// As [`fetch`], of two lines from the byte at this place on, where there are such.
#[inline]
pub(super) fn fetch_from(bytes: &[u8], at: usize) {
    if let Some([first, .., second]) = bytes.get(at..=at.saturating_add(LINE)) {
        fetch(first);
        fetch(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_place_may_be_asked_for() {
        for length in [0, 1, LINE, LINE + 1, 3 * LINE] {
            let bytes = vec![7; length];
            for at in [0, 1, length, length + 1, usize::MAX - LINE, usize::MAX] {
                fetch_from(&bytes, at);
            }
        }
    }
}
