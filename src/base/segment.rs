//! Texts that a segment of a URL's path cannot carry to every server alike.

/// The reason why a text, decoded, is not a segment that every server reads alike (W2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentFault {
    /// A slash or a backslash.
    Slash,
    /// A semicolon, after which some servers expect parameters.
    Semicolon,
    /// A control character.
    Control,
    /// `.` or `..`.
    Dots,
}

impl SegmentFault {
    /// Finds the fault of a segment that was decoded once; `None` if every server reads it alike. A character that the
    /// text still encodes counts, because a server that decodes twice reads it.
    ///
    /// ```
    /// use portcullis::base::SegmentFault;
    ///
    /// assert_eq!(SegmentFault::of("carto_dw"), None);
    /// assert_eq!(SegmentFault::of("a/b"), Some(SegmentFault::Slash));
    /// assert_eq!(SegmentFault::of("%2e."), Some(SegmentFault::Dots));
    /// ```
    pub fn of(text: &str) -> Option<Self> {
        let is_slash = |byte| matches!(byte, b'/' | b'\\');
        if text.bytes().any(is_slash) || writes(text, is_slash) {
            return Some(Self::Slash);
        }
        if text.contains(';') || writes(text, |byte| byte == b';') {
            return Some(Self::Semicolon);
        }
        if text.chars().any(char::is_control) || writes(text, |byte| byte.is_ascii_control()) {
            return Some(Self::Control);
        }
        is_dots(text).then_some(Self::Dots)
    }
}

/// Whether a segment that was decoded once still encodes a byte that `is_such` accepts.
fn writes(text: &str, is_such: impl Fn(u8) -> bool) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    memchr::memchr_iter(b'%', text.as_bytes()).any(|at| match text.as_bytes().get(at + 1..) {
        Some([high, low, ..]) => digit(*high).zip(digit(*low)).is_some_and(|(high, low)| is_such(high << 4 | low)),
        _ => false,
    })
}

/// Whether a server may read a decoded segment as `.` or `..`: also one that still holds an encoded dot.
fn is_dots(text: &str) -> bool {
    let mut rest = text;
    let mut dots = 0;
    while !rest.is_empty() {
        let encoded = || rest.get(..3).filter(|escape| escape.eq_ignore_ascii_case("%2e")).and_then(|_| rest.get(3..));
        match rest.strip_prefix('.').or_else(encoded) {
            Some(after) => rest = after,
            None => return false,
        }
        dots += 1;
    }
    dots == 1 || dots == 2
}
