//! Sets of bytes, as tables: one look-up classifies a byte.

/// A set of bytes.
pub(super) struct Class([bool; 256]);

/// The bytes of a host in lower case and ASCII.
pub(super) const HOST: Class = Class([false; 256]).and(b"abcdefghijklmnopqrstuvwxyz0123456789.-_");

/// The bytes that no version of the WHATWG rules percent-encodes or replaces in a path, except for the colon.
pub(super) const PATH: Class = HOST.and(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ").and(b"!$%&()*+,/;=@~");

/// The bytes that no version of the WHATWG rules percent-encodes or replaces in a query.
pub(super) const QUERY: Class = PATH.and(b":?");

impl Class {
    /// Returns the set of the bytes of this set and `bytes`.
    #[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
    const fn and(mut self, bytes: &[u8]) -> Self {
        let mut rest = bytes;
        while let [byte, after @ ..] = rest {
            self.0[*byte as usize] = true;
            rest = after;
        }
        self
    }

    /// Returns the offset of the first byte from `start` on that is not in the set; the length of `text` if there is
    /// none.
    #[inline]
    pub(super) fn end(&self, text: &[u8], start: usize) -> usize {
        let rest = text.get(start..).unwrap_or_default();
        let is_other = |byte: &u8| self.0.get(usize::from(*byte)) != Some(&true);
        start + rest.iter().position(is_other).unwrap_or(rest.len())
    }

    pub(super) fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)) == Some(&true)
    }
}
