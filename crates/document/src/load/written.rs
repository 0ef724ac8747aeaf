//! Details of how documents write tokens, for findings about valid policies.

use crate::definition::{Element, Field, Grant as GrantDefinition, Text};
use crate::lower::LoweredToken;
use portcullis::model::{Connection, Grant, Referers, SourceType};

/// The form of a token in its document, as far as the token does not imply it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The referers, in the order of the document. The token has them in another order and form.
    pub referers: Box<[Box<str>]>,
    /// The grants, in the order of the document.
    pub grants: Box<[WrittenGrant]>,
    /// Whether the token has the key `expiration_date`, which may be `null`.
    pub has_expiration: bool,
}

/// The form of a grant in its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenGrant {
    /// The source; `None` if the key is missing.
    pub source: Option<Box<str>>,
    /// The type of the source, if it is written.
    pub kind: Option<SourceType>,
}

impl Written {
    /// Returns the form of a token; `None` if the token implies it, as most do. Then it has no referers and no `null` as
    /// its `expiration_date`, and each grant has no type, and a source as the dialect displays it.
    pub(super) fn of(lowered: &LoweredToken<'_, '_>) -> Option<Self> {
        let LoweredToken { token, written, .. } = lowered;
        let list = written.grants.found().map(Vec::as_slice).unwrap_or_default();
        let is_displayed = |(grant, written): (&Grant, &Element<GrantDefinition<'_>>)| {
            let dialect = lowered.connection(grant).map(Connection::dialect).unwrap_or_default();
            written.found().is_some_and(|written| {
                let source = written.source.found();
                written.kind == Field::Missing
                    && source.is_some_and(|source| grant.source().is_displayed_as(source, dialect))
            })
        };
        let is_implied = *token.referers() == Referers::Any
            && written.expiration_date != Field::Found(None)
            && token.grants().iter().zip(list).all(is_displayed);
        let text = |text: &Text<'_>| Box::from(&**text);
        let referers = written.referers.found().into_iter().flatten().filter_map(Element::found);
        (!is_implied).then(|| Self {
            referers: referers.map(text).collect(),
            grants: list.iter().filter_map(Element::found).map(WrittenGrant::of).collect(),
            has_expiration: written.expiration_date != Field::Missing,
        })
    }
}

impl WrittenGrant {
    fn of(grant: &GrantDefinition<'_>) -> Self {
        Self {
            source: grant.source.found().map(|source| (&**source).into()),
            kind: grant.kind.found().and_then(|kind| SourceType::from_name(kind)),
        }
    }
}
