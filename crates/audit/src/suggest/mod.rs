//! The smallest grants that still allow what a decision log allowed.
//!
//! [`Needs`] reads a log and keeps, for each grant, what it was needed for; [`Needs::suggest`] makes narrower grants of
//! that: a grant that nothing needed goes; of a pattern, or of all sources, up to [`SuggestOptions::exact`] names of one
//! schema are granted one by one; more by patterns, one for each first word (up to a `_` or `-`) where those are few, each
//! the narrowest that begins and ends as all of its names do.
//!
//! A [`Suggestion`] is [`confirm`](Suggestion::confirm)ed before it is given to anybody: each of its grants lies within
//! one that its token has, and each line of the log that was allowed is decided again by it, and allowed.
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

/// How to suggest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestOptions {
    /// Up to so many names of one schema are granted one by one. 10 unless set.
    pub exact: usize,
    /// Names of up to so many schemas are granted schema by schema. 10 unless set.
    pub schemas: usize,
    /// Whether tokens that nothing used are left out. Else they stay as they are: a log may be too short to tell.
    pub drop_unused: bool,
}

impl Default for SuggestOptions {
    fn default() -> Self {
        Self { exact: 10, schemas: 10, drop_unused: false }
    }
}

/// What every token of a policy should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// One for each token of the policy, in its order.
    pub tokens: Vec<TokenSuggestion>,
}

/// What a token should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSuggestion {
    /// Its id.
    pub id: String,
    /// How many requests of the log it was allowed.
    pub allowed: u64,
    /// What to do with it.
    pub advice: TokenAdvice,
    /// Its grants from now on.
    pub grants: Vec<SuggestedGrant>,
    /// What it has and should not have.
    pub removed: Vec<RemovedGrant>,
}

/// What to do with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAdvice {
    /// It needs all that it has.
    Same,
    /// It needs less.
    Narrower,
    /// Nothing of the log used it: it stays as it is.
    UnusedKept,
    /// Nothing of the log used it: it goes.
    UnusedDropped,
    /// It was used, but none of its grants was: a token needs one, so it stays as it is.
    GrantsUnusedKept,
}

/// A grant that a token should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestedGrant {
    /// The connection.
    pub connection: String,
    /// The source, as its dialect writes it.
    pub source: String,
    /// Whether the token has the very same grant.
    pub is_kept: bool,
    pub(super) of: GrantSource,
}

/// A grant that a token should not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedGrant {
    /// The connection.
    pub connection: String,
    /// The source, as its dialect writes it.
    pub source: String,
    /// How many requests of the log needed it: none, or fewer names than it covers.
    pub needed: u64,
}
