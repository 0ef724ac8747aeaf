//! The parameters of an OAuth request: a form, or a JSON object with texts.

use axum::body::Body;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use url::form_urlencoded;

use super::error::OauthError;
use crate::endpoint::body_of;
use crate::json::Json;

/// The parameters of a request, none of them repeated or empty.
#[derive(Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// If it is neither a form nor a JSON object with texts, or a parameter is repeated (RFC 6749, section 3.2).
    pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Self, OauthError> {
        const HELP: &str = "send a form, or one JSON object with texts";
        let bytes = body_of(body).await?;
        let mut types = headers.get_all(CONTENT_TYPE).iter();
        let found = types.next().filter(|_| types.next().is_none()).and_then(|found| found.to_str().ok());
        let kind = found.and_then(|found| found.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
        let fields: Vec<(String, String)> = match &*kind {
            "application/x-www-form-urlencoded" => form_urlencoded::parse(&bytes).into_owned().collect(),
            "application/json" => {
                let wrong = || OauthError::new("invalid_request", "the body is not a JSON object with texts", HELP);
                let Ok(Json::Object(fields)) = serde_json::from_slice(&bytes) else { return Err(wrong()) };
                let text = |(name, value)| match value {
                    Json::Text(text) => Ok((name, text)),
                    _ => Err(wrong()),
                };
                fields.into_iter().map(text).collect::<Result<_, _>>()?
            }
            _ => {
                let message = "the body is neither a form nor JSON: see the header `Content-Type`";
                return Err(OauthError::new("invalid_request", message, HELP));
            }
        };
        for (index, (name, _)) in fields.iter().enumerate() {
            if fields.iter().skip(index + 1).any(|(other, _)| other == name) {
                return Err(OauthError::new("invalid_request", "a parameter is repeated", "send each parameter once"));
            }
        }
        Ok(Self(fields))
    }

    /// Returns a parameter. An empty one counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| &**value).filter(|value| !value.is_empty())
    }
}
