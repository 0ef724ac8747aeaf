//! Decisions as HTTP responses.

use std::borrow::Cow;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, VARY, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::words::Denial;
use super::{HttpDecision, Outcome};
use portcullis::base::bytes::{Lanes, all};

/// The prefix of all headers that describe a decision to upstreams. Clients may not send them.
pub const OWN: &str = "x-portcullis-";
/// Whether a header, in any case, describes a decision. Only the gateway may set it. The reader does not understand a
/// request with a name that some servers read as such a header (W4).
pub fn is_own(name: &str) -> bool {
    // Most names start with another letter.
    matches!(name.as_bytes(), [b'x' | b'X', ..])
        && name.as_bytes().get(..OWN.len()).is_some_and(|start| start.eq_ignore_ascii_case(OWN.as_bytes()))
}

/// The header with the id of the token, for upstreams.
pub const TOKEN_ID: HeaderName = HeaderName::from_static("x-portcullis-token-id");
/// The header with the generation that decided, for upstreams.
pub const GENERATION: HeaderName = HeaderName::from_static("x-portcullis-generation");

/// The characters that are escaped in the header with the id.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b' ').add(b',').add(b'"');

/// Returns the value of [`TOKEN_ID`] for a token with this id. Allocates only to escape.
pub fn escaped_id(id: &str) -> Cow<'_, str> {
    let is_escaped = |lanes: Lanes| lanes.equal(b'%') | lanes.equal(b',') | lanes.equal(b'"');
    // Nearly all ids need no escape.
    if all(id.as_bytes(), |lanes| lanes.within(b'!', b'~') & !is_escaped(lanes)) {
        return Cow::Borrowed(id);
    }
    utf8_percent_encode(id, ESCAPED).into()
}

/// The web sites whose preflights are answered, and whose pages may read the reason of a denial.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cors {
    /// None, unless the gateway allows some itself.
    #[default]
    None,
    /// All.
    Any,
    /// These origins, such as `https://app.example.com`.
    Only(Vec<String>),
}

/// Writes decisions as HTTP responses.
#[derive(Debug, Clone, Default)]
pub struct Responses {
    /// The origins whose pages may read a denial.
    pub cors: Cors,
}

impl Cors {
    /// Whether `origin`, as in the header, is one of these.
    pub fn allows(&self, origin: &str) -> bool {
        match self {
            Self::None => false,
            Self::Any => true,
            Self::Only(origins) => origins.iter().any(|allowed| allowed == origin),
        }
    }
}

impl Responses {
    /// Returns the headers of the response to a request from `origin`.
    pub fn headers(&self, decision: &HttpDecision<impl AsRef<str>>, origin: Option<&HeaderValue>) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        let origin = origin.filter(|origin| origin.to_str().is_ok_and(|origin| self.cors.allows(origin)));
        match &decision.outcome {
            Outcome::Allow { .. } | Outcome::Pass => {
                // Empty without a token: it replaces a header of that name from the client.
                headers.insert(TOKEN_ID, token_id(decision));
                headers.insert(GENERATION, decision.generation.into());
            }
            Outcome::Deny { .. } => {
                headers.insert(CONTENT_TYPE, JSON);
                headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                if decision.status() == 401 {
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

    /// Returns the response to a request from `origin`: 200 without a body for an allow, 204 for a preflight, otherwise
    /// the denial.
    pub fn response<B: Default + From<String>>(
        &self,
        decision: &HttpDecision<impl AsRef<str>>,
        origin: Option<&HeaderValue>,
    ) -> Response<B> {
        let mut response = Response::new(match &decision.outcome {
            Outcome::Deny { reason, error } => Denial { error, reason: reason.code() }.json().into(),
            Outcome::Allow { .. } | Outcome::Pass | Outcome::Preflight => B::default(),
        });
        *response.status_mut() = StatusCode::from_u16(decision.status()).unwrap_or(StatusCode::FORBIDDEN);
        *response.headers_mut() = self.headers(decision, origin);
        response
    }
}

/// Returns the id of the token as the value of a header; empty without a known token.
pub fn token_id(decision: &HttpDecision<impl AsRef<str>>) -> HeaderValue {
    let id = escaped_id(decision.token_id.as_ref().map(AsRef::as_ref).unwrap_or_default());
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static(""))
}

/// The methods that a web site may use: the method does not change the request (W1).
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// The headers that a web site may send: `*` does not cover `Authorization`.
const HEADERS: &str = "authorization, content-type, *";

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Returns a JSON response.
pub fn json<B: From<String>>(status: StatusCode, text: String) -> Response<B> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns the response to an HTTP request that is not decided.
pub fn failure<B: From<String>>(status: StatusCode, reason: &str, error: &str) -> Response<B> {
    json(status, Denial { error, reason }.json())
}

#[cfg(test)]
mod tests {
    use super::{ESCAPED, escaped_id, is_own};
    use percent_encoding::utf8_percent_encode;

    #[test]
    fn ids_are_escaped_alike_whether_or_not_they_need_it() {
        for byte in (0..=u8::MAX).map(char::from) {
            for (before, after) in
                [("", ""), ("tk_", ""), ("", "-1"), ("a-long-identifier-of-a-token_", "_and-its-end")]
            {
                let id = format!("{before}{byte}{after}");
                assert_eq!(escaped_id(&id), utf8_percent_encode(&id, ESCAPED).to_string(), "{id:?}");
            }
        }
    }

    #[test]
    fn headers_of_the_gateway_are_recognized_in_any_case() {
        for (name, expected) in [
            ("x-portcullis-token-id", true),
            ("X-Portcullis-Anything", true),
            ("x-portcullis-", true),
            ("x-portcullis", false),
            ("x-portcullisx-token-id", false),
            ("y-portcullis-token-id", false),
            ("my-x-portcullis-token-id", false),
            ("", false),
        ] {
            assert_eq!(is_own(name), expected, "{name}");
        }
    }
}
