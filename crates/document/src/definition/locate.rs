//! Spans of JSON paths in the text.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::form::{Form, trim, without_bom};
use portcullis::base::{JsonPath, Step};

/// The part of the text to find for a JSON path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Target<'p> {
    /// The value; of a duplicate field, the first.
    Value(&'p JsonPath),
    /// The key with its quotes; of a duplicate field, the last. For an element of a list, the value.
    Key(&'p JsonPath),
}

/// Returns the span of each target in `text`, or `None` if it is not there.
///
/// `text` is a document that [`read`](super::read) accepts. Each level that leads to a target is parsed once, however
/// many targets it leads to. Cost: at most linear in the length of `text` times the depth of the paths, plus sorting
/// the targets.
///
/// ```
/// use portcullis::base::JsonPath;
/// use portcullis_document::definition::{Target, locate};
///
/// let text = r#"{"tokens": [{"id": "a"}, {"id": "b"}]}"#;
/// let id = JsonPath::root().key("tokens").index(1).key("id");
/// let [value, key] = locate(text, &[Target::Value(&id), Target::Key(&id)]).try_into().unwrap();
/// assert_eq!(&text[value.unwrap()], r#""b""#);
/// assert_eq!(&text[key.unwrap()], r#""id""#);
/// ```
pub fn locate(text: &str, targets: &[Target<'_>]) -> Vec<Option<Range<usize>>> {
    let mut ordered: Vec<(usize, Target<'_>)> = targets.iter().copied().enumerate().collect();
    ordered.sort_by(|(_, a), (_, b)| a.path().cmp(b.path()));
    let root = Node { targets: &ordered, depth: 0 };
    let mut spans = Spans { text, found: vec![None; targets.len()] };
    let body = without_bom(text);
    match Form::of(body) {
        Form::Empty => {}
        Form::Document | Form::Other => spans.value(root, trim(body)),
        form => {
            spans.first(root.here(), trim(body));
            spans.tokens(root.key("tokens"), form, body);
        }
    }
    spans.found
}

impl<'p> Target<'p> {
    fn path(self) -> &'p JsonPath {
        let (Self::Value(path) | Self::Key(path)) = self;
        path
    }

    /// Whether the target is a key.
    fn is_key(self) -> bool {
        matches!((self, self.path().steps().last()), (Self::Key(_), Some(Step::Key(_))))
    }
}

/// A level of the document that leads to targets.
#[derive(Clone, Copy)]
struct Node<'o> {
    /// The targets with their numbers.
    // INVARIANT: sorted by JSON path; the first `depth` steps of all paths are the same.
    targets: &'o [(usize, Target<'o>)],
    depth: usize,
}

impl<'o> Node<'o> {
    /// Returns the targets at this level: shorter paths are sorted first.
    fn here(self) -> &'o [(usize, Target<'o>)] {
        let here = self.targets.iter().take_while(|(_, target)| target.path().steps().len() == self.depth).count();
        self.targets.get(..here).unwrap_or_default()
    }

    /// Returns the node without the targets at this level.
    fn below(self) -> Self {
        Self { targets: self.targets.get(self.here().len()..).unwrap_or_default(), ..self }
    }

    /// Returns the node that `name` leads to.
    fn key(self, name: &str) -> Self {
        let from = |least: Ordering| {
            // Keys are sorted before indices.
            let is_before = |step: Option<&Step>| match step {
                None => true,
                Some(Step::Key(key)) => (**key).cmp(name) < least,
                Some(Step::Index(_)) => false,
            };
            self.targets.partition_point(|(_, target)| is_before(target.path().steps().get(self.depth)))
        };
        let targets = self.targets.get(from(Ordering::Equal)..from(Ordering::Greater)).unwrap_or_default();
        Self { targets, depth: self.depth + 1 }
    }

    /// Returns the nodes that 0, 1, 2 … lead to.
    fn items(self) -> impl Iterator<Item = Self> {
        let step = move |target: &Target<'o>| target.path().steps().get(self.depth);
        let keys = self.targets.partition_point(|(_, target)| !matches!(step(target), Some(Step::Index(_))));
        let mut rest = self.targets.get(keys..).unwrap_or_default();
        (0..).map(move |index| {
            let same = rest.iter().take_while(|(_, target)| step(target) == Some(&Step::Index(index))).count();
            let (targets, after) = rest.split_at(same);
            rest = after;
            Self { targets, depth: self.depth + 1 }
        })
    }
}

/// The spans that have been found.
struct Spans<'t> {
    text: &'t str,
    found: Vec<Option<Range<usize>>>,
}

impl<'t> Spans<'t> {
    /// Takes `raw`, a value of the text, as the value at `node`.
    fn value(&mut self, node: Node<'_>, raw: &'t str) {
        self.first(node.here(), raw);
        let node = node.below();
        if !node.targets.is_empty() {
            // Text that is not JSON ends the search below this node. Spans that were found before are kept.
            let _ = Below { node, spans: self }.deserialize(&mut serde_json::Deserializer::from_str(raw));
        }
    }

    /// Takes the tokens of `body` as the list at `node`, in a form without an object around the list.
    fn tokens(&mut self, node: Node<'_>, form: Form, body: &'t str) {
        if form == Form::List {
            return self.value(node, trim(body));
        }
        self.first(node.here(), trim(body));
        let lines = body.split('\n').map(trim).filter(|line| !line.is_empty());
        let one = std::iter::once(trim(body));
        let tokens: &mut dyn Iterator<Item = &'t str> = if form == Form::Lines { &mut { lines } } else { &mut { one } };
        for (token, node) in tokens.zip(node.below().items()) {
            self.value(node, token);
        }
    }

    /// Sets `part` as the value of all `targets` that are values and have no span yet.
    fn first(&mut self, targets: &[(usize, Target<'_>)], part: &str) {
        let span = self.span(part);
        for (at, _) in targets.iter().filter(|(_, target)| !target.is_key()) {
            if let Some(found @ None) = self.found.get_mut(*at) {
                found.clone_from(&span);
            }
        }
    }

    /// Sets `part` as the key of all `targets` that are keys.
    fn last(&mut self, targets: &[(usize, Target<'_>)], part: &str) {
        let span = self.span(part);
        for (at, _) in targets.iter().filter(|(_, target)| target.is_key()) {
            if let Some(found) = self.found.get_mut(*at) {
                found.clone_from(&span);
            }
        }
    }

    /// Returns the span of `part`, a slice of the text.
    fn span(&self, part: &str) -> Option<Range<usize>> {
        let start = part.as_ptr().addr().checked_sub(self.text.as_ptr().addr())?;
        let end = start.checked_add(part.len())?;
        (end <= self.text.len()).then_some(start..end)
    }
}

/// One level of the text, below `node`.
struct Below<'a, 'o, 't> {
    node: Node<'o>,
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
            if let Some(node) = unquoted(name.get()).map(|name| self.node.key(&name)) {
                self.spans.last(node.here(), name.get());
                self.spans.value(node, value.get());
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<(), A::Error> {
        let mut items = self.node.items();
        while let (Some(value), Some(node)) = (list.next_element::<&RawValue>()?, items.next()) {
            self.spans.value(node, value.get());
        }
        Ok(())
    }
}

/// Decodes a JSON string.
fn unquoted(json: &str) -> Option<Cow<'_, str>> {
    let plain = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).filter(|text| !text.contains('\\'));
    match plain {
        Some(text) => Some(Cow::Borrowed(text)),
        None => serde_json::from_str(json).ok().map(Cow::Owned),
    }
}
