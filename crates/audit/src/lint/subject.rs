//! Pairs each token of a policy with its definition.

use portcullis::base::JsonPath;
use portcullis::model::{Connection, Grant, Policy, Token};
use portcullis_document::definition::{self, Document, Element, Field, Grant as WrittenGrant, Tokens, read};
use portcullis_document::load::{Input, Loaded, Origin};

/// A token, with its definition and position.
pub(super) struct Subject<'a> {
    pub(super) policy: &'a Policy,
    /// The index of the token in the policy.
    pub(super) index: usize,
    pub(super) origin: Origin,
    pub(super) token: &'a Token,
    pub(super) written: &'a definition::Token<'a>,
}

/// Reads the inputs again and calls `look` for each token.
pub(super) fn each(inputs: &[Input], loaded: &Loaded, policy: &Policy, mut look: impl FnMut(Subject<'_>)) {
    let mut valid = policy.tokens().iter().zip(loaded.origins()).enumerate().peekable();
    for (document, input) in inputs.iter().enumerate() {
        let Ok(Document { tokens, .. }) = read(input.text()) else { continue };
        for (token, element) in tokens.found().into_iter().flat_map(Tokens::iter).enumerate() {
            let here = valid.next_if(|(_, (_, origin))| **origin == Origin { document, token });
            if let (Some((index, (token, origin))), Element::Found(written)) = (here, &element) {
                look(Subject { policy, index, origin: *origin, token, written });
            }
        }
    }
}

impl<'a> Subject<'a> {
    /// Returns the path of the token.
    pub(super) fn place(&self) -> JsonPath {
        JsonPath::root().key("tokens").index(self.origin.token)
    }

    /// Returns the path of the token's id, which is shorter to show than the token.
    pub(super) fn id_place(&self) -> JsonPath {
        self.place().key("id")
    }

    pub(super) fn grant_place(&self, index: usize) -> JsonPath {
        self.place().key("grants").index(index)
    }

    /// Returns the path of a grant's source, or of the grant if it has no source.
    pub(super) fn source_place(&self, index: usize) -> JsonPath {
        let place = self.grant_place(index);
        if self.written_source(index).is_some() { place.key("source") } else { place }
    }

    pub(super) fn written_grant(&self, index: usize) -> Option<&'a WrittenGrant<'a>> {
        self.written.grants.found()?.get(index)?.found()
    }

    pub(super) fn written_source(&self, index: usize) -> Option<&'a str> {
        match &self.written_grant(index)?.source {
            Field::Found(source) => Some(source),
            Field::Missing | Field::Wrong(_) => None,
        }
    }

    pub(super) fn connection(&self, grant: &Grant) -> Option<&'a Connection> {
        self.policy.connection(grant.connection())
    }

    /// Returns the source of the grant, as its dialect writes it.
    pub(super) fn display(&self, grant: &Grant) -> String {
        let dialect = self.connection(grant).map(Connection::dialect).unwrap_or_default();
        grant.source().display(dialect)
    }
}
