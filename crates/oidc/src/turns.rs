//! A limit on the sign-ins that ask the provider at once: of all browsers, of one address, and of one browser.
//!
//! A provider may take seconds to refuse a made-up answer. A client that sends many of them waits for its own, and no other
//! client waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The number of sign-ins at once.
const OF_ALL: usize = 128;

/// The number of sign-ins of one address at once: many users may share one.
const OF_ADDRESS: usize = 32;

/// The number of sign-ins of one browser at once: its tabs.
const OF_BROWSER: usize = 4;

/// How long a sign-in waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The number of names after which those without a sign-in are forgotten.
const MANY: usize = 1024;

/// Gives turns to sign-ins.
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    of_address: Named,
    of_browser: Named,
    max_wait: Duration,
}

/// The turn of one sign-in, which ends when it is dropped.
pub(crate) struct Turn {
    _held: [OwnedSemaphorePermit; 3],
}

/// A limit for each name.
struct Named {
    limit: usize,
    known: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Named {
    fn new(limit: usize) -> Self {
        Self { limit, known: Mutex::default() }
    }

    fn of(&self, name: &str) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(name).and_then(Weak::upgrade) {
            return found;
        }
        if known.len() >= MANY {
            known.retain(|_, semaphore| semaphore.strong_count() > 0);
        }
        let new = Arc::new(Semaphore::new(self.limit));
        known.insert(name.to_owned(), Arc::downgrade(&new));
        new
    }
}

impl Turns {
    pub(crate) fn new() -> Self {
        Self::with(MAX_WAIT)
    }

    fn with(max_wait: Duration) -> Self {
        Self {
            max_wait,
            all: Arc::new(Semaphore::new(OF_ALL)),
            of_address: Named::new(OF_ADDRESS),
            of_browser: Named::new(OF_BROWSER),
        }
    }

    /// Waits for a turn. `None` if that takes too long.
    pub(crate) async fn take(&self, address: &str, browser: &str) -> Option<Turn> {
        let (of_browser, of_address) = (self.of_browser.of(browser), self.of_address.of(address));
        let held = async {
            // In this order, a sign-in that waits for others of its browser or address keeps nobody else waiting.
            let of_browser = of_browser.acquire_owned().await.ok()?;
            let of_address = of_address.acquire_owned().await.ok()?;
            let of_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some([of_browser, of_address, of_all])
        };
        Some(Turn { _held: tokio::time::timeout(self.max_wait, held).await.ok()?? })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MANY, OF_ADDRESS, OF_ALL, OF_BROWSER, Turns};

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn the_sign_ins_of_one_address_or_browser_leave_turns_for_others() {
        let turns = Turns::with(Duration::from_millis(20));
        let take = |address: String, browser: String| run(turns.take(&address, &browser));
        let mut held = Vec::new();
        for _ in 0..OF_BROWSER {
            held.push(take("a".into(), "one".into()).unwrap());
        }
        assert!(take("a".into(), "one".into()).is_none(), "another tab of the browser");
        for browser in OF_BROWSER..OF_ADDRESS {
            held.push(take("a".into(), browser.to_string()).unwrap());
        }
        assert!(take("a".into(), "new".into()).is_none(), "another browser of the address");
        for address in 1..OF_ALL / OF_ADDRESS {
            for browser in 0..OF_ADDRESS {
                held.push(take(address.to_string(), format!("{address} {browser}")).unwrap());
            }
        }
        assert!(take("new".into(), "new".into()).is_none(), "more than all");
        held.pop();
        take("new".into(), "new".into()).unwrap();
    }

    #[test]
    fn a_turn_that_ends_is_given_to_the_next() {
        let turns = Turns::with(Duration::from_mins(1));
        run(async {
            let mut held = Vec::new();
            for _ in 0..OF_BROWSER {
                held.push(turns.take("a", "one").await.unwrap());
            }
            let end = async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                held.pop();
            };
            let (next, ()) = tokio::join!(turns.take("a", "one"), end);
            assert!(next.is_some());
        });
    }

    #[test]
    fn names_without_a_turn_are_forgotten() {
        let turns = Turns::new();
        run(async {
            for browser in 0..3 * MANY {
                drop(turns.take("a", &browser.to_string()).await.unwrap());
            }
        });
        assert!(turns.of_browser.known.lock().unwrap().len() <= MANY);
    }
}
