//! The provider: its metadata and keys, which are read again from time to time, and the requests of a sign-in.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http::Uri;
use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClientAuthMethod};
use openidconnect::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, DiscoveryError, EndSessionUrl, IssuerUrl,
    LogoutRequest, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl,
    RedirectUrl, RequestTokenError, Scope, TokenResponse as _, UserInfoUrl,
};
use portcullis::base::{is_browsed_host, quoted, unwrapped};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::attempt::Attempt;
use crate::http_client::{AuthorityError, HttpClient, HttpError, MAX_TIME, is_of_this_machine};
use crate::person::Person;
use crate::refusal::Refusal;
use crate::turns::Turns;
use crate::types::{Claims, Metadata, RelyingParty, UserInfo};
use crate::verify;

/// How old metadata and keys may be before they are read again.
const FRESH: Duration = Duration::from_mins(10);

/// How old they may be while the provider cannot be reached.
const USABLE: Duration = Duration::from_hours(24);

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// The URL of an issuer, exactly as the provider names itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

/// Text that is not the URL of an issuer. The error does not repeat a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected the `https` URL of an OpenID provider, without a query or a fragment, found {found}\n\
     help: write the `issuer` of its discovery document, such as `{instead}`; `http` is for localhost only"
)]
pub struct IssuerError {
    /// The text in backticks, unless it may hold a password.
    found: String,
    instead: String,
}

/// The paths of discovery documents, which follow the issuer.
const DISCOVERY: [&str; 2] = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"];

impl Issuer {
    /// Returns the URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the host name, for people.
    pub fn host(&self) -> String {
        Url::parse(&self.0).ok().and_then(|url| url.host_str().map(ToOwned::to_owned)).unwrap_or_default()
    }
}

impl std::str::FromStr for Issuer {
    type Err = IssuerError;

    fn from_str(text: &str) -> Result<Self, IssuerError> {
        if is_issuer(text) {
            return Ok(Self(text.to_owned()));
        }
        let found = if text.contains('@') { "one with an `@`".to_owned() } else { quoted(text) };
        let instead = meant(text).filter(|url| is_issuer(url));
        Err(IssuerError { found, instead: instead.unwrap_or_else(|| "https://login.example.com".to_owned()) })
    }
}

fn is_issuer(text: &str) -> bool {
    let is_host = |url: &Url| {
        let is_safe = |host: &str| url.scheme() == "https" || is_of_this_machine(host);
        url.host_str().is_some_and(|host| is_browsed_host(host) && is_safe(host))
    };
    let is_plain = |url: &Url| {
        matches!(url.scheme(), "https" | "http")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && !DISCOVERY.iter().any(|path| url.path().trim_end_matches('/').ends_with(path))
    };
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && text.contains("://")
        && Url::parse(text).is_ok_and(|url| is_host(&url) && is_plain(&url) && has_one_spelling(text, &url))
}

/// Whether scheme, host and port are spelled as in the documents of providers: in lower case, without a default port.
fn has_one_spelling(text: &str, url: &Url) -> bool {
    let rest = text.strip_prefix(&url.origin().ascii_serialization());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the issuer that `text` means: with `https`, without the parts that no issuer has.
fn meant(text: &str) -> Option<String> {
    let text = &*unwrapped(text).replace('\\', "/");
    let is_local = text.starts_with("localhost") || text.starts_with("127.") || text.starts_with("[::1]");
    let url = match (text.contains("://"), is_local) {
        (true, _) => Url::parse(text),
        (false, true) => Url::parse(&format!("http://{text}")),
        (false, false) => Url::parse(&format!("https://{text}")),
    };
    let mut url = url
        .ok()
        .filter(|url| is_local || text.contains("://") || url.host_str().is_some_and(|host| host.contains('.')))?;
    url.set_query(None);
    url.set_fragment(None);
    if !url.host_str().is_some_and(is_of_this_machine) {
        url.set_scheme("https").ok()?;
    }
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    let path = url.path().trim_end_matches('/');
    let without = DISCOVERY.iter().find_map(|discovery| path.strip_suffix(discovery)).map(ToOwned::to_owned);
    if let Some(path) = &without {
        url.set_path(path);
    }
    // Most issuers have no slash at their end, unless it was written.
    let has_slash = without.is_none() && text.split(['?', '#']).next().is_some_and(|start| start.ends_with('/'));
    let url = String::from(url);
    Some(if has_slash { url } else { url.trim_end_matches('/').to_owned() })
}

/// How the provider knows this program.
#[derive(Clone)]
pub struct Options {
    /// The issuer.
    pub issuer: Issuer,
    /// The client id that the provider has registered.
    pub client_id: String,
    /// The secret of the client; `None` for a public client.
    pub client_secret: Option<String>,
    /// The registered URL to which the provider sends its answers.
    pub redirect_url: String,
    /// The registered URL to which the provider sends the browser after a sign-out.
    pub signed_out_url: String,
    /// Scopes in addition to `openid`.
    pub scopes: Vec<String>,
    /// Claims that are needed, and asked for at the user information if the ID token lacks them.
    pub claims: Vec<String>,
    /// The certificate authorities of the provider (PEM); `None` for those of the system.
    pub authorities: Option<PathBuf>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// The answer of the provider: parameters of the URL to which it sends the browser.
#[derive(Clone, Default)]
pub struct Answer {
    /// The authorization code.
    pub code: Option<String>,
    /// The issuer (RFC 9207).
    pub issuer: Option<String>,
    /// The code of an error.
    pub error: Option<String>,
}

/// The metadata and the keys of the provider.
struct Discovered {
    metadata: Metadata,
    at: Instant,
}

/// An OpenID provider.
pub struct Provider {
    options: Options,
    client: HttpClient,
    current: RwLock<Option<Arc<Discovered>>>,
    /// The last failure, if no later request succeeded.
    failed: RwLock<Option<(Instant, Refusal)>>,
    /// One request for metadata at a time.
    reading: Mutex<()>,
    turns: Turns,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Provider {
    /// Prepares the provider. It need not be reachable yet.
    ///
    /// # Errors
    ///
    /// If the certificate authorities cannot be used.
    pub fn new(options: Options) -> Result<Self, AuthorityError> {
        let needs_tls = options.issuer.as_str().starts_with("https:");
        Ok(Self {
            client: HttpClient::new(options.authorities.as_deref(), needs_tls)?,
            options,
            current: RwLock::new(None),
            failed: RwLock::new(None),
            reading: Mutex::new(()),
            turns: Turns::new(),
        })
    }

    /// Returns the issuer.
    pub fn issuer(&self) -> &Issuer {
        &self.options.issuer
    }

    /// Returns the URL to which the provider sends its answers.
    pub fn redirect_url(&self) -> &str {
        &self.options.redirect_url
    }

    /// Reads metadata and keys again whenever they are old, until the future is dropped.
    pub async fn keep_current(&self) {
        let mut was_usable = true;
        loop {
            let read = self.discovered(FRESH / 2).await;
            match &read {
                Ok(_) if !was_usable => tracing::info!("the OpenID provider can be used again"),
                Err(refusal) if was_usable => tracing::warn!("{}", refusal.message()),
                _ => {}
            }
            was_usable = read.is_ok();
            tokio::time::sleep(if was_usable { FRESH / 2 } else { PAUSE * 2 }).await;
        }
    }

    /// Returns the URL of the provider at which a browser signs in. With `asks_again`, the provider asks the person to sign in
    /// even if the browser has a session there.
    ///
    /// # Errors
    ///
    /// If the provider cannot be used.
    pub async fn sign_in_url(&self, attempt: &Attempt, asks_again: bool) -> Result<Url, Refusal> {
        let found = self.discovered(FRESH).await?;
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let (state, nonce) = (attempt.state.clone(), attempt.nonce.clone());
        let party = self.relying_party(&found.metadata)?;
        let request = party.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            move || CsrfToken::new(state),
            move || Nonce::new(nonce),
        );
        let scopes = self.options.scopes.iter().cloned().map(Scope::new);
        let request = request.add_scopes(scopes).set_pkce_challenge(challenge);
        let request = if asks_again { request.add_prompt(CoreAuthPrompt::Login) } else { request };
        Ok(request.url().0)
    }

    /// Returns the person whom the provider's answer to an attempt names, at `now`, in seconds since 1970. `address` is that of
    /// the browser.
    ///
    /// # Errors
    ///
    /// If the provider has refused the sign-in, cannot be used, or its answer is not valid; or if too many sign-ins of the
    /// address, or of the browser, are in progress.
    pub async fn finish(&self, attempt: &Attempt, answer: &Answer, address: &str, now: u64) -> Result<Person, Refusal> {
        let _turn = self.turns.take(address, &attempt.browser).await.ok_or(Refusal::Busy)?;
        let finished = tokio::time::timeout(MAX_TIME, self.exchange(attempt, answer, now)).await;
        finished.unwrap_or_else(|_| Err(HttpError::Slow.into()))
    }

    async fn exchange(&self, attempt: &Attempt, answer: &Answer, now: u64) -> Result<Person, Refusal> {
        let found = self.discovered(FRESH).await?;
        self.check_issuer(&found.metadata, answer)?;
        if let Some(error) = &answer.error {
            return Err(Refusal::Denied(known_error(error).to_owned()));
        }
        let code = answer.code.clone().filter(|code| !code.is_empty()).ok_or(Refusal::NoCode)?;
        let party = self.relying_party(&found.metadata)?;
        let request = party.exchange_code(AuthorizationCode::new(code));
        let request = request.map_err(|_| unusable("it has no token endpoint"))?;
        let client = self.client.clone();
        let send = move |request| client.clone().send(request);
        let verifier = PkceCodeVerifier::new(attempt.verifier.clone());
        let tokens = request.set_pkce_verifier(verifier).request_async(&send).await.map_err(|error| match error {
            RequestTokenError::ServerResponse(_) => Refusal::CodeRefused,
            RequestTokenError::Request(error) => Refusal::from(error),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => unusable("its answer has no tokens"),
        })?;
        let token = tokens.id_token().ok_or(Refusal::Token("it is missing"))?;
        let id = ClientId::new(self.options.client_id.clone());
        let claims = match verify::claims(&found.metadata, &id, token, &attempt.nonce, now) {
            Ok(claims) => claims,
            Err(verify::Fault::Key) => {
                // The provider may have replaced its keys since they were read.
                tracing::info!("reading the keys of the OpenID provider again");
                let renewed = self.discovered(Duration::ZERO).await?;
                verify::claims(&renewed.metadata, &id, token, &attempt.nonce, now)?
            }
            Err(fault) => return Err(fault.into()),
        };
        let mut person = person(&self.options.issuer, &claims);
        let lacks = person.email.is_none() || self.options.claims.iter().any(|claim| !person.has(claim));
        if lacks && found.metadata.userinfo_endpoint().is_some() {
            let secret = tokens.access_token().secret();
            if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(Refusal::UserInfo);
            }
            let request = party.user_info(tokens.access_token().clone(), Some(claims.subject().clone()));
            let request = request.map_err(|_| Refusal::UserInfo)?;
            let more: UserInfo = request.request_async(&send).await.map_err(|_| Refusal::UserInfo)?;
            add(&mut person, &more);
        }
        Ok(person)
    }

    /// Returns the URL of the provider at which a browser signs out; `None` if the provider has none, or is not known yet.
    pub fn sign_out_url(&self) -> Option<Url> {
        let found = self.current()?;
        let endpoint = found.metadata.additional_metadata().end_session_endpoint.clone()?;
        let back = PostLogoutRedirectUrl::new(self.options.signed_out_url.clone()).ok()?;
        let request = LogoutRequest::from(endpoint).set_client_id(ClientId::new(self.options.client_id.clone()));
        Some(request.set_post_logout_redirect_uri(back).http_get_url())
    }

    /// Checks that the answer is of this provider (RFC 9207).
    fn check_issuer(&self, metadata: &Metadata, answer: &Answer) -> Result<(), Refusal> {
        let is_named = metadata.additional_metadata().authorization_response_iss_parameter_supported;
        match &answer.issuer {
            Some(issuer) if issuer == self.options.issuer.as_str() => Ok(()),
            None if !is_named => Ok(()),
            _ => Err(Refusal::WrongIssuer),
        }
    }

    fn relying_party(&self, metadata: &Metadata) -> Result<RelyingParty, Refusal> {
        let secret = self.options.client_secret.clone().map(ClientSecret::new);
        let id = ClientId::new(self.options.client_id.clone());
        let redirect = RedirectUrl::new(self.options.redirect_url.clone());
        let redirect = redirect.map_err(|_| unusable("the URL of the workspace is not valid"))?;
        // Basic authentication is the default of the specification.
        let methods = metadata.token_endpoint_auth_methods_supported();
        let has = |method| methods.is_none_or(|methods| methods.contains(&method));
        let is_basic = has(CoreClientAuthMethod::ClientSecretBasic) || !has(CoreClientAuthMethod::ClientSecretPost);
        let kind = if is_basic { AuthType::BasicAuth } else { AuthType::RequestBody };
        Ok(RelyingParty::from_provider_metadata(metadata.clone(), id, secret)
            .set_redirect_uri(redirect)
            .set_auth_type(kind))
    }

    /// Returns why nobody can sign in now, as far as is known without asking the provider.
    pub fn problem(&self) -> Option<Refusal> {
        let is_usable = self.current().is_some_and(|found| found.at.elapsed() < USABLE);
        self.failure().map(|(_, refusal)| refusal).filter(|_| !is_usable)
    }

    fn failure(&self) -> Option<(Instant, Refusal)> {
        self.failed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn current(&self) -> Option<Arc<Discovered>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns metadata and keys that are at most `age` old. While the provider cannot be reached, older ones are used.
    async fn discovered(&self, age: Duration) -> Result<Arc<Discovered>, Refusal> {
        let begun = Instant::now();
        let fresh = || self.current().filter(|found| found.at >= begun || found.at.elapsed() < age);
        if let Some(found) = fresh() {
            return Ok(found);
        }
        let _reading = self.reading.lock().await;
        // Another sign-in may have read them meanwhile.
        if let Some(found) = fresh() {
            return Ok(found);
        }
        let usable = || self.current().filter(|found| age > Duration::ZERO && found.at.elapsed() < USABLE);
        if let Some((_, refusal)) = self.failure().filter(|(at, _)| at.elapsed() < PAUSE) {
            return usable().ok_or(refusal);
        }
        match self.discover().await {
            Ok(metadata) => {
                *self.failed.write().unwrap_or_else(PoisonError::into_inner) = None;
                let found = Arc::new(Discovered { metadata, at: Instant::now() });
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&found));
                Ok(found)
            }
            Err(refusal) => {
                let failed = Some((Instant::now(), refusal.clone()));
                *self.failed.write().unwrap_or_else(PoisonError::into_inner) = failed;
                usable().ok_or(refusal)
            }
        }
    }

    async fn discover(&self) -> Result<Metadata, Refusal> {
        let issuer = IssuerUrl::new(self.options.issuer.as_str().to_owned());
        let issuer = issuer.map_err(|_| unusable("its URL is not valid"))?;
        let client = self.client.clone();
        let send = move |request| client.clone().send(request);
        let metadata = Metadata::discover_async(issuer, &send).await.map_err(|error| match error {
            DiscoveryError::Request(error) => Refusal::from(error),
            DiscoveryError::Response(status, _, _) if !status.is_success() => HttpError::Status(status.as_u16()).into(),
            DiscoveryError::Validation(_) => unusable("its discovery document names another issuer"),
            _ => unusable("its discovery document, or its key set, is malformed"),
        })?;
        check_endpoints(&metadata)?;
        Ok(metadata)
    }
}

/// Checks that a browser and this program send no secret without TLS.
fn check_endpoints(metadata: &Metadata) -> Result<(), Refusal> {
    let is_safe = |url: &Url| url.scheme() == "https" || url.host_str().is_some_and(is_of_this_machine);
    let token = metadata.token_endpoint().ok_or_else(|| unusable("it has no token endpoint"))?;
    let user_info = metadata.userinfo_endpoint().map(UserInfoUrl::url);
    let sign_out = metadata.additional_metadata().end_session_endpoint.as_ref().map(EndSessionUrl::url);
    let own = [metadata.authorization_endpoint().url(), token.url(), metadata.jwks_uri().url()];
    let is_web = |url: &Url| matches!(url.scheme(), "https" | "http") && url.as_str().parse::<Uri>().is_ok();
    if own.into_iter().chain(user_info).chain(sign_out).all(|url| is_web(url) && is_safe(url)) {
        return Ok(());
    }
    Err(unusable("one of its endpoints has no `https` URL"))
}

fn unusable(why: &str) -> Refusal {
    Refusal::Unavailable(why.to_owned())
}

fn person(issuer: &Issuer, claims: &Claims) -> Person {
    let is_verified = claims.email_verified() == Some(true);
    let email = claims.email().map(|email| email.to_string()).filter(|_| is_verified);
    Person {
        issuer: issuer.as_str().to_owned(),
        subject: claims.subject().to_string(),
        email: email.filter(|email| is_address(email)),
        claims: claims.additional_claims().claims.clone(),
    }
}

/// Adds claims that the ID token lacks.
fn add(person: &mut Person, more: &UserInfo) {
    let is_verified = more.email_verified() == Some(true);
    let email = more.email().map(|email| email.to_string()).filter(|_| is_verified);
    person.email = person.email.take().or(email.filter(|email| is_address(email)));
    for (name, value) in &more.additional_claims().claims {
        person.claims.entry(name.as_str()).or_insert_with(|| Value::clone(value));
    }
}

/// Whether `text` has the form of an e-mail address, so that it is a name for people and has one domain.
fn is_address(text: &str) -> bool {
    let has_parts = text
        .split_once('@')
        .is_some_and(|(user, domain)| !user.is_empty() && !domain.is_empty() && !domain.contains('@'));
    has_parts && text.len() <= 254 && !text.chars().any(|character| character.is_control() || character.is_whitespace())
}

/// Returns the code of an error if a specification has it: other texts are not repeated.
fn known_error(code: &str) -> &str {
    const KNOWN: [&str; 17] = [
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "invalid_client",
        "invalid_request",
        "invalid_request_object",
        "invalid_request_uri",
        "invalid_scope",
        "login_required",
        "registration_not_supported",
        "request_not_supported",
        "request_uri_not_supported",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_response_type",
    ];
    KNOWN.into_iter().find(|known| *known == code).unwrap_or("unknown error")
}

#[cfg(test)]
mod tests {
    use super::{Issuer, is_address, known_error};

    #[test]
    fn only_urls_of_issuers_are_accepted() {
        for text in [
            "https://login.example.com",
            "https://login.example.com/",
            "https://login.example.com/realms/a",
            "http://localhost:3000",
            "http://127.0.0.1:3000/t",
            "http://[::1]:1",
        ] {
            let issuer: Issuer = text.parse().unwrap();
            assert_eq!(issuer.as_str(), text, "an issuer is compared byte for byte");
        }
        let example = "https://login.example.com";
        for (text, instead) in [
            ("", example),
            ("*", example),
            ("login", example),
            ("https://", example),
            ("https://x..y", example),
            ("https://-x.com", example),
            ("https://a.example,https://b.example", example),
            ("a.example", "https://a.example"),
            ("a.example/t", "https://a.example/t"),
            ("http://a.example", "https://a.example"),
            ("localhost:3000", "http://localhost:3000"),
            ("ftp://localhost", example),
            ("https://user@a.example", "https://a.example"),
            ("https://user:secret@a.example/t", "https://a.example/t"),
            ("https://a.example?x", "https://a.example"),
            ("https://a.example/?x", "https://a.example/"),
            ("https://a.example#x", "https://a.example"),
            (" https://a.example", "https://a.example"),
            ("https://b\u{fc}cher.example", "https://xn--bcher-kva.example"),
            ("https://Login.Example.com", "https://login.example.com"),
            ("https://LOGIN.example.com/Realms/A", "https://login.example.com/Realms/A"),
            ("HTTPS://a.example/t/", "https://a.example/t/"),
            ("https://a.example:443", "https://a.example"),
            ("https://a.example:443/t", "https://a.example/t"),
            ("https://a.example:/t", "https://a.example/t"),
            ("http://localhost:80", "http://localhost"),
            ("\"https://a.example\"", "https://a.example"),
            ("https:\\\\a.example", "https://a.example"),
            ("(https://a.example)", "https://a.example"),
            ("<https://a.example/t>", "https://a.example/t"),
            ("https://a.example,", "https://a.example"),
            ("https://a.example\\t", "https://a.example/t"),
            ("https://a.example/.well-known/openid-configuration", "https://a.example"),
            ("https://a.example/.well-known/openid-configuration/", "https://a.example"),
            ("https://a.example/t/.well-known/openid-configuration?x=1", "https://a.example/t"),
            ("a.example/.well-known/openid-configuration", "https://a.example"),
            ("https://a.example/.well-known/oauth-authorization-server", "https://a.example"),
        ] {
            let error = text.parse::<Issuer>().expect_err(text).to_string();
            let help = format!("help: write the `issuer` of its discovery document, such as `{instead}`;");
            assert!(error.contains(&help), "{text}: {error}");
            assert!(!error.contains("secret"), "{text}: {error}");
            assert!(instead.parse::<Issuer>().is_ok(), "{instead}");
        }
    }

    #[test]
    fn only_addresses_with_one_domain_are_addresses() {
        for (text, want) in [
            ("ana@example.com", true),
            ("a+b@x", true),
            ("ana@example.com@evil.example", false),
            ("@example.com", false),
            ("ana@", false),
            ("ana", false),
            ("", false),
            ("ana @example.com", false),
            ("ana@example.com\n", false),
        ] {
            assert_eq!(is_address(text), want, "{text:?}");
        }
    }

    #[test]
    fn an_unknown_error_is_not_repeated() {
        assert_eq!(known_error("access_denied"), "access_denied");
        assert_eq!(known_error("<script>"), "unknown error");
    }
}
