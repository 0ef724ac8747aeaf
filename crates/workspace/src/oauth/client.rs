//! Authentication of OAuth clients.

use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, ORIGIN};
use percent_encoding::percent_decode_str;
use portcullis::model::SecretDigest;
use portcullis_registry::record::{Client, ClientKind, Urls};
use portcullis_server::site::Peer;

use super::cors::origin;
use super::error::OauthError;
use super::form::Form;
use crate::address::address_name;
use crate::service::Workspace;

/// The credentials that a client presents.
struct Presented {
    id: String,
    secret: String,
}

/// Authenticates the client of a request, by `client_secret_basic` or `client_secret_post`.
///
/// # Errors
///
/// Unknown clients and wrong secrets get the same error. After 20 failures for a client, or 100 for several, further failures of
/// the address are answered with the time to wait. A valid secret is always accepted: nobody guesses one, and a stranger at the
/// same address does not lock the client out.
pub(super) async fn authenticate(
    workspace: &Workspace,
    headers: &HeaderMap,
    peer: Option<Peer>,
    form: &Form,
) -> Result<Client, OauthError> {
    let Presented { id, secret } = presented(headers, form)?;
    // The digest has one length, whatever text was presented.
    let (tried, from) = (SecretDigest::of(&id).to_hex(), address_name(peer));
    // The digest is computed first, whether or not the client exists.
    let digest = SecretDigest::of(&secret);
    let client = workspace.look(move |registry| registry.client_for_login(&id)).await?;
    let client = client.filter(|client| client.kind == ClientKind::M2m && client.has_secret(&digest, Workspace::now()));
    let Some(client) = client else {
        workspace.count_failure(&tried, &from).map_err(OauthError::too_many)?;
        return Err(OauthError::invalid_client());
    };
    workspace.count(&format!("oauth {}", client.id))?;
    Ok(client)
}

/// Returns the single-page application that sends a request. It has no secret: what it presents besides its id is the proof.
///
/// # Errors
///
/// If there is no such client, the request has a secret, or it comes from a page that the client does not have.
pub(super) async fn application(
    workspace: &Workspace,
    headers: &HeaderMap,
    peer: Option<Peer>,
    form: &Form,
) -> Result<Client, OauthError> {
    let id = form.get("client_id").filter(|_| !has_secret(headers, form)).ok_or_else(OauthError::invalid_client)?;
    let (id, from) = (id.to_owned(), address_name(peer));
    let client = workspace.look(move |registry| registry.client_for_login(&id)).await?;
    let Some(client) = client.filter(|client| client.kind == ClientKind::Spa) else {
        // No secret is guessed here, so failures for an id do not count against that id.
        workspace.count_failure_of(&from).map_err(OauthError::too_many)?;
        return Err(OauthError::invalid_client());
    };
    let is_own = |origin: &str| {
        let Urls { web_origins, allowed_origins, .. } = &client.urls;
        web_origins.iter().chain(allowed_origins).any(|known| known == origin)
    };
    // A program that is no page sends no origin.
    if headers.contains_key(ORIGIN) && !origin(headers).is_some_and(is_own) {
        let message = "the page that sends the request is not of a web origin of the client";
        return Err(OauthError::new("invalid_request", message, "add the origin to the web origins of the client"));
    }
    // Everybody knows the id: one address does not use up what the others may send.
    workspace.count(&format!("oauth {} {from}", client.id))?;
    Ok(client)
}

/// Authenticates a machine, or identifies a single-page application.
///
/// # Errors
///
/// As [`authenticate`] and [`application`].
pub(super) async fn any(
    workspace: &Workspace,
    headers: &HeaderMap,
    peer: Option<Peer>,
    form: &Form,
) -> Result<Client, OauthError> {
    if has_secret(headers, form) {
        authenticate(workspace, headers, peer, form).await
    } else {
        application(workspace, headers, peer, form).await
    }
}

fn has_secret(headers: &HeaderMap, form: &Form) -> bool {
    headers.contains_key(AUTHORIZATION) || form.get("client_secret").is_some()
}

/// Returns the address of the client of a request.
pub(super) fn peer(request: &Request) -> Option<Peer> {
    request.extensions().get::<Peer>().copied()
}

fn presented(headers: &HeaderMap, form: &Form) -> Result<Presented, OauthError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let header = values.next().map(|value| value.to_str().unwrap_or_default());
    if values.next().is_some() {
        return Err(OauthError::invalid_client());
    }
    let in_body = (form.get("client_id"), form.get("client_secret"));
    match (header, in_body) {
        (Some(header), (id, None)) => {
            let presented = basic(header).ok_or_else(OauthError::invalid_client)?;
            // The body may repeat the id, but not another one.
            if id.is_some_and(|id| id != presented.id) {
                return Err(OauthError::invalid_client());
            }
            Ok(presented)
        }
        (None, (Some(id), Some(secret))) => Ok(Presented { id: id.to_owned(), secret: secret.to_owned() }),
        (Some(_), (_, Some(_))) => {
            let message = "the request authenticates the client in two ways";
            Err(OauthError::new("invalid_request", message, "send the secret in the header or in the body"))
        }
        (None, _) => Err(OauthError::invalid_client()),
    }
}

/// Reads `Basic` credentials, whose parts are form-encoded (RFC 6749, section 2.3.1).
fn basic(header: &str) -> Option<Presented> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = |text: &str| Some(percent_decode_str(&text.replace('+', " ")).decode_utf8().ok()?.into_owned());
    Some(Presented { id: decoded(id)?, secret: decoded(secret)? })
}

#[cfg(test)]
mod tests {
    use super::basic;
    use base64::Engine as _;

    #[test]
    fn basic_credentials_are_form_encoded() {
        let header = |text: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
        let read = |text: &str| basic(&header(text)).map(|it| (it.id, it.secret));
        assert_eq!(read("m2m_a:s"), Some(("m2m_a".into(), "s".into())));
        assert_eq!(read("a%3Ab:c%2B+d"), Some(("a:b".into(), "c+ d".into())));
        assert_eq!(read("a:b:c"), Some(("a".into(), "b:c".into())));
        assert_eq!(read("a"), None);
        assert!(basic("Bearer x").is_none() && basic("Basic").is_none() && basic("Basic !").is_none());
    }
}
