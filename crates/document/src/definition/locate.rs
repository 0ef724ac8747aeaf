//! From places back to the text.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::form::{Form, trim, without_bom};
use portcullis::base::{Place, Step};

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
/// however many targets it leads to: the cost is at most linear in the length of `text` times the depth of the places, and
/// that of putting the targets in order.
///
/// ```
/// use portcullis::base::Place;
/// use portcullis_document::definition::{Target, locate};
///
/// let text = r#"{"tokens": [{"id": "a"}, {"id": "b"}]}"#;
/// let id = Place::root().key("tokens").index(1).key("id");
/// let [value, key] = locate(text, &[Target::Value(&id), Target::Key(&id)]).try_into().unwrap();
/// assert_eq!(&text[value.unwrap()], r#""b""#);
/// assert_eq!(&text[key.unwrap()], r#""id""#);
/// ```
pub fn locate(text: &str, targets: &[Target<'_>]) -> Vec<Option<Range<usize>>> {
    let mut ordered: Vec<(usize, Target<'_>)> = targets.iter().copied().enumerate().collect();
    ordered.sort_by(|(_, a), (_, b)| a.place().cmp(b.place()));
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
    fn place(self) -> &'p Place {
        let (Self::Value(place) | Self::Key(place)) = self;
        place
    }

    /// Whether it wants the key that leads to its place.
    fn is_key(self) -> bool {
        matches!((self, self.place().steps().last()), (Self::Key(_), Some(Step::Key(_))))
    }
}

/// A place on the way to targets, or where some stand: those that it leads to.
#[derive(Clone, Copy)]
struct Node<'o> {
    /// With their numbers.
    // INVARIANT: in the order of their places, the first `depth` steps of which are the same.
    targets: &'o [(usize, Target<'o>)],
    depth: usize,
}

impl<'o> Node<'o> {
    /// The targets that stand just here: shorter places are ordered first.
    fn here(self) -> &'o [(usize, Target<'o>)] {
        let here = self.targets.iter().take_while(|(_, target)| target.place().steps().len() == self.depth).count();
        self.targets.get(..here).unwrap_or_default()
    }

    /// Those further down.
    fn below(self) -> Self {
        Self { targets: self.targets.get(self.here().len()..).unwrap_or_default(), ..self }
    }

    /// The node that `name` leads to.
    fn key(self, name: &str) -> Self {
        let from = |least: Ordering| {
            // Keys are ordered before indices.
            let is_before = |step: Option<&Step>| match step {
                None => true,
                Some(Step::Key(key)) => (**key).cmp(name) < least,
                Some(Step::Index(_)) => false,
            };
            self.targets.partition_point(|(_, target)| is_before(target.place().steps().get(self.depth)))
        };
        let targets = self.targets.get(from(Ordering::Equal)..from(Ordering::Greater)).unwrap_or_default();
        Self { targets, depth: self.depth + 1 }
    }

    /// The nodes that 0, 1, 2 … lead to.
    fn items(self) -> impl Iterator<Item = Self> {
        let step = move |target: &Target<'o>| target.place().steps().get(self.depth);
        let keys = self.targets.partition_point(|(_, target)| !matches!(step(target), Some(Step::Index(_))));
        let mut rest = self.targets.get(keys..).unwrap_or_default();
        (0..).map(move |index| {
            let same = rest.iter().take_while(|(_, target)| step(target) == Some(&Step::Index(index))).count();
            let (targets, behind) = rest.split_at(same);
            rest = behind;
            Self { targets, depth: self.depth + 1 }
        })
    }
}

/// What has been found.
struct Spans<'t> {
    text: &'t str,
    found: Vec<Option<Range<usize>>>,
}

impl<'t> Spans<'t> {
    /// `raw`, a value of the text, stands at `node`.
    fn value(&mut self, node: Node<'_>, raw: &'t str) {
        self.first(node.here(), raw);
        let node = node.below();
        if !node.targets.is_empty() {
            // What is not JSON ends the search below this node, and what was found before stands.
            let _ = Below { node, spans: self }.deserialize(&mut serde_json::Deserializer::from_str(raw));
        }
    }

    /// The tokens of `body` stand at `node`, in a form that has no `tokens` around them.
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

    /// `part` is the value of those of `targets` that want one and have none yet.
    fn first(&mut self, targets: &[(usize, Target<'_>)], part: &str) {
        let span = self.span(part);
        for (at, _) in targets.iter().filter(|(_, target)| !target.is_key()) {
            if let Some(found @ None) = self.found.get_mut(*at) {
                found.clone_from(&span);
            }
        }
    }

    /// `part` is the key that leads to `targets`, for those that want it.
    fn last(&mut self, targets: &[(usize, Target<'_>)], part: &str) {
        let span = self.span(part);
        for (at, _) in targets.iter().filter(|(_, target)| target.is_key()) {
            if let Some(found) = self.found.get_mut(*at) {
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

/// The string that `json` writes.
fn unquoted(json: &str) -> Option<Cow<'_, str>> {
    let plain = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).filter(|text| !text.contains('\\'));
    match plain {
        Some(text) => Some(Cow::Borrowed(text)),
        None => serde_json::from_str(json).ok().map(Cow::Owned),
    }
}
