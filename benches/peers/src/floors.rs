//! The minimum work of an engine. The floors do not know the grants of a token.
//!
//! Both tables store their keys inline, so a lookup costs one cache miss if memory is the limit. The table of digests
//! needs no hash function.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use portcullis::model::SecretDigest;

use crate::engine::Engine;
use crate::policy::Document;
use crate::requests::ParsedRequest;

/// SHA-256 of the secret, one lookup, one comparison of the digest.
pub struct Hashed(HashMap<SecretDigest, u32, BuildHasherDefault<OwnBits>>);

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

impl Hashed {
    pub fn new(document: &Document<'_>) -> Self {
        Self(document.tokens.iter().zip(0..).map(|(token, at)| (SecretDigest::of(token.secret), at)).collect())
    }
}

impl Engine for Hashed {
    fn decide(&mut self, asked: &ParsedRequest<'_>) -> bool {
        !asked.secret.is_empty() && self.0.contains_key(&SecretDigest::of(asked.secret))
    }
}

/// A keyed hash of the secret that is not cryptographic, one lookup, one comparison of the secret.
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
    fn decide(&mut self, asked: &ParsedRequest<'_>) -> bool {
        asked.secret.as_bytes().as_array().is_some_and(|secret| self.0.contains_key(secret))
    }
}
