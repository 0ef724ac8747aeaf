//! Which texts a segment of a canonical name can be (N2.2 to N2.6), whatever patterns say.

use super::steps::END;
use crate::name::{Dialect, INNER_DOT};

/// What was read of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Segment {
    is_empty: bool,
    /// Only of the first segment in BigQuery, where a domain's dots are the segment's own (N2.6).
    domain: Option<Domain>,
}

/// What decides whether a first segment with dots can be a domain.
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Domain {
    has_dot: bool,
    has_colon: bool,
    /// Behind its last dot.
    part_is_empty: bool,
    /// A character that only stands between quotes, where no dot is the segment's own.
    has_quoted: bool,
}

impl Segment {
    pub(super) fn first(dialect: Dialect) -> Self {
        let domain = Domain { part_is_empty: true, ..Domain::default() };
        Self { is_empty: true, domain: (dialect == Dialect::BigQuery).then_some(domain) }
    }

    /// Behind one more character; `None` where no segment goes on so.
    pub(super) fn read(self, character: char, dialect: Dialect) -> Option<Self> {
        if character == END {
            return self.can_end().then_some(Self { is_empty: true, domain: None });
        }
        let inner_dot = character == char::from(INNER_DOT);
        if dialect != Dialect::BigQuery {
            return Some(Self { is_empty: false, domain: None });
        }
        let Some(domain) = self.domain else {
            return (!inner_dot).then_some(Self { is_empty: false, domain: None });
        };
        let domain = if inner_dot {
            if domain.part_is_empty || domain.has_colon || domain.has_quoted {
                return None;
            }
            Domain { has_dot: true, part_is_empty: true, ..domain }
        } else {
            let is_quoted = !can_stand_bare(character);
            if is_quoted && domain.has_dot {
                return None;
            }
            Domain {
                has_colon: domain.has_colon || character == ':',
                part_is_empty: false,
                has_quoted: domain.has_quoted || is_quoted,
                ..domain
            }
        };
        Some(Self { is_empty: false, domain: Some(domain) })
    }

    pub(super) fn can_end(self) -> bool {
        !self.is_empty
            && self.domain.is_none_or(|domain| !domain.has_dot || (domain.has_colon && !domain.part_is_empty))
    }
}

/// Whether BigQuery takes it outside quotes (N2.2).
fn can_stand_bare(character: char) -> bool {
    if character.is_ascii() {
        character.is_ascii_alphanumeric() || "_-$#*:".contains(character)
    } else {
        !character.is_whitespace() && !character.is_control()
    }
}
