//! The parameters of `GET /oauth/authorize` (RFC 6749, RFC 7636, OpenID Connect Core).
//!
//! Errors go to the client only after the client and its redirect URI are known to be valid. Before that, they are a page.

use std::sync::Arc;

use http::StatusCode;
use portcullis::base::quoted;
use portcullis_registry::record::{Client, ClientKind};
use portcullis_registry::{USER_SCOPES, default_scopes};
use url::{Url, form_urlencoded};

use super::redirect::{Registered, registered};
use crate::problem::Problem;
use crate::service::Workspace;
use crate::sign_in::{BrowserUser, sign_in_for};

/// The maximum length of a query, in bytes.
pub(super) const MAX_QUERY: usize = 8_192;

/// How long a sign-in for a request is recent enough for it, in seconds: the user may read the page of the consent.
const FOR_REQUEST: i64 = 600;

/// A valid request for an authorization.
#[derive(Debug)]
pub(super) struct Authorization {
    pub(super) client: Client,
    pub(super) target: Target,
    pub(super) registered: Registered,
    pub(super) scopes: Vec<String>,
    pub(super) nonce: Option<String>,
    pub(super) challenge: String,
    pub(super) prompt: Prompt,
    /// The maximum age of the sign-in, in seconds.
    max_age: Option<i64>,
    /// The name of this request: see [`sign_in_for`].
    name: String,
}

/// Where the answer goes.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) redirect_uri: String,
    pub(super) state: Option<String>,
    pub(super) mode: Mode,
}

/// How the answer gets to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// In the query of the redirect URI.
    Query,
    /// In a message to the page that opened the frame or window.
    WebMessage,
}

/// What the client wants the user to see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Prompt {
    /// Nothing: an answer at once, or an error.
    pub(super) nothing: bool,
    /// The sign-in.
    pub(super) login: bool,
    /// The consent.
    pub(super) consent: bool,
}

/// Why a request is refused.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The client or its redirect URI is not valid: a page.
    Page(Box<Problem>),
    /// Another error, for the client.
    Client { target: Target, error: &'static str, description: String },
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Page(Box::new(problem))
    }
}

/// The parameters of a query that are not empty, in their order.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn read(query: &str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self(pairs.filter(|(_, value)| !value.is_empty()).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    fn is_repeated(&self, name: &str) -> bool {
        self.0.iter().filter(|(known, _)| known == name).count() > 1
    }
}

impl Authorization {
    /// Reads the query of a request.
    ///
    /// # Errors
    ///
    /// If a parameter is not valid.
    pub(super) async fn read(workspace: &Arc<Workspace>, query: &str) -> Result<Self, Refusal> {
        let parameters = Parameters::read(query);
        if query.len() > MAX_QUERY {
            let message = format!("the request has more than {MAX_QUERY} bytes");
            return Err(Problem::invalid("request_too_long", message, "use a shorter `state`").into());
        }
        let (client, is_owner_disabled) = client(workspace, &parameters).await?;
        let (redirect_uri, registered) = redirect_uri(&parameters, &client)?;
        let mut target = Target {
            redirect_uri,
            state: parameters.get("state").map(ToOwned::to_owned).filter(|_| !parameters.is_repeated("state")),
            mode: Mode::Query,
        };
        if parameters.get("response_mode") == Some("web_message") {
            // The message goes to the origin of the redirect URI, and its page frames the answer.
            if !client.urls.web_origins.contains(&target.origin()) {
                let message = format!("{} is not a web origin of the client", quoted(&target.origin()));
                let help = "add the origin to the web origins of the client";
                return Err(Problem::invalid("web_origin_unknown", message, help).into());
            }
            target.mode = Mode::WebMessage;
        }
        if is_owner_disabled {
            let description = "the owner of the application is disabled".to_owned();
            return Err(Refusal::Client { target, error: "unauthorized_client", description });
        }
        match Self::checked(&parameters, &client) {
            Ok(checked) => Ok(Self {
                client,
                target,
                registered,
                scopes: checked.scopes,
                nonce: parameters.get("nonce").map(ToOwned::to_owned),
                challenge: checked.challenge,
                prompt: checked.prompt,
                max_age: checked.max_age,
                name: sign_in_for(query),
            }),
            Err((error, description)) => Err(Refusal::Client { target, error, description }),
        }
    }

    fn checked(parameters: &Parameters, client: &Client) -> Result<Checked, (&'static str, String)> {
        let invalid = |text: &str| ("invalid_request", text.to_owned());
        for (name, _) in &parameters.0 {
            if parameters.is_repeated(name) {
                return Err(("invalid_request", format!("the parameter {} is repeated", quoted(name))));
            }
        }
        for (name, error) in [
            ("request", "request_not_supported"),
            ("request_uri", "request_uri_not_supported"),
            ("registration", "registration_not_supported"),
        ] {
            if parameters.get(name).is_some() {
                return Err((error, format!("`{name}` is not supported")));
            }
        }
        match parameters.get("response_type") {
            Some("code") => {}
            Some(_) => return Err(("unsupported_response_type", "only the response type `code` is supported".into())),
            None => return Err(invalid("`response_type` is missing: send `code`")),
        }
        if !matches!(parameters.get("response_mode"), None | Some("query" | "web_message")) {
            return Err(invalid("only the response modes `query` and `web_message` are supported"));
        }
        if parameters.get("code_challenge_method") != Some("S256") {
            return Err(invalid("PKCE is required: send `code_challenge_method=S256`"));
        }
        let challenge = parameters.get("code_challenge").ok_or_else(|| invalid("`code_challenge` is missing"))?;
        if !is_challenge(challenge) {
            return Err(invalid("`code_challenge` is not the Base64url text of a SHA-256 hash"));
        }
        let prompt = prompt(parameters.get("prompt").unwrap_or_default()).map_err(invalid)?;
        let max_age = match parameters.get("max_age") {
            None => None,
            Some(text) => {
                let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
                let age = text.parse().ok().filter(|_| is_plain);
                Some(age.ok_or_else(|| invalid("`max_age` is not a number of seconds"))?)
            }
        };
        let scopes = scopes(parameters.get("scope").unwrap_or_default(), client)?;
        Ok(Checked { scopes, challenge: challenge.to_owned(), prompt, max_age })
    }

    /// Whether the sign-in of the user is recent enough. One that was made for this request is, whatever it asks for.
    pub(super) fn accepts(&self, user: &BrowserUser, now: i64) -> bool {
        let age = now.saturating_sub(user.since.seconds());
        if user.signed_in_for.as_ref() == Some(&self.name) {
            return age <= FOR_REQUEST;
        }
        !self.prompt.login && self.max_age.is_none_or(|max| age <= max && max != 0)
    }
}

/// Whether the query of an authorization asks for a sign-in whose time matters: a session at an OpenID provider is not one.
pub(crate) fn asks_for_sign_in(query: &str) -> bool {
    let parameters = Parameters::read(query);
    let has_login = |text| prompt(text).is_ok_and(|prompt| prompt.login);
    parameters.get("max_age").is_some() || parameters.get("prompt").is_some_and(has_login)
}

/// The parameters other than the client and its redirect URI.
struct Checked {
    scopes: Vec<String>,
    challenge: String,
    prompt: Prompt,
    max_age: Option<i64>,
}

impl Target {
    /// Returns the origin of the redirect URI.
    pub(super) fn origin(&self) -> String {
        Url::parse(&self.redirect_uri).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
    }
}

/// Returns the client, and whether its owner is disabled.
async fn client(workspace: &Arc<Workspace>, parameters: &Parameters) -> Result<(Client, bool), Refusal> {
    let help = "the application sends the `client_id` of `portcullis credentials create spa`";
    let unknown = || Problem::invalid("client_unknown", "no single-page application has this `client_id`", help);
    let id = parameters.get("client_id").filter(|_| !parameters.is_repeated("client_id"));
    let Some(id) = id.map(ToOwned::to_owned) else { return Err(unknown().into()) };
    let found = workspace.look(move |registry| {
        let client = registry.client_for_login(&id)?.filter(|client| client.kind == ClientKind::Spa);
        let Some(client) = client else { return Ok(None) };
        let owner = registry.user(&client.owner)?;
        Ok(Some((client, owner.is_some_and(|owner| owner.is_disabled))))
    });
    Ok(found.await?.ok_or_else(unknown)?)
}

fn redirect_uri(parameters: &Parameters, client: &Client) -> Result<(String, Registered), Refusal> {
    let uri = parameters.get("redirect_uri").filter(|_| !parameters.is_repeated("redirect_uri"));
    let known = uri.and_then(|uri| Some((uri.to_owned(), registered(uri, &client.urls.callbacks)?)));
    known.ok_or_else(|| {
        let message = "the `redirect_uri` is not a callback of the application";
        let help = "it must be equal to a registered callback, byte for byte";
        Problem::new(StatusCode::BAD_REQUEST, "redirect_uri_unknown", message, help).into()
    })
}

/// Whether `text` is the Base64url text of 32 bytes.
fn is_challenge(text: &str) -> bool {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

fn prompt(text: &str) -> Result<Prompt, &'static str> {
    let mut prompt = Prompt::default();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match word {
            "none" => prompt.nothing = true,
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err("`prompt` has an unknown word"),
        }
    }
    if prompt.nothing && (prompt.login || prompt.consent) {
        return Err("`prompt=none` excludes the other words");
    }
    Ok(prompt)
}

/// Returns the scopes that the client asks for, each once. It gets none that it does not ask for.
pub(super) fn scopes(text: &str, client: &Client) -> Result<Vec<String>, (&'static str, String)> {
    let allowed = client.scopes.clone().unwrap_or_else(default_scopes);
    let mut scopes: Vec<String> = Vec::new();
    for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
        if !USER_SCOPES.contains(&scope) && !allowed.iter().any(|known| known == scope) {
            let known = USER_SCOPES.iter().copied().chain(allowed.iter().map(String::as_str));
            let known = known.collect::<Vec<_>>().join(" ");
            return Err(("invalid_scope", format!("the application may have only the scopes {known}")));
        }
        if !scopes.iter().any(|known| known == scope) {
            scopes.push(scope.to_owned());
        }
    }
    Ok(scopes)
}
