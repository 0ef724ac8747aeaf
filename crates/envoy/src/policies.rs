//! Policies that follow their files. Filters with the same file share one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::Thread;
use std::time::Duration;

use portcullis::Authorizer;
use portcullis::base::system_words;
use portcullis_envoy_abi::{Level, log};
use portcullis_live::{Shared, Source, State, Watched};

/// A policy that follows its source, until the last filter that uses it is gone.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) shared: Arc<Shared>,
    thread: Thread,
}

/// The name of a source and the interval of its checks.
type Key = (String, Duration);

static OPEN: Mutex<BTreeMap<Key, Weak<Live>>> = Mutex::new(BTreeMap::new());

/// Returns the policy of the source called `name`, and starts the thread that checks it. A configuration that replaces
/// another one continues with its policy.
///
/// A source that is missing or not valid is not an error: until it is valid, every request is denied with 503.
pub(crate) fn open(name: &str, poll: Duration) -> Result<Arc<Live>, String> {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.retain(|_, live| live.strong_count() > 0);
    let source = Source::named(name)?;
    let key = (name.to_owned(), poll);
    if let Some(live) = open.get(&key).and_then(Weak::upgrade) {
        return Ok(live);
    }
    let shared = Arc::new(Shared::new(Authorizer::unavailable()));
    let watched = Watched::new(source, poll);
    // The thread reports later states.
    let _ = shared.reload(&watched, true);
    report(name, &shared.state());
    let name = name.to_owned();
    let started = watched.start(&shared, move |state| report(&name, state));
    let thread = started
        .map_err(|error| format!("cannot start the thread that follows the policy: {}", system_words(&error)))?;
    let live = Arc::new(Live { shared, thread: thread.thread().clone() });
    open.insert(key, Arc::downgrade(&live));
    Ok(live)
}

fn report(name: &str, state: &State) {
    match state {
        State { generation, error: None } => {
            log(Level::Info, &format!("generation {generation} is read from `{name}`"));
        }
        State { generation: 0, error: Some(error) } => {
            log(Level::Error, &format!("every request is denied with 503, because no policy is available: {error}"));
        }
        State { generation, error: Some(error) } => {
            log(Level::Warning, &format!("generation {generation} stays, because a newer one is not valid: {error}"));
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.shared.stop();
        // It ends by itself: waiting for a reload would stop a worker.
        self.thread.unpark();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a helper of tests fails as a test does")]
mod tests {
    use super::open;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn filters_share_the_policy_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        std::fs::write(&path, "[]").unwrap();
        let poll = Duration::from_millis(5);
        let (first, second) =
            (open(path.to_str().unwrap(), poll).unwrap(), open(path.to_str().unwrap(), poll).unwrap());
        assert!(Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&first, &open(path.to_str().unwrap(), poll * 2).unwrap()), "another interval");
        assert_eq!(first.shared.state().generation, 1);
    }

    #[test]
    fn missing_or_damaged_file_is_followed_until_it_is_valid() {
        for damaged in [None, Some("{"), Some("")] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("policy.json");
            if let Some(text) = damaged {
                std::fs::write(&path, text).unwrap();
            }
            let live = open(path.to_str().unwrap(), Duration::from_millis(5)).unwrap();
            assert!(live.shared.authorizer.current().snapshot().is_none() && live.shared.state().error.is_some());
            let new = path.with_extension("new");
            std::fs::write(&new, "[]").unwrap();
            std::fs::rename(&new, &path).unwrap();
            while live.shared.state().generation == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert_eq!(live.shared.state().error, None);
        }
    }

    #[test]
    fn thread_ends_with_the_last_filter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.json");
        let live = open(path.to_str().unwrap(), Duration::from_hours(1)).unwrap();
        let shared = Arc::downgrade(&live.shared);
        drop(live);
        while shared.strong_count() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
