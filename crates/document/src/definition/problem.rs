//! Problems of shape and their JSON paths (N11.2, N11.3).

use std::collections::BTreeSet;
use std::fmt;

use smallvec::SmallVec;

use super::field::{Element, Field, Kind, Lenient, Secret, Text};
use super::locate::Target;
use super::synonyms::synonym;
use super::syntax::SyntaxError;
use portcullis::base::{Escaped, JsonPath, Step, nearest, quoted};

/// Longer paths are cut off in messages.
pub(crate) const MAX_PATH: usize = 256;

/// The maximum number of unknown and duplicate fields of one object that are kept. More are counted.
const MAX_STRAYS: usize = 1_000;

/// A value of the wrong shape.
///
/// ```
/// use portcullis_document::definition::{ProblemKind, read};
///
/// let document = read(r#"[{"id": "a", "id": "b", "allowed_apis": ["lds"]}]"#)?;
/// let [problem] = document.problems().try_into().unwrap();
/// assert_eq!(problem.path.to_string(), "tokens[0].id");
/// assert_eq!(problem.kind, ProblemKind::DuplicateField { field: "id".into() });
/// assert_eq!(problem.to_string(), "tokens[0].id: field `id` is given more than once");
/// # Ok::<(), portcullis_document::definition::SyntaxError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The JSON path of the value; for a missing field, of the object that lacks it.
    pub path: JsonPath,
    /// The kind of the problem.
    pub kind: ProblemKind,
}

/// The kind of a problem of shape. Its message contains neither JSON path nor secret.
///
/// ```
/// use portcullis_document::definition::{Kind, ProblemKind};
///
/// let kind = ProblemKind::WrongType { expected: "a string", found: Kind::Null };
/// assert_eq!(kind.to_string(), "expected a string, found null");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProblemKind {
    /// An unknown field.
    UnknownField {
        /// The field, as written.
        found: Box<str>,
        /// The known field that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A duplicate field: two readers could each use another one.
    DuplicateField {
        /// The field.
        field: Box<str>,
    },
    /// A value of the wrong JSON type.
    WrongType {
        /// The expected type.
        expected: &'static str,
        /// The type that was found.
        found: Kind,
    },
    /// A missing field that is required.
    Missing {
        /// The field.
        field: &'static str,
    },
    /// A token that is not JSON: see [`Element::Unread`].
    Syntax(SyntaxError),
}

impl Problem {
    pub(super) fn missing(at: &Trail<'_>, field: &'static str) -> Self {
        Self { path: at.path(), kind: ProblemKind::Missing { field } }
    }

    /// Returns the index of the token with the problem: the document without that token does not have it. `None` for a
    /// problem outside the tokens.
    ///
    /// ```
    /// let document = portcullis_document::definition::read(r#"{"tokens": [7], "apis": 7}"#)?;
    /// let tokens: Vec<_> = document.problems().iter().map(|problem| problem.token()).collect();
    /// assert_eq!(tokens, [None, Some(0)]);
    /// # Ok::<(), portcullis_document::definition::SyntaxError>(())
    /// ```
    pub fn token(&self) -> Option<usize> {
        match self.path.steps() {
            [Step::Key(key), Step::Index(index), ..] if key == "tokens" => Some(*index),
            _ => None,
        }
    }

    /// Returns the part of the text to show: the key of an unknown or duplicate field, otherwise the value.
    ///
    /// ```
    /// use portcullis_document::definition::{locate, read};
    ///
    /// let text = r#"{"tokens": [], "apiz": []}"#;
    /// let [problem] = read(text)?.problems().try_into().unwrap();
    /// assert_eq!(locate(text, &[problem.target()]), [Some(15..21)]);
    /// # Ok::<(), portcullis_document::definition::SyntaxError>(())
    /// ```
    pub fn target(&self) -> Target<'_> {
        match self.kind {
            ProblemKind::UnknownField { .. } | ProblemKind::DuplicateField { .. } => Target::Key(&self.path),
            ProblemKind::WrongType { .. } | ProblemKind::Missing { .. } | ProblemKind::Syntax(_) => {
                Target::Value(&self.path)
            }
        }
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.steps().is_empty() {
            return self.kind.fmt(f);
        }
        write!(f, "{}: {}", Escaped::up_to(&self.path.to_string(), MAX_PATH), self.kind)
    }
}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownField { found, nearest: Some(nearest) } => {
                write!(f, "unknown field {}, did you mean `{nearest}`?", quoted(found))
            }
            Self::UnknownField { found, nearest: None } => write!(f, "unknown field {}", quoted(found)),
            Self::DuplicateField { field } => {
                write!(f, "field {} is given more than once", quoted(field))
            }
            Self::WrongType { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Missing { field } => write!(f, "field `{field}` is missing"),
            Self::Syntax(error) => error.fmt(f),
        }
    }
}

/// An unknown or duplicate field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stray<'t> {
    Unknown(Text<'t>),
    Duplicate(&'static str),
}

/// The unknown and duplicate fields of an object. Nearly all objects have none: these store a null pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Strays<'t>(Option<Box<SomeStrays<'t>>>);

/// The first [`MAX_STRAYS`] unknown and duplicate fields of an object, and the number of the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct SomeStrays<'t> {
    kept: Vec<Stray<'t>>,
    rest: usize,
    /// Known fields that are given more than once.
    doubled: Vec<&'static str>,
}

impl<'t> Strays<'t> {
    #[cold]
    pub(super) fn push(&mut self, stray: Stray<'t>) {
        let strays = self.0.get_or_insert_default();
        if let Stray::Duplicate(name) = stray {
            if strays.doubled.contains(&name) {
                return;
            }
            strays.doubled.push(name);
        }
        if strays.kept.len() < MAX_STRAYS {
            strays.kept.push(stray);
        } else {
            strays.rest += 1;
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// A few fields, stored without an allocation.
type Fields = SmallVec<[&'static str; 2]>;

/// Problems of shape, bounded in memory: keeps the first ones, counts all of them.
#[derive(Debug, Default)]
pub struct Problems {
    kept: Vec<Problem>,
    max: usize,
    count: usize,
    /// Fields of the outermost object that contain a problem.
    within: Fields,
    /// Known fields that an unknown field was probably meant to be.
    meant: Fields,
}

impl Problems {
    /// Creates an empty list that keeps at most `max` problems.
    pub fn up_to(max: usize) -> Self {
        Self { max, ..Self::default() }
    }

    /// Returns the number of all problems, kept or not.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the problems that were kept, in the order in which they were found.
    pub fn into_kept(self) -> Vec<Problem> {
        self.kept
    }

    /// Whether `field` of the outermost object contains a problem.
    pub fn is_within(&self, field: &str) -> bool {
        self.within.contains(&field)
    }

    /// Whether an unknown field was probably meant to be `field`.
    pub fn is_meant(&self, field: &str) -> bool {
        self.meant.contains(&field)
    }

    pub(super) fn push(&mut self, at: &Trail<'_>, problem: impl FnOnce() -> Problem) {
        self.add(at.root(), 1);
        if self.kept.len() < self.max {
            self.kept.push(problem());
        }
    }

    /// Counts problems that are not kept.
    fn add(&mut self, within: Option<&'static str>, count: usize) {
        self.count = self.count.saturating_add(count);
        note(&mut self.within, within.filter(|_| count > 0));
    }
}

/// Adds `field` to a short list, unless it is there already.
fn note(list: &mut Fields, field: Option<&'static str>) {
    if let Some(field) = field
        && !list.contains(&field)
    {
        list.push(field);
    }
}

/// A JSON path as a chain of borrowed steps: a walk over a document without problems allocates nothing.
pub(super) enum Trail<'a> {
    Root,
    Key(&'a Trail<'a>, &'static str),
    Index(&'a Trail<'a>, usize),
}

impl Trail<'_> {
    /// Returns the field of the outermost object on this path.
    fn root(&self) -> Option<&'static str> {
        match self {
            Self::Root => None,
            Self::Key(Self::Root, key) => Some(key),
            Self::Key(parent, _) | Self::Index(parent, _) => parent.root(),
        }
    }

    fn path(&self) -> JsonPath {
        match self {
            Self::Root => JsonPath::root(),
            Self::Key(parent, key) => parent.path().key(*key),
            Self::Index(parent, index) => parent.path().index(*index),
        }
    }
}

/// A value that may have problems of shape.
pub(super) trait Report {
    fn report(&self, at: &Trail<'_>, problems: &mut Problems);
}

/// Implements [`Report`] for types without inner values.
macro_rules! flat {
    ($($type:ty),*) => {
        $(impl Report for $type {
            fn report(&self, _: &Trail<'_>, _: &mut Problems) {}
        })*
    };
}

flat!(Text<'_>, Option<Text<'_>>, Secret<'_>, bool, u64);

impl<'t, T: Report + Lenient<'t>> Report for Field<T> {
    fn report(&self, at: &Trail<'_>, problems: &mut Problems) {
        match self {
            Self::Missing => {}
            Self::Found(value) => value.report(at, problems),
            Self::Wrong(found) => problems.push(at, || wrong::<T>(at, *found)),
        }
    }
}

impl<'t, T: Report + Lenient<'t>> Report for Vec<Element<T>> {
    fn report(&self, at: &Trail<'_>, problems: &mut Problems) {
        for (index, element) in self.iter().enumerate() {
            element.report(&Trail::Index(at, index), problems);
        }
    }
}

impl<'t, T: Report + Lenient<'t>> Report for Element<T> {
    fn report(&self, at: &Trail<'_>, problems: &mut Problems) {
        match self {
            Self::Found(value) => value.report(at, problems),
            Self::Wrong(found) => problems.push(at, || wrong::<T>(at, *found)),
            Self::Unread(error) => {
                problems.push(at, || Problem { path: at.path(), kind: ProblemKind::Syntax(error.clone()) });
            }
            Self::Rest(count) => problems.add(at.root(), *count),
        }
    }
}

fn wrong<'t, T: Lenient<'t>>(at: &Trail<'_>, found: Kind) -> Problem {
    Problem { path: at.path(), kind: ProblemKind::WrongType { expected: T::EXPECTED, found } }
}

/// Reports unknown and duplicate fields of an object with the fields `known`, each with whether the object has it.
/// Returns the absent fields that were probably meant.
pub(super) fn report_strays(
    strays: &Strays<'_>,
    known: &[(&'static str, bool)],
    at: &Trail<'_>,
    problems: &mut Problems,
) -> Fields {
    let mut meant = Fields::new();
    let Some(strays) = &strays.0 else { return meant };
    let mut reported = BTreeSet::new();
    for stray in &strays.kept {
        let (name, kind) = match stray {
            Stray::Unknown(name) if reported.insert((&**name, false)) => {
                // A field that the object has, or that another key was meant to be, would be given twice.
                let absent = known.iter().filter(|(field, is_given)| !is_given && !meant.contains(field));
                let absent: Vec<_> = absent.map(|(field, _)| *field).collect();
                let nearest = synonym(name, &absent).or_else(|| nearest(name, absent.iter().copied()));
                note(&mut meant, nearest);
                note(&mut problems.meant, nearest);
                (&**name, ProblemKind::UnknownField { found: (&**name).into(), nearest })
            }
            Stray::Unknown(name) => (&**name, ProblemKind::DuplicateField { field: (&**name).into() }),
            Stray::Duplicate(name) => {
                if matches!(at, Trail::Root) {
                    note(&mut problems.within, Some(name));
                }
                (*name, ProblemKind::DuplicateField { field: (*name).into() })
            }
        };
        if matches!(kind, ProblemKind::UnknownField { .. }) || reported.insert((name, true)) {
            problems.push(at, || Problem { path: at.path().key(name.to_owned()), kind });
        }
    }
    problems.add(at.root(), strays.rest);
    meant
}
