//! Suggests the narrowest grants that still allow what a decision log allowed.
//!
//! [`Needs`] reads a log and records what each grant was needed for. [`Needs::suggest`] derives narrower grants:
//!
//! - A grant that no request needed is removed.
//! - A pattern, or all sources, becomes up to [`SuggestOptions::exact`] single names for each schema.
//! - More names become patterns: one for each first word (up to a `_` or `-`) if there are few words. Each pattern is the
//!   narrowest with the common prefix and suffix of its names.
//!
//! Call [`confirm`](Suggestion::confirm) before you use a [`Suggestion`]. It checks that each grant is within a grant
//! of the same token. [`Confirmed::replay`] checks that every allowed line of the log is still allowed.
//!
//! ```
//! use portcullis_audit::suggest::{Needs, SuggestOptions};
//! use portcullis::decision::Replay;
//! use portcullis::{Options, Snapshot};
//!
//! let policy = portcullis_document::read_policy(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
//!     "grants": [{"connection_name": "dw", "source": "db.s.*"}, {"connection_name": "dw", "source": "db.t.x"}]}]"#)?;
//! let log = r#"{"log":1,"time":"2026-11-24T12:00:00Z","token_id":"a","api":"maps","connection":"dw",
//!     "sources":[{"resource":"db.s.roads"}],"decision":"allow","grants":[0],"ns":1}"#.replace('\n', "");
//!
//! let snapshot = Snapshot::compile(&policy, &Options::default())?;
//! let replay = Replay::new(&snapshot);
//! let now = "2026-11-24".parse()?;
//! let mut needs = Needs::new(&policy);
//! needs.read(log.as_bytes(), &replay, now)?;
//! let suggestion = needs.suggest(&SuggestOptions::default());
//! let sources: Vec<String> = suggestion.tokens[0].grants.iter().map(|grant| grant.source.clone()).collect();
//! assert_eq!(sources, ["db.s.roads"]);
//!
//! let confirmed = suggestion.confirm(&policy)?;
//! confirmed.replay(log.as_bytes(), &replay, now)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod confirm;
mod document;
mod grant_needs;
mod narrow;
mod needs;
mod outline;

pub use confirm::{Confirmed, SuggestError};
pub use needs::Needs;

use portcullis::model::GrantSource;

/// The settings for suggestions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestOptions {
    /// Max names of one schema that are granted as single names. Default: 10.
    pub exact: usize,
    /// Max schemas that are granted one by one. Default: 10.
    pub schemas: usize,
    /// Whether to leave out unused tokens. By default they are kept, because a log may be too short to show their use.
    pub drop_unused: bool,
}

impl Default for SuggestOptions {
    fn default() -> Self {
        Self { exact: 10, schemas: 10, drop_unused: false }
    }
}

/// The suggested grants of every token of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// One entry for each token, in the policy's order.
    pub tokens: Vec<TokenSuggestion>,
}

/// The suggested grants of one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSuggestion {
    /// The id of the token.
    pub id: String,
    /// The number of allowed requests of the token in the log.
    pub allowed: u64,
    /// The advice for the token.
    pub advice: TokenAdvice,
    /// The suggested grants.
    pub grants: Vec<SuggestedGrant>,
    /// The current grants to remove.
    pub removed: Vec<RemovedGrant>,
}

/// The advice for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAdvice {
    /// The token needs all its grants.
    Same,
    /// The token needs narrower grants.
    Narrower,
    /// The log has no use of the token; it is kept unchanged.
    UnusedKept,
    /// The log has no use of the token; it is left out.
    UnusedDropped,
    /// The token was used, but none of its grants was. A token needs a grant, so it is kept unchanged.
    GrantsUnusedKept,
}

/// A suggested grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestedGrant {
    /// The connection.
    pub connection: String,
    /// The source, as its dialect writes it.
    pub source: String,
    /// Whether the token already has this grant.
    pub is_kept: bool,
    pub(super) of: GrantSource,
}

/// A current grant to remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedGrant {
    /// The connection.
    pub connection: String,
    /// The source, as its dialect writes it.
    pub source: String,
    /// The number of requests of the log that needed the grant. If not 0, they needed fewer names than it covers.
    pub needed: u64,
}
