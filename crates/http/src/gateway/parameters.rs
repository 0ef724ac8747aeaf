//! Parameters: the query, and the keys of a JSON body (W2).

use std::borrow::Cow;

use smallvec::SmallVec;

use super::NotUnderstood;
use super::keys::Keys;
use super::object::{self, Value};
use super::percent::{Plus, check, decode};
use portcullis::base::bytes::{Offsets, contains};

/// Up to this number of keys, comparing each with each is cheaper than sorting them.
const FEW: usize = 24;

/// The maximum number of parameters of a query.
const MOST: usize = 500;

type Pairs<K, V> = SmallVec<[(K, V); FEW]>;

/// The parameters of a request. No key occurs twice in the query or in the body, nor in both with different values.
/// Each key is plain, and none resembles a key of the route.
pub(super) struct Parameters<'r> {
    keys: &'r Keys,
    /// Keys, and values as sent.
    query: Pairs<Cow<'r, [u8]>, &'r str>,
    body: Option<Pairs<Cow<'r, str>, Value<'r>>>,
}

impl<'r> Parameters<'r> {
    /// Creates an empty set for a route that reads `keys`.
    pub(super) fn new(keys: &'r Keys) -> Self {
        Self { keys, query: Pairs::new(), body: None }
    }

    /// Reads a form-encoded query of ASCII characters.
    pub(super) fn read_query(&mut self, text: &'r str) -> Result<(), NotUnderstood> {
        let query = text.as_bytes();
        // Some servers split parameters at semicolons, too.
        if contains(query, b';') {
            return Err(NotUnderstood::new("a `;` in the query, which some take for an `&`"));
        }
        if query.is_empty() {
            return Ok(());
        }
        let beyond_ascii = check(query)?;
        let pairs = &mut self.query;
        let mut repeats = Repeats::default();
        let mut marks = Offsets::new(query, |lanes| lanes.equal(b'&') | lanes.equal(b'='));
        let (mut start, mut equal) = (0, None);
        while start <= query.len() {
            let at = marks.next().unwrap_or(query.len());
            if query.get(at) == Some(&b'=') {
                equal = equal.or(Some(at));
                continue;
            }
            if pairs.len() == MOST {
                return Err(NotUnderstood::new("more than 500 parameters in the query"));
            }
            let key = query.get(start..equal.unwrap_or(at)).unwrap_or_default();
            let value = equal.and_then(|equal| text.get(equal + 1..at)).unwrap_or_default();
            let key = self.keys.decode(key)?;
            if beyond_ascii && check(value.as_bytes())? {
                // Checks that the bytes are UTF-8.
                decode(value, Plus::Space)?;
            }
            repeats.next(&key, pairs.iter().map(|(key, _)| &**key));
            pairs.push((key, value));
            (start, equal) = (at + 1, None);
        }
        if repeats.any(pairs.iter().map(|(key, _)| &**key)) {
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
        let mut repeats = Repeats::default();
        for (at, (key, _)) in pairs.iter().enumerate() {
            self.keys.check(key.as_bytes())?;
            repeats.next(key.as_bytes(), pairs.iter().take(at).map(|(key, _)| key.as_bytes()));
        }
        if repeats.any(pairs.iter().map(|(key, _)| key.as_bytes())) {
            return Err(NotUnderstood::new("a key is given twice in the body"));
        }
        for (key, value) in &self.query {
            let Some((_, other)) = pairs.iter().find(|(other, _)| other.as_bytes() == &**key) else { continue };
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
        let found = self.query.iter().find(|(key, _)| **key == *name.as_bytes());
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

/// Whether a string of this JSON holds a NUL, in a key or a value: an escape whose backslash is not itself escaped.
fn writes_nul(json: &str) -> bool {
    memchr::memmem::find_iter(json.as_bytes(), "\\u0000").any(|at| {
        let before = json.as_bytes().get(..at).unwrap_or_default();
        before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
    })
}

/// Finds a key that occurs twice.
#[derive(Default)]
struct Repeats {
    /// One bit for each group of keys that resemble each other: only keys of one group are compared.
    looks: u64,
    count: usize,
    found: bool,
}

impl Repeats {
    /// Adds a key after the keys `before` it.
    #[inline]
    fn next<'k>(&mut self, key: &[u8], mut before: impl Iterator<Item = &'k [u8]>) {
        let end = |byte: Option<&u8>| byte.copied().map_or(0, usize::from);
        let look = 1 << ((end(key.first()) * 7 + end(key.last()) * 3 + key.len()) % 64);
        if self.looks & look != 0 && self.count < FEW {
            self.found |= before.any(|before| before == key);
        }
        self.looks |= look;
        self.count += 1;
    }

    /// Whether one of all the added `keys` occurs twice.
    fn any<'k>(self, keys: impl Iterator<Item = &'k [u8]>) -> bool {
        if self.count <= FEW {
            return self.found;
        }
        let mut keys: Vec<&[u8]> = keys.collect();
        keys.sort_unstable();
        keys.array_windows().any(|[one, next]| one == next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_is_found_at_every_position_and_in_lists_of_any_length() {
        for count in [1, 2, 3, FEW - 1, FEW, FEW + 1, 100] {
            let keys: Vec<String> = (0..count).map(|at| format!("key{at}x")).collect();
            let query: Vec<String> = keys.iter().map(|key| format!("{key}=1")).collect();
            let (query, read) = (query.join("&"), Keys::new(["name"]));
            Parameters::new(&read).read_query(&query).unwrap();
            for key in &keys {
                for twice in [format!("{query}&{key}"), format!("{key}=2&{query}")] {
                    assert!(Parameters::new(&read).read_query(&twice).is_err(), "{twice}");
                }
            }
        }
    }

    #[test]
    fn queries_are_split_as_their_definition_says() {
        let read = Keys::new(["name", "q"]);
        let pieces = ["a", "name", "=", "&", "%20", "b-1", "q", "%3D", "+", "x_y.z"];
        // Each query is the number of its pieces, to the base of their count.
        for number in 0..100_000_usize {
            let digits = (0..5).map(|at| number / 10_usize.pow(at) % 10);
            let query: String = digits.filter_map(|digit| pieces.get(digit).copied()).collect();
            let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            let pairs: Vec<(&str, &str)> = pairs.collect();
            let is_plain = |key: &str| !key.is_empty() && !key.contains(['%', '+']);
            let keys: std::collections::HashSet<&str> = pairs.iter().map(|(key, _)| *key).collect();
            let is_valid = pairs.iter().all(|(key, _)| is_plain(key)) && keys.len() == pairs.len();
            let mut parameters = Parameters::new(&read);
            // An encoded key may be plain once it is decoded: `%3D` and `%20` never are.
            assert_eq!(parameters.read_query(&query).is_ok(), is_valid, "{query}");
            if is_valid {
                for (key, value) in pairs {
                    let value = value.replace("%20", " ").replace('+', " ").replace("%3D", "=");
                    assert_eq!(parameters.get(key).unwrap().as_deref(), Some(&*value), "{query}");
                }
            }
        }
    }
}
