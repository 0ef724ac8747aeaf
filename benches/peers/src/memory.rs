//! Counts allocated bytes. It is enabled only during builds, so that it does not slow down measured decisions.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The system allocator with a counter.
pub struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize) {
    if ON.load(Relaxed) {
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        PEAK.fetch_max(live, Relaxed);
    }
}

fn signed(bytes: usize) -> isize {
    bytes.try_into().unwrap_or(isize::MAX)
}

// SAFETY: every call is passed unchanged to the system allocator. Counting changes only atomics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller upholds the contract of `alloc`, which is that of the system allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(signed(size) - signed(layout.size()));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// The cost of a build.
#[derive(Debug, Clone, Copy, Default)]
pub struct Built {
    pub time: Duration,
    /// The bytes that are allocated after the build and were not before.
    pub live: usize,
    /// The maximum number of bytes that were allocated at once during the build.
    pub peak: usize,
}

/// Calls `build` and measures its cost.
pub fn built<T>(build: impl FnOnce() -> T) -> (T, Built) {
    LIVE.store(0, Relaxed);
    PEAK.store(0, Relaxed);
    ON.store(true, Relaxed);
    let start = Instant::now();
    let value = build();
    let time = start.elapsed();
    ON.store(false, Relaxed);
    let bytes = |counter: &AtomicIsize| usize::try_from(counter.load(Relaxed)).unwrap_or(0);
    (value, Built { time, live: bytes(&LIVE), peak: bytes(&PEAK) })
}
