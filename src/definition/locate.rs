//! From places back to the text.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::form::{Form, trim, without_bom};
use crate::base::{Place, Step};

/// What of a place to find in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target<'p> {
    /// The value that stands there; of a field given twice, the first.
    Value(&'p Place),
    /// The key that leads there, with its quotes; of a field given twice, the last. A place in a list has none: its
    /// value.
    Key(&'p Place),
}

/// The bytes of `text` that each target stands at, or `None` where it does not stand in the text.
///
/// `text` is a document that [`read`](super::read) takes. Each level of it that leads to a target is parsed once,
/// however many targets it leads to: the cost is at most linear in the length of `text` times the depth of the places.
///
/// ```
/// use portcullis::base::Place;
/// use portcullis::definition::{Target, locate};
///
/// let text = r#"{"tokens": [{"id": "a"}, {"id": "b"}]}"#;
/// let id = Place::root().key("tokens").index(1).key("id");
/// let [value, key] = locate(text, &[Target::Value(&id), Target::Key(&id)]).try_into().unwrap();
/// assert_eq!(&text[value.unwrap()], r#""b""#);
/// assert_eq!(&text[key.unwrap()], r#""id""#);
/// ```
pub fn locate(text: &str, targets: &[Target<'_>]) -> Vec<Option<Range<usize>>> {
    let mut root = Node::default();
    for (index, target) in targets.iter().enumerate() {
        root.want(index, *target);
    }
    let mut spans = Spans { text, found: vec![None; targets.len()] };
    let body = without_bom(text);
    let tokens = root.keys.get("tokens");
    match Form::of(body) {
        Form::Empty => {}
        Form::Document | Form::Other => spans.value(&root, trim(body)),
        form => {
            spans.first(&root.values, trim(body));
            if let Some(tokens) = tokens {
                spans.tokens(tokens, form, body);
            }
        }
    }
    spans.found
}

/// A place on the way to a target.
#[derive(Default)]
struct Node<'p> {
    /// The targets that want the value that stands here.
    values: Vec<usize>,
    /// The targets that want the key that leads here.
    names: Vec<usize>,
    keys: HashMap<&'p str, Node<'p>>,
    items: BTreeMap<usize, Node<'p>>,
}

impl<'p> Node<'p> {
    fn want(&mut self, index: usize, target: Target<'p>) {
        let (Target::Value(place) | Target::Key(place)) = target;
        let mut node = self;
        for step in place.steps() {
            node = match step {
                Step::Key(key) => node.keys.entry(key).or_default(),
                Step::Index(index) => node.items.entry(*index).or_default(),
            };
        }
        match (target, place.steps().last()) {
            (Target::Key(_), Some(Step::Key(_))) => node.names.push(index),
            _ => node.values.push(index),
        }
    }
}

/// What has been found.
struct Spans<'t> {
    text: &'t str,
    found: Vec<Option<Range<usize>>>,
}

impl<'t> Spans<'t> {
    /// `raw`, a value of the text, stands at `node`.
    fn value(&mut self, node: &Node<'_>, raw: &'t str) {
        self.first(&node.values, raw);
        if node.keys.is_empty() && node.items.is_empty() {
            return;
        }
        // What is not JSON ends the search below this node, and what was found before stands.
        let _ = Below { node, spans: self }.deserialize(&mut serde_json::Deserializer::from_str(raw));
    }

    /// The tokens of `body` stand at `node`, in a form that has no `tokens` around them.
    fn tokens(&mut self, node: &Node<'_>, form: Form, body: &'t str) {
        if form == Form::List {
            return self.value(node, trim(body));
        }
        self.first(&node.values, trim(body));
        let lines = body.split('\n').map(trim).filter(|line| !line.is_empty());
        let one = std::iter::once(trim(body));
        let tokens: &mut dyn Iterator<Item = &'t str> = if form == Form::Lines { &mut { lines } } else { &mut { one } };
        for (index, token) in tokens.enumerate() {
            if let Some(node) = node.items.get(&index) {
                self.value(node, token);
            }
        }
    }

    fn first(&mut self, targets: &[usize], part: &str) {
        let span = self.span(part);
        for target in targets {
            if let Some(found @ None) = self.found.get_mut(*target) {
                found.clone_from(&span);
            }
        }
    }

    fn last(&mut self, targets: &[usize], part: &str) {
        let span = self.span(part);
        for target in targets {
            if let Some(found) = self.found.get_mut(*target) {
                found.clone_from(&span);
            }
        }
    }

    /// Where `part`, a slice of the text, stands in it.
    fn span(&self, part: &str) -> Option<Range<usize>> {
        let start = part.as_ptr().addr().checked_sub(self.text.as_ptr().addr())?;
        let end = start.checked_add(part.len())?;
        (end <= self.text.len()).then_some(start..end)
    }
}

/// One level of the text, below `node`.
struct Below<'a, 'p, 't> {
    node: &'a Node<'p>,
    spans: &'a mut Spans<'t>,
}

impl<'t> DeserializeSeed<'t> for Below<'_, '_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for Below<'_, '_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            if let Some(node) = unquoted(name.get()).and_then(|name| self.node.keys.get(&*name)) {
                self.spans.last(&node.names, name.get());
                self.spans.value(node, value.get());
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(value) = list.next_element::<&RawValue>()? {
            if let Some(node) = self.node.items.get(&index) {
                self.spans.value(node, value.get());
            }
            index += 1;
        }
        Ok(())
    }
}

/// The string that `json` writes.
fn unquoted(json: &str) -> Option<Cow<'_, str>> {
    let plain = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).filter(|text| !text.contains('\\'));
    match plain {
        Some(text) => Some(Cow::Borrowed(text)),
        None => serde_json::from_str(json).ok().map(Cow::Owned),
    }
}
