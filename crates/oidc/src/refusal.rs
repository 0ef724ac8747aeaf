//! Why a sign-in fails.

use crate::http_client::HttpError;

/// Why a sign-in fails. No message has a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The provider cannot be reached, or its answer cannot be used.
    Unavailable(String),
    /// The provider has refused the sign-in, with this code.
    Denied(String),
    /// Another browser started the sign-in, or it was started too long ago.
    UnknownState,
    /// The answer has neither a code nor an error.
    NoCode,
    /// The answer names another issuer than the provider, or none although the provider names it always.
    WrongIssuer,
    /// The provider has refused the code.
    CodeRefused,
    /// The ID token is not valid.
    Token(&'static str),
    /// The user information is not of the user of the ID token, or cannot be read.
    UserInfo,
    /// Too many sign-ins are in progress.
    Busy,
}

impl Refusal {
    /// Returns the stable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "provider_unavailable",
            Self::Denied(_) => "provider_denied",
            Self::UnknownState => "unknown_state",
            Self::NoCode => "no_code",
            Self::WrongIssuer => "wrong_issuer",
            Self::CodeRefused => "code_refused",
            Self::Token(_) => "invalid_id_token",
            Self::UserInfo => "invalid_user_info",
            Self::Busy => "sign_in_busy",
        }
    }

    /// Returns what happened, in lower case and without a full stop.
    pub fn message(&self) -> String {
        match self {
            Self::Unavailable(why) => format!("the OpenID provider cannot be used now: {why}"),
            Self::Denied(code) => format!("the OpenID provider has refused the sign-in: `{code}`"),
            Self::UnknownState => {
                "the sign-in was started in another browser, was finished before, or took too long".to_owned()
            }
            Self::NoCode => "the answer of the OpenID provider has no code".to_owned(),
            Self::WrongIssuer => "the answer is not of the OpenID provider of this workspace".to_owned(),
            Self::CodeRefused => {
                "the OpenID provider does not accept its code: it was used before, or has expired".to_owned()
            }
            Self::Token(why) => format!("the ID token of the OpenID provider is not valid: {why}"),
            Self::UserInfo => "the user information of the OpenID provider is not valid".to_owned(),
            Self::Busy => "too many users sign in at this moment".to_owned(),
        }
    }

    /// Returns what to do.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unavailable(_) | Self::Busy => "try again in a minute",
            Self::Denied(_) => "sign in with another account, or ask an administrator of the provider",
            Self::UnknownState | Self::NoCode | Self::CodeRefused => "sign in again in this browser",
            Self::WrongIssuer | Self::Token(_) | Self::UserInfo => {
                "sign in again; if this repeats, show an administrator the number of the request"
            }
        }
    }
}

impl From<HttpError> for Refusal {
    fn from(error: HttpError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
