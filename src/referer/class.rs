//! Classes of the bytes of a URL.

use wide::u8x16;

use crate::base::bytes::{Lanes, Offsets};

/// Returns the offset of the first byte of `text` that is not in the class; the length of `text` if there is none.
#[inline]
pub(super) fn end(text: &[u8], class: impl Fn(Lanes) -> u8x16) -> usize {
    Offsets::new(text, |lanes| !class(lanes)).next().unwrap_or(text.len())
}

/// The bytes of a host in lower case and ASCII.
#[inline]
pub(super) fn host(lanes: Lanes) -> u8x16 {
    lanes.within(b'a', b'z') | (lanes.within(b'-', b'9') & !lanes.equal(b'/')) | lanes.equal(b'_')
}

/// The bytes that no version of the WHATWG rules percent-encodes or replaces in a path, except for the colon.
#[inline]
pub(super) fn path(lanes: Lanes) -> u8x16 {
    common(lanes) | lanes.within(b'(', b'9') | lanes.equal(b';') | lanes.within(b'@', b'Z')
}

/// The bytes that no version of the WHATWG rules percent-encodes or replaces in a query.
#[inline]
pub(super) fn query(lanes: Lanes) -> u8x16 {
    common(lanes) | lanes.within(b'(', b';') | lanes.within(b'?', b'Z')
}

#[inline]
fn common(lanes: Lanes) -> u8x16 {
    lanes.within(b'a', b'z')
        | lanes.within(b'$', b'&')
        | lanes.equal(b'_')
        | lanes.equal(b'!')
        | lanes.equal(b'=')
        | lanes.equal(b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_contain_exactly_the_bytes_that_the_rules_keep() {
        let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        let is_path = |byte: u8| byte.is_ascii_alphanumeric() || b".-_!$%&()*+,/;=@~".contains(&byte);
        for byte in 0..=u8::MAX {
            let is_in = |class: fn(Lanes) -> u8x16| end(&[byte], class) == 1;
            assert_eq!(is_in(host), is_host(byte), "{byte:#x} in a host");
            assert_eq!(is_in(path), is_path(byte), "{byte:#x} in a path");
            assert_eq!(is_in(query), is_path(byte) || b":?".contains(&byte), "{byte:#x} in a query");
        }
    }
}
