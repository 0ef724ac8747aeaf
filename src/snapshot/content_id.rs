//! The id of a compiled policy.

use std::fmt;

/// The id of a compiled policy: the SHA-256 of its contents.
///
/// One policy compiled with the same options has the same id on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentId(pub(super) [u8; 32]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
