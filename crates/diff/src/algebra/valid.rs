//! The texts that a segment of a canonical name can be (N2.2 to N2.6), independent of patterns.

use super::steps::END;
use portcullis::name::{Dialect, INNER_DOT};

/// The state of a segment after some of its characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Segment {
    is_empty: bool,
    colons: Colons,
}

/// The rule for colons and inner dots; dialect `bigquery` has its own (N2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Colons {
    /// In all other dialects, both are ordinary characters.
    Ordinary,
    /// The first segment; dots before its first colon belong to the segment.
    First(Project),
    /// A later segment; it has no dots, and colons only if the first segment has one.
    Later { allowed: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Project {
    has_dot: bool,
    has_colon: bool,
    /// Whether the text ends with a dot, or is empty.
    label_is_empty: bool,
}

impl Segment {
    pub(super) fn first(dialect: Dialect) -> Self {
        let project = Project { has_dot: false, has_colon: false, label_is_empty: true };
        let colons = if dialect == Dialect::BigQuery { Colons::First(project) } else { Colons::Ordinary };
        Self { is_empty: true, colons }
    }

    /// Adds one character; `None` if no segment continues with it.
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
