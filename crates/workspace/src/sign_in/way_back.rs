//! Who is signed in in a browser, and the way back to the page that needs a sign-in.
//!
//! A page that needs a user calls [`Workspace::signed_in`]. Without one it answers with [`Workspace::ask_to_sign_in`], and
//! every kind of sign-in ends at [`Workspace::way_back`].

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode};
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;

use crate::console;
use crate::cookies::cookie;
use crate::identity::Identity;
use crate::service::Workspace;

/// How long the way back is remembered, in seconds.
const REMEMBERED: u32 = 600;

/// The maximum length of a way back, in bytes: browsers keep cookies of up to 4,096 bytes.
const MAX_BACK: usize = 2_900;

/// A user who is signed in in a browser.
pub(crate) struct BrowserUser {
    pub(crate) identity: Identity,
    /// When the user signed in.
    pub(crate) since: Timestamp,
    /// The secret of the session.
    secret: String,
}

impl BrowserUser {
    pub(crate) fn new(identity: Identity, since: Timestamp, secret: String) -> Self {
        Self { identity, since, secret }
    }

    /// Returns a text that only a page for this session has: it proves that a form came from a page that asked for `what`.
    pub(crate) fn form_token(&self, what: &str) -> String {
        SecretDigest::of(&format!("form\n{}\n{what}", self.secret)).to_hex()
    }
}

impl Workspace {
    /// Answers with the page that signs users in, after which the browser opens `back`: a path of the workspace with its query.
    pub(crate) fn ask_to_sign_in(&self, back: &str) -> Response {
        let base = self.base_path();
        let is_short = back.len() <= MAX_BACK && is_own(&base, back);
        let page = if is_short { back.get(base.len()..).unwrap_or("/") } else { "/" };
        let mut response = console::oauth::sign_in(self, StatusCode::OK, page);
        let value = if is_short { URL_SAFE_NO_PAD.encode(back) } else { String::new() };
        self.set_way_back(&mut response, &value, REMEMBERED);
        response
    }

    /// Returns the path that the browser opens after a sign-in.
    pub(crate) fn way_back(&self, headers: &HeaderMap) -> Option<String> {
        let value = cookie(headers, self.way_back_name())?;
        let back = String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?;
        is_own(&self.base_path(), &back).then_some(back)
    }

    /// Forgets the way back.
    pub(crate) fn forget_way_back(&self, response: &mut Response) {
        self.set_way_back(response, "", 0);
    }

    fn set_way_back(&self, response: &mut Response, value: &str, age: u32) {
        let secure = if self.is_https() { "; Secure" } else { "" };
        let name = self.way_back_name();
        // `Lax`: the browser may return from a sign-in at another site.
        let cookie = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }

    fn way_back_name(&self) -> &'static str {
        if self.is_https() { "__Host-portcullis-back" } else { "portcullis-back" }
    }
}

/// Whether `back` is an authorization endpoint of a workspace at the path `base`: a sign-in ends nowhere else.
fn is_own(base: &str, back: &str) -> bool {
    let path = back.strip_prefix(base).and_then(|path| path.strip_prefix("/oauth/authorize?"));
    path.is_some_and(|query| query.bytes().all(|byte| byte.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::is_own;

    #[test]
    fn a_sign_in_ends_only_at_an_authorization() {
        for (base, back, want, why) in [
            ("", "/oauth/authorize?client_id=a", true, "an authorization"),
            ("/p", "/p/oauth/authorize?client_id=a", true, "below a path"),
            ("/p", "/oauth/authorize?client_id=a", false, "outside of the path"),
            ("", "//evil.example/oauth/authorize?a", false, "another host"),
            ("", "https://evil.example/oauth/authorize?a", false, "another site"),
            ("", "/\\evil.example/oauth/authorize?a", false, "a backslash, which browsers take for a slash"),
            ("", "/oauth/authorize", false, "no query"),
            ("", "/oauth/authorize?a\r\nSet-Cookie: b", false, "another header"),
            ("", "/logout?", false, "another page"),
            ("", "", false, "nothing"),
        ] {
            assert_eq!(is_own(base, back), want, "{why}");
        }
    }
}
