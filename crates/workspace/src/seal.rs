//! Seals remembered answers under a key that only the caller has: the database alone never reveals the secret in them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::model::SecretDigest;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};

use crate::problem::Problem;

/// Returns a new key that nobody guesses: 32 characters.
pub(crate) fn key() -> Result<String, Problem> {
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Problem::internal())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The length of a key, in characters, from which guessing it is hopeless: 22 characters of base 64 have 128 bits.
pub(crate) const LONG: usize = 22;

/// A key of one caller and one `Idempotency-Key`.
pub(crate) struct Sealer {
    key: LessSafeKey,
    /// The name under which the answer is remembered. It does not reveal the key.
    pub(crate) name: SecretDigest,
}

impl Sealer {
    /// Derives the key of `caller` for `idempotency_key`. The key has at least [`LONG`]
    /// characters: deriving it is cheap, so guessing a shorter one would be. `None` if the system has no such cipher.
    pub(crate) fn new(caller: &str, idempotency_key: &str) -> Option<Self> {
        let mut derived = [0; 64];
        let salt = format!("portcullis idempotency\n{caller}");
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA512, salt.as_bytes());
        salt.extract(idempotency_key.as_bytes()).expand(&[b"answer"], Length).ok()?.fill(&mut derived).ok()?;
        let (name, key) = derived.split_at_checked(32)?;
        let key = LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).ok()?);
        Some(Self { key, name: SecretDigest::from(<[u8; 32]>::try_from(name).ok()?) })
    }

    /// Returns `text`, sealed.
    pub(crate) fn seal(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut sealed = text.to_vec();
        self.key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// Returns the text that was sealed.
    pub(crate) fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let text = self.key.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        Some(text.to_vec())
    }
}

/// The length of the derived bytes.
struct Length;

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        64
    }
}

#[cfg(test)]
mod tests {
    use super::Sealer;

    #[test]
    fn only_the_same_caller_and_key_open_an_answer() {
        for key in ["a-key-of-22-characters", "a-key-of-more-than-twenty-two-characters"] {
            let sealer = Sealer::new("client a", key).unwrap();
            let kept = sealer.seal(b"pcl_tk_secret").unwrap();
            assert!(!kept.windows(6).any(|window| window == b"secret"));
            let again = Sealer::new("client a", key).unwrap();
            assert_eq!(again.name, sealer.name);
            assert_eq!(again.open(&kept).unwrap(), b"pcl_tk_secret");
            for (caller, other) in
                [("client b", key), ("client a", "another-key"), ("client a", "another-key-that-is-longer")]
            {
                let other = Sealer::new(caller, other).unwrap();
                assert_ne!(other.name, sealer.name);
                assert_eq!(other.open(&kept), None);
            }
            let mut broken = kept.clone();
            *broken.last_mut().unwrap() ^= 1;
            assert_eq!(sealer.open(&broken), None);
            assert_eq!(sealer.open(b"short"), None);
        }
    }
}
