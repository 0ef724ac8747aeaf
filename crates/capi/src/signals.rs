//! Signals of a thread.

/// Blocks all signals of the current thread while it exists. Threads that start meanwhile keep them blocked.
#[cfg(unix)]
pub(crate) struct Blocked(libc::sigset_t);

#[cfg(unix)]
impl Blocked {
    /// Blocks all signals.
    pub(crate) fn all() -> Option<Self> {
        // SAFETY: all bits zero are a valid value, and the pointers lead to values that live during the calls.
        unsafe {
            let (mut all, mut before): (libc::sigset_t, libc::sigset_t) = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            (libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) == 0).then_some(Self(before))
        }
    }
}

#[cfg(unix)]
impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the pointer leads to the mask that `all` stored, and NULL is accepted.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, std::ptr::null_mut()) };
    }
}

#[cfg(not(unix))]
pub(crate) struct Blocked;

#[cfg(not(unix))]
impl Blocked {
    /// Blocks all signals.
    pub(crate) fn all() -> Self {
        Self
    }
}
