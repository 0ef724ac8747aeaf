//! The tokens of a document, parsed on demand: a document holds millions of grants, and lowering needs one token at a
//! time.

use std::fmt;

use serde::de::SeqAccess;
use serde_json::value::RawValue;

use super::field::{Element, Lenient};
use super::form::trim;
use super::problem::{Problems, Report, Trail};
use super::shape::Token;
use super::syntax::SyntaxError;

/// The minimum length of a valid token, in bytes.
const SHORTEST: usize = 40;

/// The tokens of a document. They stay in its text, so that no token takes memory.
///
/// ```
/// use portcullis_document::definition::{Element, Kind, read};
///
/// let document = read(r#"[{"id": "a"}, 7]"#)?;
/// let tokens = document.tokens.found().unwrap();
/// assert_eq!(tokens.len(), 2);
/// assert!(matches!(&tokens.iter().next(), Some(Element::Found(token)) if token.id.found().unwrap() == "a"));
/// assert_eq!(tokens.iter().nth(1), Some(Element::Wrong(Kind::Number)));
/// # Ok::<(), portcullis_document::definition::SyntaxError>(())
/// ```
#[derive(Clone, Default)]
pub struct Tokens<'t> {
    layout: Layout<'t>,
    /// The whole text, for lines and columns.
    text: &'t str,
}

#[derive(Clone)]
enum Layout<'t> {
    /// The first element of a list that is valid JSON, and the number of elements.
    List { first: &'t str, count: usize },
    /// One token a line.
    Lines(&'t str),
}

impl Default for Layout<'_> {
    fn default() -> Self {
        Self::List { first: "", count: 0 }
    }
}

impl<'t> Tokens<'t> {
    /// Returns the only token of a text that holds nothing else.
    pub(super) fn one(token: &'t str) -> Self {
        Self { layout: Layout::List { first: token, count: 1 }, text: token }
    }

    /// Returns one token for each line of `body` that is not blank.
    pub(super) fn lines(body: &'t str) -> Self {
        Self { layout: Layout::Lines(body), text: body }
    }

    /// Sets the whole text that the tokens are part of: lines are the end of it.
    pub(super) fn set_text(&mut self, text: &'t str) {
        self.text = text;
    }

    /// Returns the number of tokens. Counts the lines of JSON Lines.
    pub fn len(&self) -> usize {
        match &self.layout {
            Layout::List { count, .. } => *count,
            Layout::Lines(body) => lines(body).count(),
        }
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        match &self.layout {
            Layout::List { count, .. } => *count == 0,
            Layout::Lines(body) => lines(body).next().is_none(),
        }
    }

    /// Returns an upper bound of the number of valid tokens, for allocating: many elements may be too short for a
    /// token.
    pub(crate) fn max_valid(&self) -> usize {
        self.len().min(self.text.len() / SHORTEST + 1)
    }

    /// Whether the tokens are lines: each is JSON or not, independently of the other lines.
    pub(crate) fn are_lines(&self) -> bool {
        matches!(self.layout, Layout::Lines(_))
    }

    /// Parses the tokens one after the other, in linear time, and keeps none of them.
    ///
    /// A list ends after an [`Element::Unread`].
    pub fn iter(&self) -> impl Iterator<Item = Element<Token<'t>>> {
        let (first, count, body) = match &self.layout {
            Layout::List { first, count } => (*first, *count, ""),
            Layout::Lines(body) => ("", 0, *body),
        };
        let begin = first.as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        let listed = Listed { text: self.text, begin: if count > 0 { begin } else { 0 }, left: count };
        let start = self.text.len().saturating_sub(body.len());
        let lined = lines(body).map(move |Line { text, number, begin }| {
            let token = serde_json::from_str(text);
            token.unwrap_or_else(|error| Element::Unread(SyntaxError::of_line(&error, text, number, start + begin)))
        });
        listed.chain(lined)
    }
}

/// Parses the elements of a list one after the other.
struct Listed<'t> {
    text: &'t str,
    /// The offset of the next element in `text`.
    begin: usize,
    /// The number of elements that are left.
    left: usize,
}

impl<'t> Iterator for Listed<'t> {
    type Item = Element<Token<'t>>;

    fn next(&mut self) -> Option<Element<Token<'t>>> {
        self.left = self.left.checked_sub(1)?;
        let rest = self.text.get(self.begin..)?;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter();
        match values.next()? {
            Ok(token) => {
                let after = rest.get(values.byte_offset()..).unwrap_or_default();
                let next = after.trim_start_matches([' ', '\t', '\r', '\n', ',']);
                self.begin = self.text.len() - next.len();
                Some(token)
            }
            Err(error) => {
                self.left = 0;
                Some(Element::Unread(SyntaxError::of_json(&error, self.text, rest, self.begin)))
            }
        }
    }
}

impl PartialEq for Tokens<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Tokens<'_> {}

impl fmt::Debug for Tokens<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The text itself may hold secrets.
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'t> Lenient<'t> for Tokens<'t> {
    const EXPECTED: &'static str = <Vec<Element<Token<'t>>> as Lenient<'t>>::EXPECTED;

    fn from_list<A: SeqAccess<'t>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let (mut first, mut count) = ("", 0);
        while let Some(token) = list.next_element::<&'t RawValue>()? {
            if count == 0 {
                first = token.get();
            }
            count += 1;
        }
        Ok(Some(Self { layout: Layout::List { first, count }, text: first }))
    }
}

/// Tokens that are parsed and dropped, to find the first error of JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Forgotten;

impl<'t> Lenient<'t> for Forgotten {
    const EXPECTED: &'static str = Tokens::EXPECTED;

    fn from_list<A: SeqAccess<'t>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<Element<Token<'t>>>()?.is_some() {}
        Ok(Some(Self))
    }
}

/// Reports nothing: each token reports its own problems when it is read.
impl Report for Tokens<'_> {
    fn report(&self, _: &Trail<'_>, _: &mut Problems) {}
}

/// Reports nothing: only the first error of JSON matters.
impl Report for Forgotten {
    fn report(&self, _: &Trail<'_>, _: &mut Problems) {}
}

/// A line that is not blank.
struct Line<'t> {
    text: &'t str,
    /// The line number, counted from 1.
    number: usize,
    /// The offset of its first byte.
    begin: usize,
}

fn lines(body: &str) -> impl Iterator<Item = Line<'_>> {
    let mut next = 0;
    let lines = body.split('\n').zip(1..).map(move |(text, number)| {
        let begin = next;
        next += text.len() + 1;
        Line { text, number, begin }
    });
    lines.filter(|line| !trim(line.text).is_empty())
}
