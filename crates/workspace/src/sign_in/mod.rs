//! Sign-in of users: by one-time links, and at an OpenID provider.

pub(crate) mod own_page;
mod rules;
mod way_back;

use std::sync::Arc;

use portcullis_oidc::{AuthorityError, Provider};

pub use rules::Rules;
pub(crate) use way_back::{BrowserUser, sign_in_for};

/// How users sign in. Without a provider, one-time links are the only way.
#[derive(Debug, Clone)]
pub struct SignInOptions {
    /// The OpenID provider, if any.
    pub provider: Option<portcullis_oidc::Options>,
    /// Which persons of the provider may sign in, and with which roles.
    pub rules: Rules,
    /// Whether one-time links are refused.
    pub refuses_links: bool,
    /// How long a session lasts after a sign-in at the provider, in seconds. Then the provider decides again whether the person
    /// may sign in.
    pub session_lifetime: i64,
    /// How long applications renew their tokens after a sign-in at the provider, in seconds.
    pub application_lifetime: i64,
}

impl Default for SignInOptions {
    fn default() -> Self {
        Self {
            provider: None,
            rules: Rules::default(),
            refuses_links: false,
            session_lifetime: Self::SESSION_LIFETIME,
            application_lifetime: Self::APPLICATION_LIFETIME,
        }
    }
}

impl SignInOptions {
    /// How long a session lasts by default after a sign-in at the provider, in seconds.
    pub const SESSION_LIFETIME: i64 = 3600;

    /// How long applications renew their tokens by default after a sign-in at the provider, in seconds.
    pub const APPLICATION_LIFETIME: i64 = 86_400;

    /// Checks what does not depend on the registry or the provider.
    ///
    /// # Errors
    ///
    /// If the certificate authorities cannot be used.
    pub fn check(&self) -> Result<(), AuthorityError> {
        SignIn::new(self.clone()).map(drop)
    }
}

/// How users sign in.
#[derive(Debug)]
pub(crate) struct SignIn {
    provider: Option<Arc<Provider>>,
    rules: Rules,
    refuses_links: bool,
    session_lifetime: i64,
    application_lifetime: i64,
}

impl SignIn {
    pub(crate) fn new(options: SignInOptions) -> Result<Self, AuthorityError> {
        let SignInOptions { provider, rules, refuses_links, session_lifetime, application_lifetime } = options;
        let provider = provider.map(Provider::new).transpose()?.map(Arc::new);
        Ok(Self { provider, rules, refuses_links, session_lifetime, application_lifetime })
    }

    /// Returns the OpenID provider, if any.
    pub(crate) fn provider(&self) -> Option<&Provider> {
        self.provider.as_deref()
    }

    /// Returns which persons may sign in.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether one-time links sign users in.
    pub(crate) fn accepts_links(&self) -> bool {
        !self.refuses_links
    }

    /// Returns how long a session lasts after a sign-in at the provider, in seconds.
    pub(crate) fn session_lifetime(&self) -> i64 {
        self.session_lifetime
    }

    /// Returns how long applications renew their tokens after a sign-in at the provider, in seconds.
    pub(crate) fn application_lifetime(&self) -> i64 {
        self.application_lifetime
    }

    /// Whether the provider can be asked now, as far as is known.
    pub(crate) fn can_ask_provider(&self) -> bool {
        self.provider.as_ref().is_some_and(|provider| provider.problem().is_none())
    }

    /// Reads the keys of the provider again whenever they are old, until the future is dropped.
    pub(crate) async fn keep_current(&self) {
        match &self.provider {
            Some(provider) => provider.keep_current().await,
            None => std::future::pending().await,
        }
    }
}
