//! A token of a policy, with its position and the form in which its document writes it.

use std::borrow::Cow;

use portcullis::base::JsonPath;
use portcullis::model::{Connection, Expiry, Grant, Policy, SourceType, Token};
use portcullis_document::load::{Loaded, Origin, Written, WrittenGrant};

/// A token with its position.
pub(super) struct Subject<'a> {
    pub(super) policy: &'a Policy,
    /// The index of the token in the policy.
    pub(super) index: usize,
    pub(super) origin: Origin,
    pub(super) token: &'a Token,
    /// The form of the token in its document; `None` if the token implies it.
    written: Option<&'a Written>,
}

/// Calls `look` for each token.
pub(super) fn each(loaded: &Loaded, policy: &Policy, mut look: impl FnMut(Subject<'_>)) {
    for (index, (token, origin)) in policy.tokens().iter().zip(loaded.origins()).enumerate() {
        look(Subject { policy, index, origin: *origin, token, written: loaded.written(index) });
    }
}

impl<'a> Subject<'a> {
    /// Returns the path of the token.
    pub(super) fn path(&self) -> JsonPath {
        JsonPath::root().key("tokens").index(self.origin.token)
    }

    /// Returns the path of the token's id, which is shorter to show than the token.
    pub(super) fn id_place(&self) -> JsonPath {
        self.path().key("id")
    }

    pub(super) fn grant_path(&self, index: usize) -> JsonPath {
        self.path().key("grants").index(index)
    }

    /// Returns the path of a grant's source, or of the grant if it has no source.
    pub(super) fn source_path(&self, index: usize) -> JsonPath {
        let path = self.grant_path(index);
        let is_missing = self.written_grant(index).is_some_and(|written| written.source.is_none());
        if is_missing { path } else { path.key("source") }
    }

    fn written_grant(&self, index: usize) -> Option<&'a WrittenGrant> {
        self.written?.grants.get(index)
    }

    /// Returns the source of a grant as the document writes it; `None` if the grant has no source.
    pub(super) fn written_source(&self, index: usize) -> Option<Cow<'a, str>> {
        match self.written_grant(index) {
            Some(written) => written.source.as_deref().map(Cow::Borrowed),
            None => self.token.grants().get(index).map(|grant| self.display(grant).into()),
        }
    }

    /// Returns the type that the document writes for the source of a grant.
    pub(super) fn written_type(&self, index: usize) -> Option<SourceType> {
        self.written_grant(index)?.kind
    }

    /// Returns the referers, in the order and form of the document.
    pub(super) fn written_referers(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.written.into_iter().flat_map(|written| &*written.referers).map(|referer| &**referer)
    }

    /// Whether the document writes an expiry, which may be `null`.
    pub(super) fn has_expiration(&self) -> bool {
        match self.written {
            Some(written) => written.has_expiration,
            None => self.token.expiry() != Expiry::Never,
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
