//! Responses to clients.

use std::borrow::Cow;

/// A response to a client.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(Cow<'static, str>, Vec<u8>)>,
    /// The body.
    pub body: Cow<'static, str>,
    /// The reason, for access logs (`%RESPONSE_CODE_DETAILS%`). Without spaces.
    pub details: Cow<'static, str>,
}
