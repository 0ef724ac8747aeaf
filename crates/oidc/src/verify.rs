//! The checks of an ID token beyond those of `openidconnect`.

use std::time::{Duration, SystemTime};

use openidconnect::core::CoreJwsSigningAlgorithm as Algorithm;
use openidconnect::{ClaimsVerificationError as Invalid, ClientId, IdTokenVerifier, Nonce, SignatureVerificationError};
use serde_json::Value;

use crate::refusal::Refusal;
use crate::types::{Claims, Metadata, Token};

/// The difference of clocks that is accepted.
const SKEW: Duration = Duration::from_mins(2);

/// The maximum age of an ID token: it was issued for this sign-in.
const MAX_AGE: Duration = Duration::from_mins(10);

/// Signatures with the provider's private key. A shared secret is not accepted: its holder could sign, too.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RsaSsaPkcs1V15Sha256,
    Algorithm::RsaSsaPkcs1V15Sha384,
    Algorithm::RsaSsaPkcs1V15Sha512,
    Algorithm::RsaSsaPssSha256,
    Algorithm::RsaSsaPssSha384,
    Algorithm::RsaSsaPssSha512,
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::EdDsa,
];

/// Why an ID token is not valid.
pub(crate) enum Fault {
    /// The provider may have new keys.
    Key,
    Other(Refusal),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Key => Self::Token("its signature is not of a key of the provider"),
            Fault::Other(refusal) => refusal,
        }
    }
}

/// Returns the claims of an ID token that the provider has issued for this client and this attempt, at `now`, in seconds since
/// 1970.
pub(crate) fn claims(
    metadata: &Metadata,
    client: &ClientId,
    token: &Token,
    nonce: &str,
    now: u64,
) -> Result<Claims, Fault> {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
    let offered = metadata.id_token_signing_alg_values_supported();
    let verifier =
        IdTokenVerifier::new_public_client(client.clone(), metadata.issuer().clone(), metadata.jwks().clone())
            .set_allowed_algs(ALGORITHMS.into_iter().filter(|algorithm| offered.contains(algorithm)))
            .set_time_fn(move || now.checked_sub(SKEW).unwrap_or(now).into())
            .set_issue_time_verifier_fn(move |issued| {
                let issued = SystemTime::from(issued);
                let is_early = issued > now + SKEW;
                let is_old = issued + MAX_AGE + SKEW < now;
                if is_early || is_old { Err("issued at another time".to_owned()) } else { Ok(()) }
            });
    let claims = token.claims(&verifier, &Nonce::new(nonce.to_owned())).map_err(|error| fault(&error))?;
    let refused = |why| Err(Fault::Other(Refusal::Token(why)));
    if claims.authorized_party().is_some_and(|party| **party != **client) {
        return refused("it was issued for another client");
    }
    let not_before = claims.additional_claims().claims.get("nbf").and_then(Value::as_f64);
    let latest = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + SKEW;
    if not_before.is_some_and(|from| from > latest.as_secs_f64()) {
        return refused("it is not valid yet");
    }
    if claims.subject().is_empty() || claims.subject().len() > 255 || claims.subject().chars().any(char::is_control) {
        return refused("its subject is not a text of 1 to 255 characters");
    }
    Ok(claims.clone())
}

fn fault(error: &Invalid) -> Fault {
    let why = match error {
        Invalid::SignatureVerification(error) => match error {
            SignatureVerificationError::DisallowedAlg(_)
            | SignatureVerificationError::UnsupportedAlg(_)
            | SignatureVerificationError::NoSignature => "its signature has an algorithm that is not accepted",
            _ => return Fault::Key,
        },
        Invalid::Expired(_) => "it has expired, or was not issued now; the clocks of both machines must be right",
        Invalid::InvalidAudience(_) => "it was issued for another client",
        Invalid::InvalidIssuer(_) => "another provider has issued it",
        Invalid::InvalidNonce(_) => "it was issued for another sign-in",
        _ => "its form is not that of an ID token",
    };
    Fault::Other(Refusal::Token(why))
}
