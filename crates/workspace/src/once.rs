//! `Idempotency-Key`: a change is made once, however often its request is sent.

use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use portcullis_registry::{Actor, Advice, Answered, Change, Created, NewToken, Once, Registry, RegistryError};

use crate::answer::{Answer, Outcome};
use crate::endpoint::Call;
use crate::problem::Problem;
use crate::seal::{LONG, Sealer};
use crate::service::Workspace;

/// The header with the key of a request.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The header of an answer that was remembered.
const REPLAYED: &str = "idempotency-replayed";

/// How long an answer is remembered, in seconds.
const REMEMBERED: i64 = 24 * 3600;

/// How an answer is sealed, to be remembered.
type Seal<'s, T> = &'s dyn Fn(&T) -> Result<Vec<u8>, RegistryError>;

/// Makes the change of `call` by `work`, and returns what `answer` makes of it. With an `Idempotency-Key`, a repeated request
/// gets the same answer, and changes nothing.
pub(crate) async fn made_once<T: Send + 'static>(
    call: Call,
    work: impl FnOnce(&mut Change<'_>) -> Result<T, RegistryError> + Send + 'static,
    answer: impl Fn(&T) -> Answer + Send + Clone + 'static,
) -> Outcome {
    let change = |registry: &mut Registry, actor: &Actor, once: Option<(&Once, Seal<'_, T>)>| match once {
        None => registry.changed(actor, work).map(Answered::Now),
        Some((once, seal)) => registry.once(actor, once, work, seal),
    };
    answered(call, change, answer).await
}

/// Creates the token of `call` as [`made_once`] makes a change.
pub(crate) async fn created_once(
    call: Call,
    new: NewToken,
    answer: impl Fn(&Created) -> Answer + Send + Clone + 'static,
) -> Outcome {
    let create = move |registry: &mut Registry, actor: &Actor, once: Option<(&Once, Seal<'_, Created>)>| match once {
        None => registry.create_token(actor, &new).map(Answered::Now),
        Some((once, seal)) => registry.create_token_once(actor, once, &new, seal),
    };
    answered(call, create, answer).await
}

/// Calls `change`, with the idempotency key of `call` if it has one.
async fn answered<T: Send + 'static>(
    call: Call,
    change: impl FnOnce(&mut Registry, &Actor, Option<(&Once, Seal<'_, T>)>) -> Result<Answered<T>, RegistryError>
    + Send
    + 'static,
    answer: impl Fn(&T) -> Answer + Send + Clone + 'static,
) -> Outcome {
    let Some(key) = key(&call.headers)? else {
        let made = call.workspace.change(&call.identity, |registry, actor| change(registry, actor, None)).await?;
        return match made {
            Answered::Now(made) => Ok(answer(&made).into_response()),
            // Only requests with a key have a remembered answer.
            Answered::Before(_) => Err(Problem::internal()),
        };
    };
    let account = call.identity.account();
    let sealer = Sealer::new(&account, &key).ok_or_else(Problem::internal)?;
    let Some(_guard) = call.workspace.begin(&sealer.name) else {
        let help = "wait for the answer of that request, and repeat it only then";
        let message = "a request with this idempotency key is in progress";
        return Err(Problem::new(StatusCode::CONFLICT, "idempotency_in_progress", message, help).with(RETRY_AFTER, "1"));
    };
    // An answer may hold a secret: it is repeated only to a caller with the rights of the first one.
    let request = format!("{} {} {:?} {:?}", call.method, call.path, call.identity.rights(), call.body);
    let once = Once {
        key: sealer.name,
        request: SecretDigest::of(&request),
        expires: Timestamp::from_unix(Workspace::now().seconds().saturating_add(REMEMBERED), 0),
    };
    let sealer = std::sync::Arc::new(sealer);
    let (sealing, to_answer) = (std::sync::Arc::clone(&sealer), answer.clone());
    let seal = move |made: &T| {
        let text = serde_json::to_vec(&to_answer(made)).unwrap_or_default();
        let failed = || RegistryError::Storage(Advice::new("the answer cannot be sealed", "nothing was changed"));
        sealing.seal(&text).ok_or_else(failed)
    };
    let change = move |registry: &mut Registry, actor: &Actor| change(registry, actor, Some((&once, &seal)));
    match call.workspace.change(&call.identity, change).await? {
        Answered::Now(made) => Ok(answer(&made).into_response()),
        Answered::Before(kept) => {
            let text = sealer.open(&kept).ok_or_else(Problem::internal)?;
            let answer: Answer = serde_json::from_slice(&text).map_err(|_| Problem::internal())?;
            Ok(replayed(answer))
        }
    }
}

fn replayed(answer: Answer) -> Response {
    let mut response = answer.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The length of a key, in bytes. A shorter key can be guessed, and with it the secret in a remembered answer.
pub(crate) const KEY_LENGTH: std::ops::RangeInclusive<usize> = LONG..=255;

/// Reads the key of a request.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| KEY_LENGTH.contains(&key.trim().len()));
    match (key, values.next()) {
        (Some(key), None) => Ok(Some(key.to_owned())),
        _ => Err(Problem::invalid(
            "invalid_idempotency_key",
            format!(
                "`Idempotency-Key` is not one text of {} to {} visible characters",
                KEY_LENGTH.start(),
                KEY_LENGTH.end()
            ),
            "send a new UUID for each change",
        )),
    }
}
