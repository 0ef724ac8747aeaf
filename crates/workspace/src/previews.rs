//! A limit on the work of previews, which read the whole catalog.
//!
//! A few previews run at once. Each ends when its time is up, or when its client is gone: typing sends one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How long a preview may take, without the time that it waits for others.
const MAX_TIME: Duration = Duration::from_secs(5);

/// How long a preview waits for others.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The number of previews at once.
const AT_ONCE: usize = 2;

/// Starts previews.
#[derive(Debug)]
pub(crate) struct Previews {
    free: Arc<Semaphore>,
    max_time: Duration,
}

/// The limit of one preview.
#[derive(Debug, Clone)]
pub(crate) struct TimeLimit {
    max: Duration,
    begun: Instant,
    is_abandoned: Arc<AtomicBool>,
}

/// Marks a preview as abandoned when the request that waits for it is dropped.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Default for Previews {
    fn default() -> Self {
        Self::with(MAX_TIME)
    }
}

impl Previews {
    pub(crate) fn with(max_time: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(AT_ONCE)), max_time }
    }

    /// Runs `work` on a thread for blocking work. `None` if too many others run, or the work has failed.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&TimeLimit) -> T + Send + 'static,
    ) -> Option<T> {
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let _waiting = Waiting(Arc::clone(&is_abandoned));
        let permit = tokio::time::timeout(MAX_WAIT, Arc::clone(&self.free).acquire_owned()).await.ok()?.ok()?;
        let max = self.max_time;
        let done = tokio::task::spawn_blocking(move || {
            // The permit stays with the thread: a client that leaves does not start more work than there are permits.
            let _permit = permit;
            work(&TimeLimit { max, begun: Instant::now(), is_abandoned })
        });
        done.await.ok()
    }
}

impl TimeLimit {
    #[cfg(test)]
    pub(crate) fn of(max: Duration) -> Self {
        Self { max, begun: Instant::now(), is_abandoned: Arc::default() }
    }

    /// Whether the work must end.
    pub(crate) fn is_over(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed) || self.begun.elapsed() >= self.max
    }

    /// Returns the limit in words, such as `2 s`.
    pub(crate) fn text(&self) -> String {
        format!("{} s", self.max.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{Previews, TimeLimit};

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
    }

    #[test]
    fn work_ends_when_its_time_is_up() {
        let previews = Previews::with(Duration::ZERO);
        assert_eq!(
            runtime().block_on(previews.run(|limit| (limit.is_over(), limit.text()))),
            Some((true, "0 s".into()))
        );
        let previews = Previews::with(Duration::from_hours(1));
        assert_eq!(runtime().block_on(previews.run(TimeLimit::is_over)), Some(false));
    }

    #[test]
    fn work_ends_when_nobody_waits_for_it() {
        let (started, wait_for_start) = mpsc::channel();
        let (ended, wait_for_end) = mpsc::channel();
        let runtime = runtime();
        let waiting = runtime.spawn(async move {
            let previews = Previews::with(Duration::from_hours(1));
            previews
                .run(move |limit| {
                    started.send(()).unwrap();
                    while !limit.is_over() {
                        std::thread::yield_now();
                    }
                    ended.send(()).unwrap();
                })
                .await
        });
        wait_for_start.recv().unwrap();
        waiting.abort();
        wait_for_end.recv().unwrap();
    }

    #[test]
    fn only_a_few_run_at_once() {
        let runtime = runtime();
        let previews = std::sync::Arc::new(Previews::with(Duration::from_hours(1)));
        let (release, blocked) = mpsc::channel::<()>();
        let blocked = std::sync::Arc::new(std::sync::Mutex::new(blocked));
        let (started, starts) = mpsc::channel();
        for _ in 0..3 {
            let (previews, blocked, started) = (previews.clone(), blocked.clone(), started.clone());
            runtime.spawn(async move {
                previews
                    .run(move |_| {
                        started.send(()).unwrap();
                        blocked.lock().unwrap().recv().unwrap();
                    })
                    .await
            });
        }
        for _ in 0..super::AT_ONCE {
            starts.recv().unwrap();
        }
        assert_eq!(previews.free.available_permits(), 0);
        assert!(starts.try_recv().is_err(), "the third waits");
        release.send(()).unwrap();
        starts.recv().unwrap();
        drop(release);
    }
}
