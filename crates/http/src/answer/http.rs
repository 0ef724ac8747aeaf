//! Answers over HTTP.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, VARY, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::words::Denial;
use super::{Outcome, Verdict};

/// What the names of all headers begin with that tell upstreams of a decision. No client may send one.
pub const OWN: &str = "x-portcullis-";
/// The header that tells upstreams the id of the token.
pub const TOKEN_ID: HeaderName = HeaderName::from_static("x-portcullis-token-id");
/// The header that tells upstreams the generation that decided.
pub const GENERATION: HeaderName = HeaderName::from_static("x-portcullis-generation");

/// What is not written as it is in the header of a token's id.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b' ').add(b',').add(b'"');

/// The web sites whose preflights are answered, and from which a browser may read why a request is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    /// From none, unless the gateway says so itself.
    #[default]
    None,
    /// From every.
    Any,
    /// From these origins, such as `https://app.example.com`.
    Only(Vec<String>),
}

/// Writes verdicts as HTTP responses.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// The origins whose pages may read a denial.
    pub cors: Cors,
}

impl Cors {
    /// Whether `origin`, as the header has it, is one of them.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::Only(origins) => origins.iter().any(|allowed| allowed == origin),
        }
    }
}

impl Answers {
    /// The headers of an answer to a request from `origin`.
    pub fn headers(&self, verdict: &Verdict, origin: Option<&HeaderValue>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        let origin = origin.filter(|origin| origin.to_str().is_ok_and(|origin| self.cors.allows(origin)));
        match &verdict.outcome {
            Outcome::Allow { .. } | Outcome::Pass => {
                // Empty where there is no token: it replaces what a client may have sent under that name.
                let id = utf8_percent_encode(verdict.token_id.as_deref().unwrap_or_default(), ESCAPED).to_string();
                headers.insert(TOKEN_ID, HeaderValue::try_from(id).unwrap_or(HeaderValue::from_static("")));
                headers.insert(GENERATION, verdict.generation.into());
            }
            Outcome::Deny { .. } => {
                headers.insert(CONTENT_TYPE, JSON);
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                if verdict.status() == 401 {
                    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                }
                if self.cors != Cors::None {
                    headers.insert(VARY, HeaderValue::from_static("Origin"));
                }
                if let Some(origin) = origin {
                    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("WWW-Authenticate"));
                }
            }
            Outcome::Preflight => {
                headers.insert(VARY, HeaderValue::from_static("Origin"));
                if let Some(origin) = origin {
                    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
                    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
                    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
                }
            }
        }
        headers
    }

    /// The answer to a request from `origin`: 200 without a body for yes, 204 to a preflight, or else why not.
    pub fn response<B: Default + From<String>>(&self, verdict: &Verdict, origin: Option<&HeaderValue>) -> Response<B> {
        let mut response = Response::new(match &verdict.outcome {
            Outcome::Deny { reason, error } => Denial { error, reason: reason.code() }.json().into(),
            Outcome::Allow { .. } | Outcome::Pass | Outcome::Preflight => B::default(),
        });
        *response.status_mut() = StatusCode::from_u16(verdict.status()).unwrap_or(StatusCode::FORBIDDEN);
        *response.headers_mut() = self.headers(verdict, origin);
        response
    }
}

/// The methods that a web site may use: any method asks for the same (W1).
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// The headers that a web site may send: `*` does not cover `Authorization`.
const HEADERS: &str = "authorization, content-type, *";

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response of JSON.
pub fn json<B: From<String>>(status: StatusCode, text: String) -> Response<B> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The response to what is not decided at all.
pub fn failure<B: From<String>>(status: StatusCode, reason: &str, error: &str) -> Response<B> {
    json(status, Denial { error, reason }.json())
}
