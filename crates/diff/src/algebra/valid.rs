//! Texts that a segment of a canonical name can be (N2.2 to N2.6), whatever patterns say.

use super::steps::END;
use portcullis::name::{Dialect, INNER_DOT};

/// The text read so far of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Segment {
    is_empty: bool,
    colons: Colons,
}

/// The rule for colons and inner dots, which is special in dialect `bigquery` (N2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Colons {
    /// Other dialects: both are ordinary characters.
    Ordinary,
    /// The first segment: dots before its first colon are its own.
    First(Project),
    /// A later segment: it holds colons only if the first segment holds one, and no dots.
    Later { allowed: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Project {
    has_dot: bool,
    has_colon: bool,
    /// Whether nothing follows its last dot.
    label_is_empty: bool,
}

impl Segment {
    pub(super) fn first(dialect: Dialect) -> Self {
        let project = Project { has_dot: false, has_colon: false, label_is_empty: true };
        let colons = if dialect == Dialect::BigQuery { Colons::First(project) } else { Colons::Ordinary };
        Self { is_empty: true, colons }
    }

    /// Reads one more character; `None` where no segment continues with it.
    pub(super) fn read(self, character: char) -> Option<Self> {
        if character == END {
            let colons = match self.colons {
                Colons::First(project) => Colons::Later { allowed: project.has_colon },
                other => other,
            };
            return self.can_end().then_some(Self { is_empty: true, colons });
        }
        let inner_dot = character == char::from(INNER_DOT);
        let colons = match self.colons {
            Colons::Later { allowed } if inner_dot || (character == ':' && !allowed) => return None,
            Colons::First(project) if inner_dot && (project.label_is_empty || project.has_colon) => return None,
            Colons::First(project) => Colons::First(Project {
                has_dot: project.has_dot || inner_dot,
                has_colon: project.has_colon || character == ':',
                label_is_empty: inner_dot,
            }),
            other => other,
        };
        Some(Self { is_empty: false, colons })
    }

    pub(super) fn can_end(self) -> bool {
        !self.is_empty
            && match self.colons {
                Colons::First(project) => !project.has_dot || project.has_colon,
                Colons::Ordinary | Colons::Later { .. } => true,
            }
    }
}
