//! Panics end at the border: unwinding into C is undefined, and an abort ends the gateway.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The panics of this process that were caught.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Runs `body`. If it panics, the result is that of `failed`, which denies.
///
/// Every exported function starts with this call: `tests/header.rs` checks it.
pub(crate) fn guarded<T>(failed: impl FnOnce() -> T, body: impl FnOnce() -> T) -> T {
    // A panic may leave only the output of the call half written, and `failed` writes it again.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        PANICS.fetch_add(1, Relaxed);
        // Dropping it may panic again.
        std::mem::forget(payload);
        failed()
    })
}

/// Returns the number of panics that were caught.
pub(crate) fn panics() -> u64 {
    PANICS.load(Relaxed)
}

#[cfg(test)]
mod tests {
    use super::{guarded, panics};

    #[test]
    fn panic_gives_the_result_of_failed_and_is_counted() {
        struct PanicsAgain;
        impl Drop for PanicsAgain {
            fn drop(&mut self) {
                panic!("a second time");
            }
        }
        let before = panics();
        assert_eq!(guarded(|| 0, || panic!("once")), 0);
        assert_eq!(guarded(|| 0, || std::panic::panic_any(PanicsAgain)), 0);
        assert_eq!(guarded(|| 0, || 1), 1);
        assert!(panics() >= before + 2);
    }
}
