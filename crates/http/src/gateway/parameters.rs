//! Parameters: the query, and the keys of a JSON body (W2).

use std::borrow::Cow;

use smallvec::SmallVec;

use super::NotUnderstood;
use super::keys::Keys;
use super::object::{self, Value};
use super::percent::{Plus, decode, escape};
use portcullis::base::bytes::{Offsets, contains};

/// Up to this number of keys, comparing each with each is cheaper than sorting them.
const FEW: usize = 24;

/// The maximum number of parameters of a query.
const MOST: usize = 500;

type Pairs<'r, V> = SmallVec<[(Cow<'r, str>, V); FEW]>;

/// The parameters of a request. No key occurs twice in the query or in the body, nor in both with different values.
/// Each key is plain, and none resembles a key of the route.
pub(super) struct Parameters<'r> {
    keys: &'r Keys,
    /// Keys, and values as sent.
    query: Pairs<'r, &'r str>,
    body: Option<Pairs<'r, Value<'r>>>,
}

impl<'r> Parameters<'r> {
    /// Creates an empty set for a route that reads `keys`.
    pub(super) fn new(keys: &'r Keys) -> Self {
        Self { keys, query: Pairs::new(), body: None }
    }

    /// Reads a form-encoded query.
    pub(super) fn read_query(&mut self, query: &'r str) -> Result<(), NotUnderstood> {
        // Some servers split parameters at semicolons, too.
        if contains(query.as_bytes(), b';') {
            return Err(NotUnderstood::new("a `;` in the query, which some take for an `&`"));
        }
        if query.is_empty() {
            return Ok(());
        }
        let pairs = &mut self.query;
        let marks = Offsets::new(query.as_bytes(), |lanes| {
            lanes.equal(b'&') | lanes.equal(b'=') | lanes.equal(b'%') | lanes.equal(b'+')
        });
        let (mut start, mut equal, mut is_encoded) = (0, None, Encoded::default());
        for at in marks.chain([query.len()]) {
            match query.as_bytes().get(at) {
                Some(b'=') => equal = equal.or(Some(at)),
                Some(b'+' | b'%') if equal.is_none() => is_encoded.key = true,
                Some(b'%') => is_encoded.beyond_ascii |= !escape(query.as_bytes(), at)?.is_ascii(),
                Some(b'+') => {}
                _ => {
                    if pairs.len() == MOST {
                        return Err(NotUnderstood::new("more than 500 parameters in the query"));
                    }
                    let key = query.get(start..equal.unwrap_or(at)).unwrap_or_default();
                    let value = equal.and_then(|equal| query.get(equal + 1..at)).unwrap_or_default();
                    let key = if is_encoded.key { decode(key, Plus::Space)? } else { Cow::Borrowed(key) };
                    self.keys.check(&key)?;
                    if is_encoded.beyond_ascii {
                        decode(value, Plus::Space)?;
                    }
                    pairs.push((key, value));
                    (start, equal, is_encoded) = (at + 1, None, Encoded::default());
                }
            }
        }
        if repeats(pairs) {
            return Err(NotUnderstood::new("a parameter is given twice in the query"));
        }
        Ok(())
    }

    /// Reads the keys of a JSON object.
    pub(super) fn read_body(&mut self, body: &'r [u8]) -> Result<(), NotUnderstood> {
        let text = std::str::from_utf8(body).map_err(|_| NotUnderstood::new("a body that is not UTF-8"))?;
        let mut pairs = Pairs::new();
        object::read(text, |key, value| pairs.push((key, value)))
            .ok_or_else(|| NotUnderstood::new("a body that is not a JSON object"))?;
        let is_plain = |(key, value): &(Cow<'_, str>, Value<'_>)| {
            matches!(key, Cow::Borrowed(_)) && matches!(value, Value::Plain(_))
        };
        // Plain texts have no escapes.
        if !pairs.iter().all(is_plain) && writes_nul(text) {
            return Err(NotUnderstood::new("a NUL character"));
        }
        for (key, _) in &pairs {
            self.keys.check(key)?;
        }
        if repeats(&pairs) {
            return Err(NotUnderstood::new("a key is given twice in the body"));
        }
        for (key, value) in &self.query {
            let Some((_, other)) = pairs.iter().find(|(other, _)| other == key) else { continue };
            let value = decode(value, Plus::Space)?;
            if other.text().unwrap_or(Cow::Borrowed(other.written())) != value {
                return Err(NotUnderstood::new("a parameter differs between the query and the body"));
            }
        }
        self.body = Some(pairs);
        Ok(())
    }

    /// Returns the value of `name` from the query or the body. Rejects a value of the body that is not a string.
    pub(super) fn get(&self, name: &str) -> Result<Option<Cow<'r, str>>, NotUnderstood> {
        if let Some((_, value)) = self.body.iter().flatten().find(|(key, _)| key == name) {
            return value
                .text()
                .map(Some)
                .ok_or_else(|| NotUnderstood::new(format!("`{name}` in the body is not a text")));
        }
        let found = self.query.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| decode(value, Plus::Space)).transpose()
    }

    /// Returns the value of `name` in the query. It may not occur in the body.
    pub(super) fn get_of_query(&self, name: &str) -> Result<Option<Cow<'r, str>>, NotUnderstood> {
        let found = self.get(name)?;
        if self.body.iter().flatten().any(|(key, _)| key == name) {
            return Err(NotUnderstood::new(format!("`{name}` in the body")));
        }
        Ok(found)
    }
}

/// What the escapes of a parameter encode.
#[derive(Default)]
struct Encoded {
    /// Part of the key. A `+` counts, because it is a space.
    key: bool,
    /// A byte of the value that is not ASCII.
    beyond_ascii: bool,
}

/// Splits `text` at the first `at`, an ASCII character. The second part is `None` if there is none.
pub(super) fn split_at(text: &str, at: u8) -> (&str, Option<&str>) {
    let found = memchr::memchr(at, text.as_bytes());
    let halves = found.and_then(|found| Some((text.get(..found)?, Some(text.get(found + 1..)?))));
    halves.unwrap_or((text, None))
}

/// Whether a string of this JSON holds a NUL, in a key or a value: an escape whose backslash is not itself escaped.
fn writes_nul(json: &str) -> bool {
    memchr::memmem::find_iter(json.as_bytes(), "\\u0000").any(|at| {
        let before = json.as_bytes().get(..at).unwrap_or_default();
        before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    })
}

/// Whether a key occurs twice.
fn repeats<V>(pairs: &[(Cow<'_, str>, V)]) -> bool {
    if pairs.len() <= FEW {
        // One bit for each group of keys that resemble each other: only keys of one group are compared.
        let mut looks = 0_u64;
        return pairs.iter().enumerate().any(|(at, (key, _))| {
            let ends = [key.as_bytes().first(), key.as_bytes().last()].map(|end| end.copied().unwrap_or_default());
            let look = 1 << ((usize::from(ends[0]) * 7 + usize::from(ends[1]) * 3 + key.len()) % 64);
            let is_new = looks & look == 0;
            looks |= look;
            !is_new && pairs.iter().take(at).any(|(before, _)| before == key)
        });
    }
    let mut keys: Vec<&str> = pairs.iter().map(|(key, _)| &**key).collect();
    keys.sort_unstable();
    keys.array_windows().any(|[one, next]| one == next)
}
