//! RSA keys that sign JSON Web Tokens. A private key exists only in the memory of the process that made it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPair, PublicKeyComponents};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use rsa::pkcs8::EncodePrivateKey as _;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

/// The size of a key, in bits.
const BITS: usize = 2048;

/// The key that signs now, once there is one.
#[derive(Default)]
pub(crate) struct Keys(pub(crate) Mutex<Option<Arc<PrivateKey>>>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// A key that signs.
pub(crate) struct PrivateKey {
    pair: KeyPair,
    pub(crate) public: PublicKey,
    pub(crate) made: Timestamp,
}

/// A key that verifies, as a JSON Web Key (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublicKey {
    kty: String,
    r#use: String,
    alg: String,
    pub(crate) kid: String,
    n: String,
    e: String,
}

impl PrivateKey {
    /// Makes a key. Takes long: not on a thread of the runtime.
    pub(crate) fn make(now: Timestamp) -> Option<Self> {
        let key = rsa::PrivateKey::new(&mut getrandom::SysRng, BITS).ok()?;
        let pair = KeyPair::from_pkcs8(key.to_pkcs8_der().ok()?.as_bytes()).ok()?;
        let components: PublicKeyComponents<Vec<u8>> = pair.public_key().into();
        let (n, e) = (URL_SAFE_NO_PAD.encode(&components.n), URL_SAFE_NO_PAD.encode(&components.e));
        // The thumbprint of the key (RFC 7638).
        let thumbprint = SecretDigest::of(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#));
        let kid = URL_SAFE_NO_PAD.encode(thumbprint.as_bytes());
        let public = PublicKey { kty: "RSA".into(), r#use: "sig".into(), alg: "RS256".into(), kid, n, e };
        Some(Self { pair, public, made: now })
    }

    /// Returns `claims` as a signed JSON Web Token (RFC 7515).
    pub(crate) fn sign(&self, claims: &serde_json::Value) -> Option<String> {
        let header = serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": self.public.kid });
        let encoded = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encoded(&header), encoded(claims));
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// Returns the claims of a token that one of `keys` signed, whether or not it has expired.
pub(crate) fn verified(token: &str, keys: &[PublicKey]) -> Option<serde_json::Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let json = |text: &str| serde_json::from_slice::<serde_json::Value>(&decoded(text)?).ok();
    let header = json(header)?;
    if header.get("alg").and_then(|alg| alg.as_str()) != Some("RS256") {
        return None;
    }
    let kid = header.get("kid").and_then(|kid| kid.as_str())?;
    let key = keys.iter().find(|key| key.kid == kid)?;
    let key = PublicKeyComponents { n: decoded(&key.n)?, e: decoded(&key.e)? };
    key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &decoded(signature)?).ok()?;
    json(claims)
}

#[cfg(test)]
mod tests {
    use super::{PrivateKey, verified};
    use portcullis::base::Timestamp;
    use serde_json::json;

    #[test]
    fn only_the_key_of_a_token_verifies_it() {
        let now = Timestamp::from_unix(1_800_000_000, 0);
        let (key, other) = (PrivateKey::make(now).unwrap(), PrivateKey::make(now).unwrap());
        assert_ne!(key.public.kid, other.public.kid);
        let claims = json!({ "sub": "ana" });
        let token = key.sign(&claims).unwrap();
        assert_eq!(verified(&token, &[other.public.clone(), key.public.clone()]), Some(claims));
        assert_eq!(verified(&token, &[other.public]), None);
        let keys = [key.public];
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        for (forged, why) in [
            (format!("{header}.{}.{signature}", base64("{\"sub\":\"bo\"}")), "other claims"),
            (format!("{}.{claims}.{signature}", base64("{\"alg\":\"none\"}")), "no algorithm"),
            (format!("{}.{claims}.", base64("{\"alg\":\"none\"}")), "no signature"),
            (format!("{header}.{claims}"), "two parts"),
            (format!("{header}.{claims}.{}", base64("x")), "another signature"),
            (String::new(), "nothing"),
        ] {
            assert_eq!(verified(&forged, &keys), None, "{why}");
        }
    }

    fn base64(text: &str) -> String {
        use base64::Engine as _;
        super::URL_SAFE_NO_PAD.encode(text)
    }
}
