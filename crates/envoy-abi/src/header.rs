//! The headers and trailers of a request, as Envoy lends them.

use std::marker::PhantomData;

use smallvec::SmallVec;

use crate::types::EnvoyBuffer;

/// Headers or trailers, each one as it arrived. Requests with more of them than most are on the heap.
pub type Headers<'s> = SmallVec<[Header<'s>; 32]>;

/// A header or a trailer. `Debug` shows no text: a value may be a secret.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Header<'s> {
    name: EnvoyBuffer,
    value: EnvoyBuffer,
    stream: PhantomData<&'s [u8]>,
}

impl<'s> Header<'s> {
    /// A header without a name, until Envoy writes one here.
    pub(crate) const EMPTY: Self = Self { name: EnvoyBuffer::EMPTY, value: EnvoyBuffer::EMPTY, stream: PhantomData };

    /// Points to a header.
    ///
    /// # Safety
    ///
    /// The texts are valid and do not change during `'s`.
    #[cfg(test)]
    pub(crate) unsafe fn of(name: EnvoyBuffer, value: EnvoyBuffer) -> Self {
        Self { name, value, stream: PhantomData }
    }

    /// Returns the name in lower case; that of HTTP/2's own fields starts with a colon.
    pub fn name(&self) -> &'s [u8] {
        // SAFETY: Envoy wrote the header, and `'s` ends before Envoy may change it.
        unsafe { self.name.bytes() }
    }

    /// Returns the value.
    pub fn value(&self) -> &'s [u8] {
        // SAFETY: as above.
        unsafe { self.value.bytes() }
    }
}

/// Returns `bytes` as text; `None` if they are not UTF-8.
///
/// Nearly all texts of requests are ASCII, and short. The check of the standard library costs a hundred instructions for
/// each of them, and every request has a dozen.
pub fn text(bytes: &[u8]) -> Option<&str> {
    if bytes.is_ascii() {
        // SAFETY: ASCII is UTF-8.
        return Some(unsafe { std::str::from_utf8_unchecked(bytes) });
    }
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn text_is_what_the_standard_library_reads() {
        // Each byte at each offset of texts around the lengths at which a check works on words or vectors.
        for length in [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65] {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    assert_eq!(text(&bytes), std::str::from_utf8(&bytes).ok(), "{byte} at {at} of {length}");
                }
            }
        }
        for whole in ["", "é", "authorization", "a name with é in the middle of it, and more", "\u{10ffff}"] {
            for end in 0..=whole.len() {
                let bytes = &whole.as_bytes()[..end];
                assert_eq!(text(bytes), std::str::from_utf8(bytes).ok(), "{end} bytes of {whole}");
            }
        }
    }
}
