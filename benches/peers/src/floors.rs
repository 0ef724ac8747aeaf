//! The least that an engine must do. No floor knows what a token may do.
//!
//! Both tables hold their keys in place, so that a look-up costs one cache miss where memory is the limit, and no hash
//! that can be had for free is computed.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use portcullis::model::SecretDigest;

use crate::asked::Asked;
use crate::engine::Engine;
use crate::policy::Document;

/// SHA-256 of the secret, one look-up, one comparison of the digest.
pub struct Hashed(HashMap<SecretDigest, u32, BuildHasherDefault<OwnBits>>);

/// A digest is uniformly random: its own bits are the hash.
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

impl Hashed {
    pub fn new(document: &Document<'_>) -> Self {
        Self(document.tokens.iter().zip(0..).map(|(token, at)| (SecretDigest::of(token.secret), at)).collect())
    }
}

impl Engine for Hashed {
    fn decide(&mut self, asked: &Asked<'_>) -> bool {
        !asked.secret.is_empty() && self.0.contains_key(&SecretDigest::of(asked.secret))
    }
}

/// A keyed hash of the secret that is no cryptographic one, one look-up, one comparison of the secret.
pub struct Fast(HashMap<[u8; SECRET], u32, foldhash::fast::RandomState>);

/// Every secret of the workload has this length.
const SECRET: usize = 36;

impl Fast {
    pub fn new(document: &Document<'_>) -> Self {
        let key = |secret: &str| *secret.as_bytes().as_array().expect("secrets of 36 bytes");
        Self(document.tokens.iter().zip(0..).map(|(token, at)| (key(token.secret), at)).collect())
    }
}

impl Engine for Fast {
    fn decide(&mut self, asked: &Asked<'_>) -> bool {
        asked.secret.as_bytes().as_array().is_some_and(|secret| self.0.contains_key(secret))
    }
}
