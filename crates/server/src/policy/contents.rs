//! The contents of a source.

use std::fmt;

use sha2::{Digest, Sha256};

use portcullis_document::load::Input;

/// The contents of a source.
#[derive(Clone, PartialEq, Eq)]
pub enum Contents {
    /// Documents, which together are one policy.
    Documents(Vec<Input>),
    /// The bytes of a compiled policy that is not loaded yet.
    Compiled(Vec<u8>),
}

impl Contents {
    /// Returns the SHA-256 digest of each document, or of the compiled policy. Equal contents have equal digests.
    pub(super) fn digests(&self) -> Vec<[u8; 32]> {
        match self {
            Self::Documents(inputs) => inputs.iter().map(|input| Sha256::digest(input.text()).into()).collect(),
            Self::Compiled(bytes) => vec![Sha256::digest(bytes).into()],
        }
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Documents(inputs) => f.debug_tuple("Documents").field(inputs).finish(),
            Self::Compiled(bytes) => write!(f, "Compiled({} bytes)", bytes.len()),
        }
    }
}
