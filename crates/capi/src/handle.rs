//! The handle of a policy, and its state in each process that uses it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::thread::JoinHandle;

use crate::forks::Processes;
use crate::options::PolicyOptions;
use crate::signals::Blocked;
use portcullis::Authorizer;
use portcullis::base::system_words;
use portcullis_http::answer::Responses;
use portcullis_http::gateway::Reader;
use portcullis_live::{INTERNAL, Shared, Watched};

/// A policy. Any number of threads may use it at once. Free it with `pcl_policy_free`.
#[allow(non_camel_case_types, reason = "the name of C")]
pub struct pcl_policy {
    pub(crate) reader: Reader,
    pub(crate) responses: Responses,
    pub(crate) max_body: usize,
    /// `None` if the policy never changes.
    watched: Option<Watched>,
    processes: Processes,
    /// The process that opened the policy.
    opened_by: u32,
    /// The state of this process or, until a live policy is used after a fork, that of a parent process.
    ///
    /// INVARIANT: never NULL, and each state is freed only with the handle.
    process: AtomicPtr<Process>,
}

/// The state of a policy in one process.
///
/// A child process never uses the locks of its parent's state: a thread that does not exist in the child may hold them.
struct Process {
    /// The number of the process; 0 before the first use: no thread runs then, so that a server may fork.
    number: u32,
    shared: Arc<Shared>,
    thread: OnceLock<JoinHandle<()>>,
    /// The state of the parent process; NULL if there is none.
    parent: *mut Process,
}

impl pcl_policy {
    /// Creates the handle of a policy that `authorizer` holds. Starts no thread.
    pub(crate) fn new(authorizer: Authorizer, options: PolicyOptions, watched: Option<Watched>) -> Self {
        let PolicyOptions { reader, cors, max_body, poll: _, may_be_unavailable: _ } = options;
        let process = Process::allocate(0, Arc::new(Shared::new(authorizer)), ptr::null_mut());
        let processes = Processes::count();
        Self {
            reader,
            responses: Responses { cors },
            max_body,
            watched,
            processes,
            opened_by: processes.current(),
            process: AtomicPtr::new(process),
        }
    }

    /// Returns the state of this process. The first call in each process starts the thread of a live policy.
    pub(crate) fn shared(&self) -> &Shared {
        let current = self.process.load(Ordering::Acquire);
        // SAFETY: not NULL, and valid as long as the handle, by the invariant.
        let process = unsafe { &*current };
        match &self.watched {
            Some(watched) if process.number != self.processes.current() => self.enter(current, watched),
            _ => &process.shared,
        }
    }

    /// The source of a live policy.
    pub(crate) fn watched(&self) -> Option<&Watched> {
        self.watched.as_ref()
    }

    /// Creates the state of this process from that of its parent, and starts the thread.
    #[cold]
    fn enter(&self, parent: *mut Process, watched: &Watched) -> &Shared {
        // SAFETY: valid as long as the handle, by the invariant.
        let inherited = unsafe { &*parent };
        let number = self.processes.current();
        // A worker that replaces another one starts long after the policy was opened. What was revoked since must not be
        // allowed until its thread has read the file: it continues only with a version that is current.
        let is_opener = number == self.opened_by;
        let continued = if is_opener || watched.is_unchanged() { Shared::inherited(&inherited.shared) } else { None };
        let shared = continued.unwrap_or_else(|| {
            let shared = Shared::new(Authorizer::unavailable());
            // The process that opened the policy has just read the source.
            if !is_opener && catch_unwind(AssertUnwindSafe(|| shared.reload(watched, true))).is_err() {
                shared.fail(INTERNAL.to_owned());
            }
            shared
        });
        let own = Process::allocate(number, Arc::new(shared), parent);
        match self.process.compare_exchange(parent, own, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                // SAFETY: just allocated, and from now on owned by the handle.
                let process = unsafe { &*own };
                // A signal that this thread received would not wake the event loop of the host.
                let _blocked = Blocked::all();
                match watched.start(&process.shared, |_| ()) {
                    Ok(thread) => _ = process.thread.set(thread),
                    Err(error) => {
                        let error = format!("cannot start the thread that watches the file: {}", system_words(&error));
                        process.shared.fail(error);
                    }
                }
                &process.shared
            }
            Err(first) => {
                // SAFETY: just allocated, and no other thread has the pointer.
                drop(unsafe { Box::from_raw(own) });
                // SAFETY: another thread of this process was faster, so that `first` is the state of this process.
                unsafe { &(*first).shared }
            }
        }
    }
}

impl Drop for pcl_policy {
    fn drop(&mut self) {
        let mut next = *self.process.get_mut();
        while !next.is_null() {
            // SAFETY: `allocate` returned it, and only this loop frees it.
            let process = unsafe { Box::from_raw(next) };
            next = process.parent;
            if process.number == 0 || process.number == self.processes.current() {
                let Process { shared, thread, .. } = *process;
                shared.stop();
                if let Some(thread) = thread.into_inner() {
                    thread.thread().unpark();
                    // A panic of that thread was already reported.
                    let _ = thread.join();
                }
            } else {
                // The thread exists only in the parent, and locks may be held: the memory of the state is abandoned.
                std::mem::forget(process);
            }
        }
    }
}

impl Process {
    fn allocate(number: u32, shared: Arc<Shared>, parent: *mut Self) -> *mut Self {
        Box::into_raw(Box::new(Self { number, shared, thread: OnceLock::new(), parent }))
    }
}

// SAFETY: the pointers lead to `Process`, whose other fields may be shared and sent, and which is changed only with
// atomics.
unsafe impl Send for pcl_policy {}
// SAFETY: as above.
unsafe impl Sync for pcl_policy {}
