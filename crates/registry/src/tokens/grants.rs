//! The grants of a token that is created or edited.

use std::borrow::Cow;

use crate::definition::DraftGrant;
use crate::record::Grant;

/// A grant of a source, whose kind may be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypedGrant {
    /// The connection.
    pub connection: String,
    /// The source.
    pub source: String,
    /// The kind, such as `pattern`; `None` reads the source by N6.
    pub kind: Option<String>,
}

impl From<&Grant> for TypedGrant {
    fn from(grant: &Grant) -> Self {
        Self {
            connection: grant.connection.clone(),
            source: grant.source.clone(),
            kind: Some(grant.kind.as_str().to_owned()),
        }
    }
}

pub(super) fn untyped((connection, source): &(String, String)) -> DraftGrant {
    DraftGrant { connection_name: connection.clone(), source: source.clone(), kind: None }
}

pub(crate) fn typed(TypedGrant { connection, source, kind }: &TypedGrant) -> DraftGrant {
    DraftGrant { connection_name: connection.clone(), source: source.clone(), kind: kind.clone().map(Cow::Owned) }
}
