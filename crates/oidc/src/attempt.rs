//! One sign-in of one browser.
//!
//! The browser keeps a random secret in a cookie. The state of an attempt is the page to come back to, sealed under this
//! secret; the nonce and the verifier are derived from both. So an answer for another browser is not recognized, and the
//! provider cannot read the page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};

/// The length of keys and derived values, in bytes.
const LEN: usize = 32;

/// The lifetime of an attempt, in seconds.
const LIFETIME: u64 = 10 * 60;

/// The maximum length of the page to come back to, in bytes: the state is a part of a URL.
const MAX_PAGE: usize = 3000;

/// The secret of a browser that signs in.
#[derive(Clone)]
pub struct Browser([u8; LEN]);

/// One sign-in of one browser.
pub struct Attempt {
    /// The value that the provider returns with its answer.
    pub state: String,
    /// The page to come back to.
    pub page: String,
    /// The value that the ID token repeats.
    pub(crate) nonce: String,
    /// The PKCE code verifier.
    pub(crate) verifier: String,
    /// A name of the browser, equal for its attempts, which reveals nothing of its secret.
    pub(crate) browser: String,
}

impl Browser {
    /// The lifetime of the cookie, in seconds.
    pub const LIFETIME: u64 = LIFETIME;

    /// Returns a new secret; `None` if the system has no randomness.
    pub fn new() -> Option<Self> {
        random().map(Self)
    }

    /// Reads the value of a cookie.
    pub fn from_cookie(value: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(value).ok()?.try_into().ok().map(Self)
    }

    /// Returns the value of the cookie.
    pub fn cookie(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Derives a value for `purpose` of the attempt with this salt.
    fn derive(&self, salt: &[u8], purpose: &str) -> Option<[u8; LEN]> {
        let mut derived = [0; LEN];
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&self.0);
        key.expand(&[b"portcullis sign-in ", purpose.as_bytes()], Length).ok()?.fill(&mut derived).ok()?;
        Some(derived)
    }

    fn key(&self, salt: &[u8]) -> Option<LessSafeKey> {
        Some(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &self.derive(salt, "state")?).ok()?))
    }
}

impl Attempt {
    /// Starts an attempt at `now`, in seconds since 1970, that comes back to `page`. A page that is too long for a URL is
    /// replaced by `/`. `None` if the system has no randomness.
    pub fn start(browser: &Browser, page: &str, now: u64) -> Option<Self> {
        let salt: [u8; LEN] = random()?;
        let page = if page.len() > MAX_PAGE { "/" } else { page };
        let mut sealed = [&now.to_be_bytes(), page.as_bytes()].concat();
        // Each attempt has a key of its own, so its nonce may be fixed.
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        browser.key(&salt)?.seal_in_place_append_tag(nonce, Aad::empty(), &mut sealed).ok()?;
        let state = URL_SAFE_NO_PAD.encode([&salt, &*sealed].concat());
        Self::with(browser, &salt, state, page.to_owned())
    }

    /// Returns the attempt with this state, if this browser started it and it has not expired at `now`.
    pub fn resume(browser: &Browser, state: &str, now: u64) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(state).ok()?;
        let (salt, sealed) = bytes.split_at_checked(LEN)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let opened = browser.key(salt)?.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        let (started, page) = opened.split_at_checked(8)?;
        let started = u64::from_be_bytes(started.try_into().ok()?);
        if now.checked_sub(started).is_none_or(|age| age > LIFETIME) {
            return None;
        }
        let page = String::from_utf8(page.to_vec()).ok()?;
        Self::with(browser, salt, state.to_owned(), page)
    }

    fn with(browser: &Browser, salt: &[u8], state: String, page: String) -> Option<Self> {
        let derived = |salt, purpose| Some(URL_SAFE_NO_PAD.encode(browser.derive(salt, purpose)?));
        let (nonce, verifier) = (derived(salt, "nonce")?, derived(salt, "verifier")?);
        Some(Self { nonce, verifier, browser: derived(&[], "name")?, state, page })
    }
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browser").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("page", &self.page).finish_non_exhaustive()
    }
}

fn random() -> Option<[u8; LEN]> {
    let mut bytes = [0; LEN];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

/// The length of a derived value.
struct Length;

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        LEN
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempt, Browser, LIFETIME, MAX_PAGE};

    #[test]
    fn an_attempt_is_resumed_by_its_browser_alone_and_in_time() {
        let (browser, other) = (Browser::new().unwrap(), Browser::new().unwrap());
        let attempt = Attempt::start(&browser, "/credentials/tokens?search=a", 1000).unwrap();
        let again = Browser::from_cookie(&browser.cookie()).unwrap();
        let resumed = Attempt::resume(&again, &attempt.state, 1000 + LIFETIME).unwrap();
        assert_eq!(resumed.page, "/credentials/tokens?search=a");
        assert_eq!((&resumed.nonce, &resumed.verifier), (&attempt.nonce, &attempt.verifier));
        assert!(Attempt::resume(&other, &attempt.state, 1000).is_none(), "the state of another browser");
        assert!(Attempt::resume(&browser, &attempt.state, 1001 + LIFETIME).is_none(), "too late");
        assert!(Attempt::resume(&browser, &attempt.state, 999).is_none(), "before the start");
        for at in 0..attempt.state.len() {
            let mut changed = attempt.state.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(Attempt::resume(&browser, &changed, 1000).is_none(), "{at}");
        }
        for wrong in ["", "A", "=", "é", &"A".repeat(100)] {
            assert!(Attempt::resume(&browser, wrong, 1000).is_none(), "{wrong}");
        }
    }

    #[test]
    fn attempts_of_one_browser_share_nothing_and_show_nothing() {
        let browser = Browser::new().unwrap();
        let start = |page: &str| Attempt::start(&browser, page, 1000).unwrap();
        let (one, two) = (start("/trail"), start("/trail"));
        assert_ne!(one.state, two.state);
        assert_ne!(one.nonce, two.nonce);
        assert_ne!(one.verifier, two.verifier);
        assert_ne!(one.nonce, one.verifier);
        assert_eq!(one.browser, two.browser);
        assert_ne!(one.browser, Attempt::start(&Browser::new().unwrap(), "/", 1000).unwrap().browser);
        // RFC 7636 wants 43 to 128 characters.
        assert_eq!(one.verifier.len(), 43);
        assert!(!format!("{one:?} {browser:?}").contains(&one.verifier));
        assert_eq!(start(&"/".repeat(MAX_PAGE + 1)).page, "/");
    }

    #[test]
    fn a_cookie_that_is_not_a_secret_is_refused() {
        for wrong in ["", "short", &"A".repeat(42), &"A".repeat(44), "!", "+AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
        {
            assert!(Browser::from_cookie(wrong).is_none(), "{wrong}");
        }
    }
}
