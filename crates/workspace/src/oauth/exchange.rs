//! `POST /oauth/token` with `authorization_code` and `refresh_token`: the tokens of single-page applications.

use std::sync::Arc;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use portcullis::model::SecretDigest;
use portcullis_registry::record::Client;
use portcullis_registry::{Granted, NotGranted, OPENID, PresentedCode, PresentedRefresh, Successors};
use portcullis_secret::Secret;
use portcullis_server::site::Peer;

use super::client::application;
use super::error::{OauthError, json};
use super::form::Form;
use super::id_token;
use super::issued::{Body, not_issued};
use crate::problem::Problem;
use crate::seal::Sealer;
use crate::service::Workspace;

/// Exchanges an authorization code.
pub(super) async fn code(
    workspace: &Arc<Workspace>,
    headers: &HeaderMap,
    peer: Option<Peer>,
    form: &Form,
) -> Result<Response, OauthError> {
    let client = application(workspace, headers, peer, form).await?;
    let code = required(form, "code", "send the `code` that the redirect URI received")?;
    let redirect_uri = required(form, "redirect_uri", "send the `redirect_uri` of the authorization")?.to_owned();
    let verifier = required(form, "code_verifier", "send the `code_verifier` whose challenge was sent before")?;
    let (digest, challenge) = (SecretDigest::of(code), challenge(verifier));
    let (id, lifetimes) = (client.id.clone(), workspace.lifetimes());
    let granted = workspace.write(move |registry| {
        let presented = PresentedCode { digest, client: &id, redirect_uri: &redirect_uri, challenge: &challenge };
        registry.redeem_code(&presented, &lifetimes, Workspace::now())
    });
    answer(workspace, &client, granted.await).await
}

/// Exchanges a refresh token.
pub(super) async fn refresh(
    workspace: &Arc<Workspace>,
    headers: &HeaderMap,
    peer: Option<Peer>,
    form: &Form,
) -> Result<Response, OauthError> {
    let client = application(workspace, headers, peer, form).await?;
    let token = required(form, "refresh_token", "send the `refresh_token` of the last answer")?;
    // A text that is no refresh token needs no sealer, which takes long for short texts.
    let Some(token) = Secret::read(token) else { return Err(not_granted(&client, NotGranted::Invalid)) };
    let scopes = form.get("scope").map(|text| super::request::scopes(text, &client));
    let scopes = scopes.transpose().map_err(|_| not_granted(&client, NotGranted::Scope))?;
    let (id, lifetimes, digest) = (client.id.clone(), workspace.lifetimes(), token.digest());
    let sealed = Sealed(Sealer::new("refresh token", token.expose()).ok_or_else(Problem::internal)?);
    let granted = workspace.write(move |registry| {
        let presented = PresentedRefresh { digest, client: &id, scopes: scopes.as_deref() };
        registry.refresh(&presented, &lifetimes, &sealed, Workspace::now())
    });
    answer(workspace, &client, granted.await).await
}

/// Seals the successor of a refresh token under a key that is derived from that refresh token.
struct Sealed(Sealer);

impl Successors for Sealed {
    fn seal(&self, successor: &str) -> Option<Vec<u8>> {
        self.0.seal(successor.as_bytes())
    }

    fn open(&self, sealed: &[u8]) -> Option<String> {
        String::from_utf8(self.0.open(sealed)?).ok()
    }
}

async fn answer(
    workspace: &Workspace,
    client: &Client,
    granted: Result<Result<Granted, NotGranted>, Problem>,
) -> Result<Response, OauthError> {
    let granted = granted.map_err(not_issued)?.map_err(|reason| not_granted(client, reason))?;
    let id_token = if granted.scopes.iter().any(|scope| scope == OPENID) {
        Some(id_token::issue(workspace, &granted).await?)
    } else {
        None
    };
    let body = Body {
        access_token: granted.access.secret.expose(),
        token_type: "Bearer",
        expires_in: workspace.access_lifetime(),
        scope: granted.scopes.join(" "),
        refresh_token: granted.refresh.as_ref().map(Secret::expose),
        id_token: id_token.as_deref(),
    };
    Ok(json(StatusCode::OK, &body))
}

fn not_granted(client: &Client, reason: NotGranted) -> OauthError {
    let help = "start the sign-in again";
    match reason {
        NotGranted::Invalid => {
            let message = "the code or refresh token is unknown, expired or revoked, or does not fit the request";
            OauthError::new("invalid_grant", message, help)
        }
        NotGranted::Reused => {
            tracing::warn!(client = client.id, "a code or refresh token was used twice: its tokens are revoked");
            let message = "the code or refresh token was used before, so every token that came from it is revoked";
            OauthError::new("invalid_grant", message, help)
        }
        NotGranted::Scope => {
            let message = "the authorization does not have every scope that the request names";
            OauthError::new("invalid_scope", message, "request scopes that the user allowed, or none for all of them")
        }
    }
}

fn required<'f>(form: &'f Form, name: &str, help: &'static str) -> Result<&'f str, OauthError> {
    form.get(name).ok_or_else(|| OauthError::new("invalid_request", format!("`{name}` is missing"), help))
}

/// Returns the S256 challenge of a verifier (RFC 7636, section 4.6); empty, like none, for a text that is not a verifier.
fn challenge(verifier: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if !(43..=128).contains(&verifier.len()) || !verifier.bytes().all(is_plain) {
        return String::new();
    }
    URL_SAFE_NO_PAD.encode(SecretDigest::of(verifier).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::challenge;

    /// The example of RFC 7636, appendix B.
    #[test]
    fn the_challenge_of_a_verifier_is_its_hash() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        for (invalid, why) in [
            (verifier.get(1..).unwrap().to_owned(), "42 characters"),
            ("a".repeat(129), "129 characters"),
            (verifier.replace('-', "+"), "another character"),
            (verifier.replace('-', "é"), "no ASCII"),
            (String::new(), "nothing"),
        ] {
            assert_eq!(challenge(&invalid), "", "{why}");
        }
    }
}
