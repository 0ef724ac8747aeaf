//! What has the wrong shape, and where (N11.2, N11.3).

use std::collections::BTreeSet;
use std::fmt;

use super::field::{Element, Field, Kind, Lenient, Secret, Text};
use super::locate::Target;
use super::syntax::SyntaxError;
use super::tokens::{Forgotten, Tokens};
use crate::base::{Place, Step};

/// Names that are more alike than this are taken for one another.
const ALIKE: f64 = 0.85;

/// Longer names are not compared, and cut off in messages.
pub(crate) const LONGEST_NAME: usize = 64;

/// Longer places are cut off in messages.
const LONGEST_PLACE: usize = 256;

/// Something of the wrong shape.
///
/// ```
/// use portcullis::definition::{ProblemKind, read};
///
/// let document = read(r#"[{"id": "a", "id": "b", "allowed_apis": ["lds"]}]"#)?;
/// let [problem] = document.problems().try_into().unwrap();
/// assert_eq!(problem.place.to_string(), "tokens[0].id");
/// assert_eq!(problem.kind, ProblemKind::DuplicateField { field: "id".into() });
/// assert_eq!(problem.to_string(), "tokens[0].id: field `id` is given more than once");
/// # Ok::<(), portcullis::definition::SyntaxError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands; for a missing field, the object that lacks it.
    pub place: Place,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with a shape. Its text names no place and no secret.
///
/// ```
/// use portcullis::definition::{Kind, ProblemKind};
///
/// let kind = ProblemKind::WrongType { expected: "a string", found: Kind::Null };
/// assert_eq!(kind.to_string(), "expected a string, found null");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// A field that its object does not have.
    UnknownField {
        /// The field as it is written.
        found: Box<str>,
        /// The field that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A field that stands twice in one object, where two readers could each take another.
    DuplicateField {
        /// The field.
        field: Box<str>,
    },
    /// A value of a kind that its place does not take.
    WrongType {
        /// What would be right.
        expected: &'static str,
        /// What stands there.
        found: Kind,
    },
    /// A field that its object cannot be without.
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A token that cannot be read: see [`Element::Unread`].
    Syntax(SyntaxError),
}

impl Problem {
    pub(super) fn missing(at: &Trail<'_>, field: &'static str) -> Self {
        Self { place: at.place(), kind: ProblemKind::Missing { field } }
    }

    /// The token that it belongs to: without that token the problem is gone. `None` for what belongs to the whole
    /// document, which no choice of tokens mends.
    ///
    /// ```
    /// let document = portcullis::definition::read(r#"{"tokens": [7], "apis": 7}"#)?;
    /// let tokens: Vec<_> = document.problems().iter().map(|problem| problem.token()).collect();
    /// assert_eq!(tokens, [None, Some(0)]);
    /// # Ok::<(), portcullis::definition::SyntaxError>(())
    /// ```
    pub fn token(&self) -> Option<usize> {
        match self.place.steps() {
            [Step::Key(key), Step::Index(index), ..] if key == "tokens" => Some(*index),
            _ => None,
        }
    }

    /// What of the text to show: the key of a field that should not be there, the value of anything else.
    ///
    /// ```
    /// use portcullis::definition::{locate, read};
    ///
    /// let text = r#"{"tokens": [], "apiz": []}"#;
    /// let [problem] = read(text)?.problems().try_into().unwrap();
    /// assert_eq!(locate(text, &[problem.target()]), [Some(15..21)]);
    /// # Ok::<(), portcullis::definition::SyntaxError>(())
    /// ```
    pub fn target(&self) -> Target<'_> {
        match self.kind {
            ProblemKind::UnknownField { .. } | ProblemKind::DuplicateField { .. } => Target::Key(&self.place),
            ProblemKind::WrongType { .. } | ProblemKind::Missing { .. } | ProblemKind::Syntax(_) => {
                Target::Value(&self.place)
            }
        }
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.place.steps().is_empty() {
            return self.kind.fmt(f);
        }
        write!(f, "{}: {}", Shown(&self.place.to_string(), LONGEST_PLACE), self.kind)
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownField { found, nearest: Some(nearest) } => {
                write!(f, "unknown field `{}`, did you mean `{nearest}`?", Shown(found, LONGEST_NAME))
            }
            Self::UnknownField { found, nearest: None } => write!(f, "unknown field `{}`", Shown(found, LONGEST_NAME)),
            Self::DuplicateField { field } => {
                write!(f, "field `{}` is given more than once", Shown(field, LONGEST_NAME))
            }
            Self::WrongType { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Missing { field } => write!(f, "field `{field}` is missing"),
            Self::Syntax(error) => error.fmt(f),
        }
    }
}

/// A field that should not be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stray<'t> {
    Unknown(Text<'t>),
    Duplicate(&'static str),
}

/// A place as a chain of borrowed steps: walking a document without problems allocates nothing.
pub(super) enum Trail<'a> {
    Root,
    Key(&'a Trail<'a>, &'static str),
    Index(&'a Trail<'a>, usize),
}

impl Trail<'_> {
    fn place(&self) -> Place {
        match self {
            Self::Root => Place::root(),
            Self::Key(parent, key) => parent.place().key(*key),
            Self::Index(parent, index) => parent.place().index(*index),
        }
    }
}

/// Something that can be of the wrong shape.
pub(super) trait Report {
    fn report(&self, at: &Trail<'_>, problems: &mut Vec<Problem>);
}

/// Nothing inside these can be wrong.
macro_rules! flat {
    ($($type:ty),*) => {
        $(impl Report for $type {
            fn report(&self, _: &Trail<'_>, _: &mut Vec<Problem>) {}
        })*
    };
}

// Of tokens each is asked by itself.
flat!(Text<'_>, Option<Text<'_>>, Secret<'_>, bool, u64, Tokens<'_>, Forgotten);

impl<'t, T: Report + Lenient<'t>> Report for Field<T> {
    fn report(&self, at: &Trail<'_>, problems: &mut Vec<Problem>) {
        match self {
            Self::Missing => {}
            Self::Found(value) => value.report(at, problems),
            Self::Wrong(found) => problems.push(wrong::<T>(at, *found)),
        }
    }
}

impl<'t, T: Report + Lenient<'t>> Report for Vec<Element<T>> {
    fn report(&self, at: &Trail<'_>, problems: &mut Vec<Problem>) {
        for (index, element) in self.iter().enumerate() {
            element.report(&Trail::Index(at, index), problems);
        }
    }
}

impl<'t, T: Report + Lenient<'t>> Report for Element<T> {
    fn report(&self, at: &Trail<'_>, problems: &mut Vec<Problem>) {
        match self {
            Self::Found(value) => value.report(at, problems),
            Self::Wrong(found) => problems.push(wrong::<T>(at, *found)),
            Self::Unread(error) => {
                problems.push(Problem { place: at.place(), kind: ProblemKind::Syntax(error.clone()) });
            }
        }
    }
}

fn wrong<'t, T: Lenient<'t>>(at: &Trail<'_>, found: Kind) -> Problem {
    Problem { place: at.place(), kind: ProblemKind::WrongType { expected: T::EXPECTED, found } }
}

/// Reports what an object with the fields `known` should not have; the result is what was probably meant by it.
pub(super) fn report_strays(
    strays: &[Stray<'_>],
    known: &[&'static str],
    at: &Trail<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<&'static str> {
    let mut reported = BTreeSet::new();
    let mut meant = Vec::new();
    for stray in strays {
        let (name, kind) = match stray {
            Stray::Unknown(name) if reported.insert((&**name, false)) => {
                let nearest = nearest(name, known);
                meant.extend(nearest);
                (&**name, ProblemKind::UnknownField { found: (&**name).into(), nearest })
            }
            Stray::Unknown(name) => (&**name, ProblemKind::DuplicateField { field: (&**name).into() }),
            Stray::Duplicate(name) => (*name, ProblemKind::DuplicateField { field: (*name).into() }),
        };
        if matches!(kind, ProblemKind::UnknownField { .. }) || reported.insert((name, true)) {
            problems.push(Problem { place: at.place().key(name.to_owned()), kind });
        }
    }
    meant
}

/// The known field that `name` was probably meant to be.
pub(crate) fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let name = name.to_lowercase().replace('-', "_");
    let alike = known.iter().map(|field| (strsim::jaro_winkler(&name, field), *field));
    alike.filter(|(likeness, _)| *likeness > ALIKE).max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, field)| field)
}

/// Text from the document on one line, of at most so many characters.
pub(crate) struct Shown<'a>(pub(crate) &'a str, pub(crate) usize);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(self.1) {
            if character.is_control() {
                character.escape_default().fmt(f)?;
            } else {
                fmt::Write::write_char(f, character)?;
            }
        }
        if characters.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}
