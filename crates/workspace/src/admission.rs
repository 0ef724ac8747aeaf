//! Admits persons whom an OpenID provider has signed in, and recognizes their browsers meanwhile.

use http::{HeaderMap, HeaderValue};
use portcullis_oidc::{Browser, Person};
use portcullis_registry::record::User;
use portcullis_registry::{Actor, Admission, SignedIn};

use crate::cookies::cookie;
use crate::problem::Problem;
use crate::service::Workspace;

impl Workspace {
    /// Returns the user whom a person is signed in as.
    ///
    /// # Errors
    ///
    /// If the person may not sign in.
    pub(crate) async fn admit(&self, person: &Person) -> Result<(User, SignedIn), Problem> {
        let rules = self.sign_in().rules();
        let signed_in =
            SignedIn { issuer: person.issuer.clone(), subject: person.subject.clone(), email: person.email.clone() };
        let role = rules.role(person);
        let admission = Admission { person: signed_in.clone(), is_welcome: rules.is_welcome(person), role };
        let admitted = self.write(move |registry| {
            let actor = Actor::new("portcullis", Self::now())?.for_all_users();
            registry.admit(&actor.by(format!("sign-in of {}", admission.person)), &admission)
        });
        Ok((admitted.await?, signed_in))
    }

    /// Returns the secret of a browser that signs in.
    pub(crate) fn browser(&self, headers: &HeaderMap) -> Option<Browser> {
        Browser::from_cookie(&cookie(headers, self.browser_cookie())?)
    }

    /// Returns the value of the cookie that keeps the secret of a browser while it signs in, or removes it. The provider sends
    /// the browser back from another site: with `Strict`, the cookie would not come along.
    pub(crate) fn set_browser(&self, browser: Option<&Browser>) -> Option<HeaderValue> {
        let (value, age) = browser.map_or((String::new(), 0), |browser| (browser.cookie(), Browser::LIFETIME));
        let secure = if self.is_https() { "; Secure" } else { "" };
        let name = self.browser_cookie();
        let cookie = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
        let mut value = HeaderValue::from_str(&cookie).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    fn browser_cookie(&self) -> &'static str {
        if self.is_https() { "__Host-portcullis-sign-in" } else { "portcullis-sign-in" }
    }
}
