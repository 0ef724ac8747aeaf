//! Denials for clients.

use serde::Serialize;

use portcullis::decision::Reason;

/// The JSON body of a denial.
#[derive(Debug, Serialize)]
pub struct Denial<'a> {
    /// The message that the platform's client shows.
    pub error: &'a str,
    /// The stable code.
    pub reason: &'a str,
}

impl Denial<'_> {
    /// Serializes the denial as JSON.
    pub fn json(&self) -> String {
        // Two texts always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Returns the message for people. It discloses no more about the policy than the code of the reason.
pub(super) const fn of(reason: Reason) -> &'static str {
    match reason {
        Reason::PolicyUnavailable => "no policy is available: try again later",
        Reason::RequestNotUnderstood => "the request is not understood",
        Reason::TokenMissing => "the access token is missing",
        Reason::TokenUnknown => "the access token is not valid",
        Reason::TokenExpired => "the access token has expired",
        Reason::ApiNotAllowed => "the access token does not allow this API",
        Reason::RefererMissing => "the access token is for use from web sites, and the request has no referer",
        Reason::RefererNotAllowed => "the access token does not allow this web site",
        Reason::SourceMalformed => "the name of the source is not well-formed",
        Reason::ConnectionNotGranted => "the access token does not allow this connection",
        Reason::QueryNotAccepted => "the connection accepts named sources only",
        Reason::GrantKindNotAccepted => "the access token allows this source, but not by this API",
        Reason::SourceNotGranted => "the access token does not allow this source",
    }
}
