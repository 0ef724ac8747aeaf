//! Secrets that are shown once, and forms that are obeyed once.
//!
//! A form has a random key. The change and its secret, sealed under the key, are stored together, so a form that is sent twice
//! makes one change. The answer to the form is a redirect with the key in a cookie, which only one page gets; that page
//! removes the secret from the store before it shows it. So a double click shows the secret, and a reload does not.

use std::sync::Arc;

use axum::response::Response;
use http::HeaderValue;
use http::header::{COOKIE, SET_COOKIE};
use maud::{Markup, html};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_registry::record::{Ticket, TicketKind};
use portcullis_registry::{Advice, Answered, Change, Once, RegistryError};
use serde::{Deserialize, Serialize};

use super::form::Form;
use super::visit::Visit;
use crate::authenticate::only_looks;
use crate::once::KEY_LENGTH;
use crate::problem::Problem;
use crate::seal::Sealer;
use crate::service::Workspace;

pub(super) use crate::seal::key;

/// How long a form is recognized, in seconds.
const REMEMBERED: i64 = 24 * 3600;

/// How long the cookie lasts, in seconds: the browser follows the redirect at once.
const COOKIE_LIFETIME: u32 = 300;

const COOKIE_NAME: &str = "portcullis-once";

/// The length of the digest of the request, at the start of a remembered answer.
const DIGEST: usize = 32;

/// The outcome of a form, as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// The id of the record.
    pub(super) id: String,
    /// Its secret, until it is shown.
    pub(super) secret: Option<String>,
}

/// Returns the field that holds the key.
pub(super) fn field(key: &str) -> Markup {
    html! { input type="hidden" name="key" value=(key); }
}

/// Makes the change of a form once, and returns the id of its record.
pub(super) async fn change<T: Send + 'static>(
    visit: &Visit,
    form: &Form,
    work: impl FnOnce(&mut Change<'_>) -> Result<T, RegistryError> + Send + 'static,
    kept: impl Fn(&T) -> Kept + Send + Sync + 'static,
) -> Result<String, Problem> {
    let kept = Arc::new(kept);
    let sealer = sealer(visit, form.get("key"))?;
    let once = Once {
        key: sealer.name,
        request: SecretDigest::of(&format!("{form:?}")),
        expires: Timestamp::from_unix(Workspace::now().seconds().saturating_add(REMEMBERED), 0),
    };
    let sealing = Arc::clone(&sealer);
    let to_keep = Arc::clone(&kept);
    let seal = move |made: &T| seal(&sealing, &to_keep(made));
    let answered = visit.workspace().change_once(&visit.identity, once, work, seal).await;
    let answered = answered.map_err(|problem| match problem.reason() {
        "idempotency_key_reused" => {
            let message = "this form was sent before, with other values";
            Problem::invalid("form_reused", message, "open the form again: the first values were saved")
        }
        _ => problem,
    })?;
    let kept = match answered {
        Answered::Now(made) => Some(kept(&made)),
        Answered::Before(answer) => opened(&sealer, &answer),
    };
    Ok(kept.ok_or_else(Problem::internal)?.id)
}

fn sealer(visit: &Visit, key: &str) -> Result<Arc<Sealer>, Problem> {
    if !KEY_LENGTH.contains(&key.len()) {
        return Err(Problem::invalid("form_incomplete", "the form is not complete", "open the form again"));
    }
    let sealer = Sealer::new(&visit.identity.account(), key);
    sealer.map(Arc::new).ok_or_else(Problem::internal)
}

fn seal(sealer: &Sealer, kept: &Kept) -> Result<Vec<u8>, RegistryError> {
    let text = serde_json::to_vec(kept).unwrap_or_default();
    let failed = || RegistryError::Storage(Advice::new("the answer cannot be sealed", "nothing was changed"));
    sealer.seal(&text).ok_or_else(failed)
}

fn opened(sealer: &Sealer, answer: &[u8]) -> Option<Kept> {
    serde_json::from_slice(&sealer.open(answer)?).ok()
}

/// Adds the cookie with which the page at `path` shows the secret.
pub(super) fn with_key(visit: &Visit, mut response: Response, path: &str, key: &str) -> Response {
    let secure = if visit.workspace().is_https() { "; Secure" } else { "" };
    let path = visit.to(path);
    let cookie =
        format!("{COOKIE_NAME}={key}; Path={path}; Max-Age={COOKIE_LIFETIME}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(mut value) = HeaderValue::from_str(&cookie) {
        value.set_sensitive(true);
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}

/// Returns the secret of the record `id`, once.
pub(super) async fn take(visit: &Visit, id: &str) -> Result<Option<String>, Problem> {
    let Some(key) = cookie(visit).filter(|_| !only_looks(&visit.method, &visit.headers)) else { return Ok(None) };
    let sealer = sealer(visit, &key)?;
    let id = id.to_owned();
    let taken = visit.workspace().write(move |registry| {
        let Some(ticket) = registry.take_ticket(TicketKind::Answer, &sealer.name, Workspace::now())? else {
            return Ok(None);
        };
        let answer = ticket.body.get(DIGEST..).unwrap_or_default();
        let Some(mut kept) = opened(&sealer, answer) else { return Ok(None) };
        let secret = if kept.id == id { kept.secret.take() } else { None };
        // The form stays recognized, without the secret.
        let request = ticket.body.get(..DIGEST).unwrap_or_default();
        let body = [request, &seal(&sealer, &kept)?].concat();
        registry.put_ticket(&Ticket { body, ..ticket })?;
        Ok(secret)
    });
    taken.await
}

fn cookie(visit: &Visit) -> Option<String> {
    let cookies = visit.headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value.to_owned())
}

/// Shows a secret, or that it was shown before.
pub(super) fn shown(secret: Option<&str>, label: &str, back: &str) -> Markup {
    html! {
        @match secret {
            Some(secret) => {
                div.notice.success role="status" {
                    p { b { "Copy the secret now." } " It is shown only here, once. Nobody can read it again, not even an administrator." }
                }
                div.secret data-secret {
                    label for="secret" { (label) }
                    div.with-button {
                        input #secret type="text" readonly value=(secret) spellcheck="false" autocomplete="off" aria-describedby="copy-status";
                        button type="button" data-copy="secret" hidden { "Copy" }
                    }
                    p #copy-status.hint role="status" aria-live="polite" {}
                }
            }
            None => {
                div.notice role="status" {
                    p { "The secret is not shown again. If it was not copied, rotate the credential: that creates a new secret." }
                }
            }
        }
        p { a.button href=(back) { "Done" } }
    }
}
