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
use url::form_urlencoded;

use crate::console;
use crate::cookies::cookie;
use crate::identity::Identity;
use crate::service::Workspace;
use crate::sign_in::own_page::{authorization, own_page};

/// How long the way back is remembered, in seconds.
const REMEMBERED: u32 = 600;

/// The maximum length of a way back, in bytes: browsers keep cookies of up to 4,096 bytes.
const MAX_BACK: usize = 2_900;

/// A user who is signed in in a browser.
pub(crate) struct BrowserUser {
    pub(crate) identity: Identity,
    /// When the user signed in.
    pub(crate) since: Timestamp,
    /// The authorization that the user signed in for, if any: see [`sign_in_for`].
    pub(crate) signed_in_for: Option<String>,
    /// Whether the OpenID provider is asked again, with the next page that the user opens.
    pub(crate) is_due: bool,
    /// The secret of the session.
    pub(crate) secret: String,
}

/// Returns a name of the authorization with this query, whatever its percent-encoding. The session keeps it: so an
/// authorization that asks for a new sign-in recognizes that sign-in, and no parameter of a URL replaces it.
pub(crate) fn sign_in_for(query: &str) -> String {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    SecretDigest::of(&format!("authorization\n{query}")).to_hex()
}

impl BrowserUser {
    /// Returns a text that only a page for this session has: it proves that a form came from a page that asked for `what`.
    pub(crate) fn form_token(&self, what: &str) -> String {
        SecretDigest::of(&format!("form\n{}\n{what}", self.secret)).to_hex()
    }
}

impl Workspace {
    /// Answers with the page that signs users in, after which the browser opens `back`: a path of the workspace with its query.
    pub(crate) fn ask_to_sign_in(&self, back: &str) -> Response {
        let page = Some(back).filter(|back| back.len() <= MAX_BACK).and_then(|back| self.authorization(back));
        let mut response = console::oauth::sign_in(self, StatusCode::OK, page.as_deref().unwrap_or("/"));
        let value = page.map(|_| URL_SAFE_NO_PAD.encode(back)).unwrap_or_default();
        self.set_way_back(&mut response, &value, REMEMBERED);
        response
    }

    /// Returns the page that the browser opens after a sign-in, relative to the URL of the workspace.
    pub(crate) fn way_back(&self, headers: &HeaderMap) -> Option<String> {
        let value = cookie(headers, self.way_back_name())?;
        self.authorization(&String::from_utf8(URL_SAFE_NO_PAD.decode(value).ok()?).ok()?)
    }

    /// Returns the page of an authorization at the path `back`, without the path of the workspace. A sign-in that starts
    /// outside of the console ends nowhere else.
    fn authorization(&self, back: &str) -> Option<String> {
        own_page(back.strip_prefix(&*self.base_path())?).filter(|page| authorization(page).is_some())
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

#[cfg(test)]
mod tests {
    use super::sign_in_for;

    #[test]
    fn an_authorization_has_one_name_whatever_its_encoding() {
        assert_eq!(sign_in_for("state=a+b&nonce=n"), sign_in_for("state=a%20b&nonce=%6e"));
        for other in ["state=a+b", "nonce=n&state=a+b", "state=a+b&nonce=m", "state=a+b%26nonce=n", ""] {
            assert_ne!(sign_in_for("state=a+b&nonce=n"), sign_in_for(other), "{other}");
        }
    }
}
