//! Pages of long lists, each of which starts after a position.
//!
//! A page starts after the sort key and the id of the last token that was read, so a token that nobody changes is listed
//! exactly once, whatever other users add or delete between two pages.

use portcullis::base::Timestamp;

use crate::record::Token;

/// The order of a list of tokens. Tokens with equal keys are ordered by id.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TokenOrder {
    /// By the time of creation. Tokens whose time is unknown are the oldest.
    #[default]
    Created,
    /// By name, without regard to the case of ASCII letters.
    Name,
    /// By expiry. Tokens that never expire come last.
    Expiry,
}

impl TokenOrder {
    /// Returns the sort key of `token`.
    pub fn key(self, token: &Token) -> String {
        let text = |instant: Option<Timestamp>, absent: &str| {
            instant.map_or_else(|| absent.to_owned(), |instant| instant.to_string())
        };
        match self {
            Self::Created => text(token.created_at, ""),
            Self::Name => token.name.clone(),
            // After every digit.
            Self::Expiry => text(token.expiration_date, "~"),
        }
    }
}

/// The position after which a page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPosition {
    /// The sort key of the last token that was read.
    pub key: String,
    /// Its id.
    pub id: String,
}

/// Tokens of a page, and where the next page starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenPage {
    /// The tokens that match, in the order of the query.
    pub tokens: Vec<Token>,
    /// The position after which the next page starts; `None` at the end of the list. A page with a position may have few tokens
    /// or none: the search stopped there after it had read many tokens that do not match.
    pub next: Option<TokenPosition>,
}

/// A page of tokens.
#[derive(Debug, Clone, Default)]
pub struct TokenQuery<'a> {
    /// Only tokens of this owner.
    pub owner: Option<&'a str>,
    /// Only tokens whose id, name, owner, APIs, connections or sources contain this text, without regard to the case of
    /// ASCII letters. A text of one or two characters is searched only at the start of names.
    pub search: Option<&'a str>,
    /// Only tokens that may use this API.
    pub api: Option<&'a str>,
    /// Only tokens with a grant on this connection.
    pub connection: Option<&'a str>,
    /// With `true` only tokens that have expired at the instant, with `false` only the others.
    pub expired: Option<(bool, Timestamp)>,
    /// The order.
    pub order: TokenOrder,
    /// Whether the order is reversed.
    pub descending: bool,
    /// The position after which the page starts; `None` is the start of the list.
    pub after: Option<&'a TokenPosition>,
    /// The maximum number of tokens.
    pub limit: usize,
    /// The maximum number of tokens that are read without an index; `None` for that of the registry.
    pub max_read: Option<usize>,
}

impl TokenQuery<'_> {
    /// Whether tokens must be read to know whether they match.
    pub(crate) fn is_filtered(&self) -> bool {
        self.search.is_some() || self.api.is_some() || self.connection.is_some() || self.expired.is_some()
    }
}

/// A page of the trail, newest entry first.
#[derive(Debug, Clone, Default)]
pub struct TrailQuery<'a> {
    /// Only entries that this user may see: those that the user made, those of the user's records, and those of shared records.
    pub reader: Option<&'a str>,
    /// Only entries of the record with this id.
    pub id: Option<&'a str>,
    /// Only entries with a smaller number.
    pub before: Option<u64>,
    /// The maximum number of entries.
    pub limit: usize,
}
