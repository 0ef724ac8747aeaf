//! Counts the names of a catalog on several threads.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::counts::{Batch, NameCounts};
use crate::catalog::WrittenName;
use crate::coverage::Coverage;
use portcullis::model::{Connection, ConnectionId};

/// Max names of one batch.
const BATCH: usize = 4096;
/// Max bytes of names that wait in unfinished batches, for all connections together.
const WAITING: usize = 8 << 20;

/// Groups the names of a catalog into batches of one connection each.
pub struct Batcher<'c, 'p> {
    coverage: &'c Coverage<'p>,
    /// By connection, the names that wait.
    waiting: Vec<Batch>,
    bytes: usize,
}

impl<'c, 'p> Batcher<'c, 'p> {
    /// Creates a batcher for the connections of a policy.
    pub fn new(coverage: &'c Coverage<'p>) -> Self {
        let waiting = coverage.connections().iter().map(|_| Batch::default()).collect();
        Self { coverage, waiting, bytes: 0 }
    }

    /// Adds the name on `line` of the catalog, and passes batches that are complete to `send`.
    pub fn add(
        &mut self,
        connection: ConnectionId,
        line: u64,
        name: &WrittenName<'_>,
        mut send: impl FnMut(ConnectionId, Batch),
    ) {
        let dialect = self.coverage.policy().connection(connection).map(Connection::dialect).unwrap_or_default();
        let Some(batch) = self.waiting.get_mut(connection.index()) else { return };
        let before = batch.bytes();
        batch.push(line, |text| name.write(dialect, text));
        self.bytes += batch.bytes() - before;
        if batch.len() >= BATCH {
            self.bytes -= batch.bytes();
            send(connection, std::mem::take(batch));
        } else if self.bytes > WAITING {
            self.flush(send);
        }
    }

    /// Passes every batch that is not empty to `send`.
    pub fn flush(&mut self, mut send: impl FnMut(ConnectionId, Batch)) {
        for (connection, batch) in (0..).map(ConnectionId::new).zip(&mut self.waiting) {
            if !batch.is_empty() {
                send(connection, std::mem::take(batch));
            }
        }
        self.bytes = 0;
    }
}

/// The batches that are not counted yet.
struct Source<I, E> {
    batches: I,
    ended: bool,
    error: Option<E>,
}

/// Counts `batches` on `threads` threads, until they end or one of them is an error. End the iterator early to stop.
///
/// Each thread takes the next batch from the iterator when it is free, one thread at a time. An iterator that waits for
/// its batches, such as that of a channel, bounds the memory.
///
/// # Errors
///
/// Returns the first error of `batches`.
///
/// ```
/// use std::num::NonZero;
/// use portcullis_audit::coverage::Coverage;
/// use portcullis_audit::exposure::{Batch, Exposure, count};
///
/// let policy = portcullis_document::read_policy(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
///     "grants": [{"connection_name": "dw", "source": "db.s.*"}]}]"#)?;
/// let coverage = Coverage::new(&policy, "2026-11-24".parse()?);
/// let connection = coverage.connection("dw").unwrap();
/// let batches = ["db.s.roads", "db.t.roads"].map(|name| {
///     let mut batch = Batch::default();
///     batch.push(1, |text| text.push_str(name));
///     Ok::<_, std::io::Error>((connection, batch))
/// });
/// let counted = count(&coverage, batches.into_iter(), NonZero::new(2).unwrap())?;
/// let exposure = Exposure::new(&coverage, counted);
/// assert_eq!((exposure.names, exposure.exposed), (2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn count<E: Send>(
    coverage: &Coverage<'_>,
    batches: impl Iterator<Item = Result<(ConnectionId, Batch), E>> + Send,
    threads: NonZero<usize>,
) -> Result<NameCounts, E> {
    let source = Mutex::new(Source { batches, ended: false, error: None });
    let mut total = NameCounts::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(|| work(coverage, &source))).collect();
        for worker in workers {
            match worker.join() {
                Ok(part) => total.add(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    let error = source.into_inner().unwrap_or_else(PoisonError::into_inner).error;
    error.map_or(Ok(total), Err)
}

fn work<E>(
    coverage: &Coverage<'_>,
    source: &Mutex<Source<impl Iterator<Item = Result<(ConnectionId, Batch), E>>, E>>,
) -> NameCounts {
    let mut counts = NameCounts::default();
    let next = || {
        let mut source = source.lock().unwrap_or_else(PoisonError::into_inner);
        if source.ended {
            return None;
        }
        let next = source.batches.next().transpose();
        source.ended = !matches!(next, Ok(Some(_)));
        next.unwrap_or_else(|error| {
            source.error = Some(error);
            None
        })
    };
    while let Some((connection, batch)) = next() {
        counts.see(coverage, connection, &batch);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposure::Exposure;

    #[test]
    fn count_adds_the_batches_of_all_threads_and_stops_at_the_first_error() {
        let policy = portcullis_document::read_policy(
            r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
                "grants": [{"connection_name": "dw", "source": "db.s.*"}]}]"#,
        )
        .unwrap();
        let coverage = Coverage::new(&policy, "2026-11-24".parse().unwrap());
        let connection = coverage.connection("dw").unwrap();
        let batch = |number: u64| {
            let mut batch = Batch::default();
            for schema in ["s", "t"] {
                let name = format!("db.{schema}.n{number}");
                batch.push(number, |text| text.push_str(&name));
            }
            (connection, batch)
        };
        let threads = NonZero::new(3).unwrap();
        let counted = count(&coverage, (0..100).map(|number| Ok::<_, ()>(batch(number))), threads).unwrap();
        let exposure = Exposure::new(&coverage, counted);
        assert_eq!((exposure.names, exposure.exposed), (200, 100));
        let mut taken = 0;
        let failing = (0..100).map(|number| if number == 5 { Err("broken") } else { Ok(batch(number)) });
        assert_eq!(count(&coverage, failing.inspect(|_| taken += 1), threads).err(), Some("broken"));
        assert_eq!(taken, 6);
    }
}
