//! Where in a document something stands.

use std::borrow::Cow;
use std::fmt;

/// One step down into a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The value of a key of an object.
    Key(Cow<'static, str>),
    /// An element of a list, counted from zero.
    Index(usize),
}

/// A path into a document, written `tokens[3].grants[0].source`.
///
/// The empty place is the document itself.
///
/// ```
/// use portcullis::base::Place;
///
/// let grant = Place::root().key("tokens").index(3).key("grants").index(0);
/// assert_eq!(grant.key("source").to_string(), "tokens[3].grants[0].source");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    steps: Vec<Step>,
}

impl Place {
    /// The document itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The place of `key` in the object that stands here.
    #[must_use]
    pub fn key(&self, key: impl Into<Cow<'static, str>>) -> Self {
        self.step(Step::Key(key.into()))
    }

    /// The place of element `index` of the list that stands here.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.step(Step::Index(index))
    }

    /// The steps from the document down.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    fn step(&self, step: Step) -> Self {
        let mut steps = Vec::with_capacity(self.steps.len() + 1);
        steps.extend_from_slice(&self.steps);
        steps.push(step);
        Self { steps }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            match step {
                Step::Key(key) if at == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
