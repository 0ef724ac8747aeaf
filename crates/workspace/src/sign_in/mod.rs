//! Sign-in of users: by one-time links, and at an OpenID provider.

pub(crate) mod own_page;
mod rules;
mod way_back;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use portcullis_oidc::{AuthorityError, Browser, Person, Provider};
use portcullis_registry::record::User;
use portcullis_registry::{Actor, Admission, SignedIn};

use crate::problem::Problem;
use crate::service::Workspace;
use crate::session::one_cookie;
pub use rules::Rules;
pub(crate) use way_back::BrowserUser;

/// How users sign in. Without a provider, one-time links are the only way.
#[derive(Debug, Clone, Default)]
pub struct SignInOptions {
    /// The OpenID provider, if any.
    pub provider: Option<portcullis_oidc::Options>,
    /// Which persons of the provider may sign in, and with which roles.
    pub rules: Rules,
    /// Whether one-time links are refused.
    pub refuses_links: bool,
}

/// How users sign in.
#[derive(Debug)]
pub(crate) struct SignIn {
    provider: Option<Arc<Provider>>,
    rules: Rules,
    refuses_links: bool,
}

impl SignIn {
    pub(crate) fn new(options: SignInOptions) -> Result<Self, AuthorityError> {
        let SignInOptions { provider, rules, refuses_links } = options;
        let provider = provider.map(Provider::new).transpose()?.map(Arc::new);
        Ok(Self { provider, rules, refuses_links })
    }

    /// Returns the OpenID provider, if any.
    pub(crate) fn provider(&self) -> Option<&Provider> {
        self.provider.as_deref()
    }

    /// Whether one-time links sign users in.
    pub(crate) fn accepts_links(&self) -> bool {
        !self.refuses_links
    }

    /// Reads the keys of the provider again whenever they are old, until the future is dropped.
    pub(crate) async fn keep_current(&self) {
        match &self.provider {
            Some(provider) => provider.keep_current().await,
            None => std::future::pending().await,
        }
    }
}

impl Workspace {
    /// Returns the user whom a person is signed in as.
    ///
    /// # Errors
    ///
    /// If the person may not sign in.
    pub(crate) async fn admit(&self, person: &Person) -> Result<(User, SignedIn), Problem> {
        let rules = &self.sign_in().rules;
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
        Browser::from_cookie(&one_cookie(headers, self.browser_cookie())?)
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
