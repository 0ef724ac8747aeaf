//! Open registries. A registry waits for its database, so each call runs on a thread for blocking work.
//!
//! Changes of a SQLite file share one registry: they wait for each other here, in the order of their arrival, and not in the
//! database. PostgreSQL prepares several changes at once, and only their commits wait for each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use portcullis_registry::{Location, Registry, RegistryError};
use tokio::sync::Semaphore;

/// The number of registries for reads.
const READERS: usize = 4;

/// The number of registries for changes in PostgreSQL. Most of them wait for the disk, together.
const WRITERS: usize = 16;

/// Registries of one location.
#[derive(Debug)]
pub(crate) struct Pool {
    location: Location,
    readers: Lane,
    writers: Lane,
    /// The number of times that a registry was opened.
    opened: AtomicU64,
}

/// Registries for one purpose.
#[derive(Debug)]
struct Lane {
    idle: Mutex<Vec<Registry>>,
    free: Semaphore,
}

impl Lane {
    fn new(count: usize, first: Option<Registry>) -> Self {
        Self { idle: Mutex::new(first.into_iter().collect()), free: Semaphore::new(count) }
    }

    fn take(&self) -> Option<Registry> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn take_all(&self) -> Vec<Registry> {
        std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn give_back(&self, registry: Registry) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(registry);
    }
}

impl Pool {
    /// Opens the registry at `location`, and creates a missing one.
    pub(crate) fn open(location: Location) -> Result<Self, RegistryError> {
        let first = Registry::open(&location, true)?;
        let writers = if location.path().is_some() { 1 } else { WRITERS };
        Ok(Self {
            location,
            readers: Lane::new(READERS, None),
            writers: Lane::new(writers, Some(first)),
            opened: AtomicU64::new(1),
        })
    }

    /// Runs `work`, which only reads. A registry that fails is opened again for the next call.
    pub(crate) async fn read<T: Send + 'static>(
        self: &std::sync::Arc<Self>,
        work: impl FnOnce(&mut Registry) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        self.run(|pool| &pool.readers, work).await
    }

    /// Runs `work`, which may change the registry.
    pub(crate) async fn write<T: Send + 'static>(
        self: &std::sync::Arc<Self>,
        work: impl FnOnce(&mut Registry) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        self.run(|pool| &pool.writers, work).await
    }

    /// Returns a number that differs after a registry was opened: it may be another one, such as an earlier copy.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Acquire)
    }

    fn open_again(&self) -> Result<Registry, RegistryError> {
        self.opened.fetch_add(1, Ordering::AcqRel);
        Registry::open_to_change(&self.location)
    }

    async fn run<T: Send + 'static>(
        self: &std::sync::Arc<Self>,
        lane: fn(&Self) -> &Lane,
        work: impl FnOnce(&mut Registry) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let pool = std::sync::Arc::clone(self);
        let permit = lane(self).free.acquire().await.map_err(|_| stopped())?;
        // The permit moves to the thread: a request that is given up keeps its registry until the work ends.
        permit.forget();
        let done = tokio::task::spawn_blocking(move || {
            let lane = lane(&pool);
            let result = match lane.take().map_or_else(|| pool.open_again(), Ok) {
                Err(error) => Err(error),
                Ok(mut registry) => {
                    let result = work(&mut registry);
                    if !matches!(result, Err(RegistryError::Storage(_))) {
                        lane.give_back(registry);
                    }
                    result
                }
            };
            lane.free.add_permits(1);
            result
        });
        done.await.unwrap_or_else(|_| Err(stopped()))
    }
}

/// Closes the registries on a thread of their own: closing waits, which a thread of the runtime must not.
impl Drop for Pool {
    fn drop(&mut self) {
        let registries: Vec<Registry> = [&self.readers, &self.writers].into_iter().flat_map(Lane::take_all).collect();
        if let Ok(closing) = std::thread::Builder::new().spawn(move || drop(registries)) {
            let _ = closing.join();
        }
    }
}

fn stopped() -> RegistryError {
    RegistryError::Storage(portcullis_registry::Advice::new("the call of the registry was stopped", "try again"))
}
