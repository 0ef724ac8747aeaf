//! Confirms every witness by a decision, so that no finding depends only on how this module reads patterns.

use std::fmt;

use super::finding::Witness;
use portcullis::base::{Timestamp, quoted};
use portcullis::decision::{Replay, Request, Source};
use portcullis::model::{ApiId, Expiry, Grant, GrantSource, Policy, Referers, SecretDigest, Token, TokenParts};
use portcullis::snapshot::{Options, Snapshot};

/// The claim of a finding: a token with only this grant may read the name, or may not.
pub(super) struct Claim {
    pub(super) grant: Grant,
    pub(super) witness: Witness,
}

/// A witness that the decision contradicts, which is a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WitnessError(String);

impl WitnessError {
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self(format!("{message}: this is a bug; help: do not rely on any finding"))
    }
}

/// Decides the witness of every claim.
///
/// # Errors
///
/// Returns the first claim that a decision contradicts.
pub(super) fn confirm(policy: &Policy, claims: &[Claim]) -> Result<(), WitnessError> {
    let token = |(index, claim): (usize, &Claim)| {
        let id = index.to_string();
        Token::from(TokenParts {
            digest: SecretDigest::of(&id),
            id: id.into(),
            name: None,
            owner: None,
            apis: [ApiId::MAPS].into_iter().collect(),
            grants: [claim.grant.clone()].into(),
            referers: Referers::Any,
            expiry: Expiry::Never,
            created_at: None,
        })
    };
    let tokens = claims.iter().enumerate().map(token).collect();
    let alone = Policy::new(policy.connections().to_vec(), policy.apis().clone(), tokens, policy.limits().clone())
        .map_err(WitnessError::new)?;
    let snapshot = Snapshot::compile(&alone, &Options::default()).map_err(WitnessError::new)?;
    let replay = Replay::new(&snapshot);
    for (index, Claim { grant, witness }) in claims.iter().enumerate() {
        let request = Request::new("maps", &witness.connection).source(Source::Resource(&witness.resource));
        let decision = replay.decide(&index.to_string(), &request, Timestamp::from_unix(0, 0));
        if decision.is_allow() != witness.covered {
            let source: &GrantSource = grant.source();
            let (said, decided) = if witness.covered { ("", "not ") } else { ("not ", "") };
            return Err(WitnessError::new(format_args!(
                "{} is {said}covered by {source:?}, and is decided as {decided}covered",
                quoted(&witness.resource)
            )));
        }
    }
    Ok(())
}
