//! The decision that is explained, with the queries that several parts of an explanation need.

use super::secret::Redactor;
use crate::base::{Timestamp, quoted};
use crate::decision::{Decision, Reason, Request, Source, Target, api};
use crate::model::{Connection, GrantKind, GrantKinds};
use crate::name::{Dialect, NameBuffer, NameDisplay};
use crate::snapshot::{Block, Compiled, Row};

/// One decision with its inputs.
pub(super) struct Case<'s, 'r> {
    /// The compilation that holds the token, or the base if the token is unknown.
    pub(super) compiled: &'s Compiled,
    /// The number of tokens in the policy.
    pub(super) tokens: usize,
    pub(super) request: &'r Request<'r>,
    pub(super) now: Timestamp,
    pub(super) decision: &'r Decision<'s>,
    /// The row of the token, if the token is known.
    pub(super) row: Option<&'s Row>,
    pub(super) known_by: KnownBy,
    /// Hides the secret of the request in texts.
    pub(super) secret: Redactor,
}

/// How the token of a decision is identified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnownBy {
    /// By the credential of the request.
    Secret,
    /// By its id, without a credential.
    Id,
}

impl<'s, 'r> Case<'s, 'r> {
    pub(super) fn reason(&self) -> Option<Reason> {
        self.decision.reason()
    }

    /// Returns the grant kinds that the request is checked against; none if the API needs no source or the token does
    /// not list it.
    pub(super) fn considered(&self) -> GrantKinds {
        let kinds = self.row.and_then(|row| api(self.compiled, self.compiled.terms(row), self.request).ok());
        kinds.unwrap_or_default()
    }

    pub(super) fn target(&self) -> Target<'s> {
        self.target_considering(self.considered())
    }

    pub(super) fn target_considering(&self, considered: GrantKinds) -> Target<'s> {
        Target { compiled: self.compiled, connection: self.compiled.connection(self.request.connection), considered }
    }

    /// Returns the token's grants on the connection.
    pub(super) fn block(&self) -> Option<Block<'s>> {
        self.row.and_then(|row| self.target().block(row).ok())
    }

    /// Returns the dialect of the request's connection.
    pub(super) fn dialect(&self) -> Dialect {
        let connection = self.compiled.connection(self.request.connection);
        connection.map(|(_, connection)| connection.dialect()).unwrap_or_default()
    }

    pub(super) fn sources(&self) -> &'r [Source<'r>] {
        self.request.sources.as_slice()
    }

    /// Returns the first source that fails the deciding check, if that check runs for each source.
    pub(super) fn failing(&self) -> Option<(usize, Source<'r>)> {
        let (target, reason) = (self.target(), self.reason()?);
        let mut buffer = NameBuffer::new();
        let mut fails = |source: Source<'_>| match reason {
            Reason::SourceMalformed => target.read(source, &mut buffer).is_err(),
            Reason::QueryNotAccepted => target.accepts(source).is_err(),
            Reason::SourceNotGranted | Reason::GrantKindNotAccepted => {
                let canonical = target.read(source, &mut buffer).ok();
                let result = canonical.zip(self.block()).map(|(canonical, block)| target.grant(block, &canonical));
                result.is_some_and(|result| result == Err(reason))
            }
            _ => false,
        };
        self.sources().iter().copied().enumerate().find(|&(_, source)| fails(source))
    }

    /// Quotes a text of the request or of the policy in backticks, or hides it if it may repeat the request's secret.
    pub(super) fn quoted(&self, text: &str) -> String {
        quoted(self.secret.shown(text))
    }

    /// Quotes the text of a grant in backticks, as `dialect` writes it.
    pub(super) fn grant_text(&self, kind: GrantKind, text: &[u8], dialect: Dialect) -> String {
        match kind {
            GrantKind::Resource | GrantKind::Pattern => {
                self.quoted(&NameDisplay { bytes: text.into(), dialect }.to_string())
            }
            GrantKind::Query | GrantKind::NamedSource => self.quoted(&String::from_utf8_lossy(text)),
            GrantKind::All => "`*`".to_owned(),
        }
    }

    /// Describes a grant of `block` with its kind and text, such as "grant 2 (pattern `carto.shared.*`)".
    pub(super) fn grant(&self, block: Block<'_>, grant: u32) -> String {
        let connection = self.compiled.connection_at(block.connection);
        let dialect = connection.map(Connection::dialect).unwrap_or_default();
        let mut found = None;
        block.each(|kind, text, index| {
            if index == grant && found.is_none() {
                found = Some((kind, text));
            }
        });
        match found {
            None => format!("grant {grant}"),
            Some((GrantKind::All, _)) => format!("grant {grant} (all sources)"),
            Some((kind, text)) => {
                let text = text.map(|text| self.grant_text(kind, &self.compiled.text(text).whole(), dialect));
                format!("grant {grant} ({} {})", singular(kind), text.unwrap_or_default())
            }
        }
    }

    /// Returns `source 1 of 2, `, or an empty text if there is only one source.
    pub(super) fn which(&self, index: usize) -> String {
        match self.sources().len() {
            0 | 1 => String::new(),
            count => format!("source {index} of {count}, "),
        }
    }
}

/// Returns the name of one grant of this kind.
pub(super) const fn singular(kind: GrantKind) -> &'static str {
    match kind {
        GrantKind::Resource => "resource",
        GrantKind::Pattern => "pattern",
        GrantKind::Query => "query",
        GrantKind::NamedSource => "named source",
        GrantKind::All => "all sources",
    }
}
