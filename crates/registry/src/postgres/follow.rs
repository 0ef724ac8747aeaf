//! Notices commits: by notifications on a connection of its own, and by polling, which also works without notifications.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::connect::{Target, within};

/// The channel on which the database announces revisions.
const CHANNEL: &str = "portcullis";

/// How often the version is read, whatever notifications say.
const POLL: Duration = Duration::from_secs(2);

/// The longest pause between two attempts to listen.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// How long to look for a notification that was already received.
const LOOK: Duration = Duration::from_millis(1);

/// The maximum number of notifications that are taken at once.
const AT_ONCE: usize = 10_000;

/// How long to wait until the server knows that a connection ended.
const FAREWELL: Duration = Duration::from_millis(200);

/// The state of a database as it was last noticed.
pub(super) struct Follower {
    listener: Option<Listener>,
    /// When to try to listen again, and how long to pause after the attempt.
    listen_at: Instant,
    pause: Duration,
    polled: Option<(Instant, u64)>,
}

struct Listener {
    pool: PgPool,
    receiver: PgListener,
}

/// The result of a look at the notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Nothing,
    Commit,
    /// The connection ended.
    End,
}

impl Follower {
    pub(super) fn new() -> Self {
        Self { listener: None, listen_at: Instant::now(), pause: POLL, polled: None }
    }

    /// Returns the version as far as it is known, and reads it by `read` if a commit was announced or a poll is due.
    pub(super) fn version<E>(
        &mut self,
        runtime: &Runtime,
        target: &Target,
        mut read: impl FnMut() -> Result<u64, E>,
    ) -> Result<u64, E> {
        let mut heard = self.listen(runtime);
        if heard == Heard::End {
            self.close(runtime);
            (self.listen_at, self.pause) = (Instant::now(), POLL);
        }
        // A pooler would keep listening for us on a connection that it gives to other clients.
        if self.listener.is_none() && !target.is_pooled && self.listen_at <= Instant::now() {
            self.listen_at = Instant::now() + self.pause;
            self.pause = (self.pause * 2).min(MAX_PAUSE);
            self.listener = runtime.block_on(Listener::start(target));
            // Commits before this were not announced here: poll first.
            heard = Heard::End;
        }
        if let Some((at, version)) = self.polled
            && heard == Heard::Nothing
            && at.elapsed() < POLL
        {
            return Ok(version);
        }
        let before = self.polled.map(|(_, version)| version);
        let version = read()?;
        self.polled = Some((Instant::now(), version));
        if heard == Heard::Nothing && before.is_some_and(|before| before != version) {
            // The connection may be deaf. Otherwise the notification is on its way.
            match self.listen(runtime) {
                Heard::Commit => {}
                Heard::Nothing | Heard::End => self.close(runtime),
            }
        } else if heard == Heard::Commit {
            self.pause = POLL;
        }
        Ok(version)
    }

    fn listen(&mut self, runtime: &Runtime) -> Heard {
        self.listener.as_mut().map_or(Heard::Nothing, |listener| runtime.block_on(listener.look()))
    }

    /// Ends listening, until the next attempt.
    pub(super) fn close(&mut self, runtime: &Runtime) {
        if let Some(Listener { pool, receiver }) = self.listener.take() {
            runtime.block_on(async move {
                drop(receiver);
                // Whether the server answers does not matter.
                let _ = timeout(FAREWELL, pool.close()).await;
            });
        }
    }
}

impl Listener {
    /// Listens on a new connection; `None` if the server does not allow that, such as a standby.
    async fn start(target: &Target) -> Option<Self> {
        let options = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let pool = options.acquire_timeout(target.patience).connect_lazy_with(target.options.clone());
        let started = within(target.patience, async {
            let mut receiver = PgListener::connect_with(&pool).await?;
            receiver.eager_reconnect(false);
            receiver.listen(CHANNEL).await?;
            Ok(receiver)
        });
        started.await.ok().map(|receiver| Self { pool, receiver })
    }

    async fn look(&mut self) -> Heard {
        let mut heard = Heard::Nothing;
        for _ in 0..AT_ONCE {
            match timeout(LOOK, self.receiver.try_recv()).await {
                Ok(Ok(Some(_))) => heard = Heard::Commit,
                Ok(Ok(None) | Err(_)) => return Heard::End,
                Err(_) => break,
            }
        }
        heard
    }
}
