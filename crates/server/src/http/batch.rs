//! Lists of requests: their maximum length, and how they yield to other requests.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::Refused;
use super::object::Place;

/// The time that a list runs before it yields.
const SLICE: Duration = Duration::from_millis(1);

/// Returns the elements of the JSON list `text` at `place`, each as its text. Fails if there are more than `limit`.
pub(super) fn elements(place: Place, text: &[u8], limit: usize) -> Result<Vec<&RawValue>, Refused> {
    let is_long = Cell::new(false);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let list = Elements { limit, is_long: &is_long }.deserialize(&mut deserializer);
    let list = list.and_then(|list| deserializer.end().map(|()| list));
    list.map_err(|error| {
        if is_long.get() {
            Refused::TooLarge(format!(
                "the list has more than {limit} elements: send it in parts, or raise `--max-batch`"
            ))
        } else {
            Refused::Invalid(place.message("", &error))
        }
    })
}

struct Elements<'a> {
    limit: usize,
    is_long: &'a Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = Vec<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of requests, such as `[{}]`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            if list.len() == self.limit {
                self.is_long.set(true);
                return Err(A::Error::custom("too many elements"));
            }
            list.push(element);
        }
        Ok(list)
    }
}

/// Limits the lists that run at once. They take turns with single requests, and with each other.
#[derive(Debug)]
pub(super) struct Batches(Semaphore);

impl Batches {
    /// Allows lists to use at most half of `threads`.
    pub(super) fn new(threads: usize) -> Self {
        Self(Semaphore::new(threads.div_ceil(2).clamp(1, Semaphore::MAX_PERMITS)))
    }

    /// Waits for the turn of a list.
    pub(super) async fn turn(&self) -> Turn<'_> {
        // The semaphore is never closed.
        Turn { _permit: self.0.acquire().await.ok(), since: Instant::now() }
    }
}

/// The turn of one list.
#[derive(Debug)]
pub(super) struct Turn<'b> {
    _permit: Option<SemaphorePermit<'b>>,
    since: Instant,
}

impl Turn<'_> {
    /// Yields to other requests if this list has run for long. Call before each element: a list whose time limit has passed
    /// is cancelled here.
    pub(super) async fn pause(&mut self) {
        if self.since.elapsed() >= SLICE {
            tokio::task::yield_now().await;
            self.since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_what_was_expected() {
        let list = Place::Member("evaluations");
        for (place, text, expected) in [
            (list, "{}", "`evaluations`: expected a list of requests, such as `[{}]`, found an object"),
            (list, "\"[]\"", "`evaluations`: expected a list of requests, such as `[{}]`, found a string"),
            (list, "null", "`evaluations`: expected a list of requests, such as `[{}]`, found null"),
            (Place::Body, "[1,\n2", "the JSON is cut off in a list (line 2 column 1)"),
            (Place::Body, "[1] 2", "expected nothing after the JSON (line 1 column 5)"),
        ] {
            let Err(Refused::Invalid(found)) = elements(place, text.as_bytes(), 3) else { panic!("{text}") };
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn reading_stops_at_the_first_element_beyond_the_limit() {
        let read = |text: &str| match elements(Place::Body, text.as_bytes(), 3) {
            Ok(list) => format!("{}", list.len()),
            Err(Refused::TooLarge(_)) => "too large".to_owned(),
            Err(Refused::Invalid(_)) => "invalid".to_owned(),
        };
        for (text, found) in [
            ("[]", "0"),
            ("[1, {}, [[]]]", "3"),
            ("[1,2,3,4]", "too large"),
            // The text after the limit is not read.
            ("[1,2,3,4,", "too large"),
            ("[1,2,3", "invalid"),
            ("[1] 2", "invalid"),
            ("{}", "invalid"),
            ("", "invalid"),
        ] {
            assert_eq!(read(text), found, "{text}");
        }
    }
}
