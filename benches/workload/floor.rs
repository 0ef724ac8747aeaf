//! The hashed floor: SHA-256 of the secret, one lookup, one comparison of the digest.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use portcullis::model::{Policy, SecretDigest};

/// The table of the floor. It needs no hash function, and knows nothing but digests.
pub struct HashedFloor(HashMap<SecretDigest, u32, BuildHasherDefault<OwnBits>>);

/// Uses the bits of a digest as its hash: digests are uniformly random.
#[derive(Default)]
pub struct OwnBits(u64);

impl Hasher for OwnBits {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(bytes) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*bytes);
        }
    }

    fn write_usize(&mut self, _: usize) {}
}

impl HashedFloor {
    pub fn new(policy: &Policy) -> Self {
        Self(policy.tokens().iter().zip(0..).map(|(token, at)| (*token.digest(), at)).collect())
    }

    pub fn knows(&self, secret: &str) -> bool {
        self.0.contains_key(&SecretDigest::of(secret))
    }
}
