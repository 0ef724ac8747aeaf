//! Percent escapes and the escapes of JSON and JavaScript strings.

/// The characters of the longest escape, `\u{00005f}`.
pub(crate) const MAX: usize = 10;

/// An escape at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Escape {
    /// The code of the character.
    pub(crate) code: u32,
    /// The length of the escape in bytes.
    pub(crate) len: usize,
}

impl Escape {
    /// Reads the escape that `bytes` starts with.
    ///
    /// An escaped backslash is not an escape here, so what follows it is read once more. A scanner may find too much
    /// by this, but not too little.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'%', rest @ ..] => hex(rest, 2).map(|code| Self { code, len: 3 }),
            [b'\\', b'x', rest @ ..] => hex(rest, 2).map(|code| Self { code, len: 4 }),
            [b'\\', b'u', b'{', rest @ ..] => {
                let digits = rest.iter().take(7).position(|byte| *byte == b'}')?;
                hex(rest, digits).map(|code| Self { code, len: digits + 4 })
            }
            [b'\\', b'u', rest @ ..] => hex(rest, 4).map(|code| Self { code, len: 6 }),
            [b'\\', b'n' | b't' | b'r' | b'b' | b'f' | b'v' | b'0', ..] => Some(Self { code: 0x20, len: 2 }),
            _ => None,
        }
    }

    /// Returns the character if it can be in a secret.
    pub(crate) fn word(self) -> Option<u8> {
        u8::try_from(self.code).ok().filter(|byte| crate::prefixes::is_word(*byte))
    }

    /// Whether `before` ends with an escape of a character that cannot be in a secret, such as `%20` or `\n`, or with the
    /// sequence that sets a color of a terminal.
    pub(crate) fn ends_with_separator(before: &[u8]) -> bool {
        if let [parameters @ .., b'm'] = before
            && let Some(bracket) = parameters.iter().rposition(|byte| !byte.is_ascii_digit() && *byte != b';')
            && parameters.get(bracket) == Some(&b'[')
        {
            return true;
        }
        (2..=MAX.min(before.len())).any(|len| {
            let tail = before.get(before.len() - len..).unwrap_or_default();
            Self::read(tail).is_some_and(|escape| escape.len == len && escape.word().is_none())
        })
    }
}

/// Reads `count` hexadecimal digits.
fn hex(bytes: &[u8], count: usize) -> Option<u32> {
    let digits = bytes.get(..count).filter(|digits| !digits.is_empty())?;
    digits.iter().try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read() {
        let cases: [(&str, Option<(u32, usize)>); 15] = [
            ("%5fx", Some((0x5f, 3))),
            ("%5", None),
            ("%zz", None),
            ("\\x70cl", Some((0x70, 4))),
            ("\\u0070", Some((0x70, 6))),
            ("\\u00e9", Some((0xe9, 6))),
            ("\\u{70}", Some((0x70, 6))),
            ("\\u{000070}", Some((0x70, 10))),
            ("\\u{0000070}", None),
            ("\\u{}", None),
            ("\\u{70", None),
            ("\\n", Some((0x20, 2))),
            ("\\\\", None),
            ("\\", None),
            ("p", None),
        ];
        for (text, expected) in cases {
            let found = Escape::read(text.as_bytes()).map(|escape| (escape.code, escape.len));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn separators_are_escapes_of_characters_outside_secrets() {
        for (text, expected) in [
            ("a%20", true),
            ("%5f", false),
            ("a\\n", true),
            ("\\u0022", true),
            ("\\u{22}", true),
            ("\\x41", false),
            ("an", false),
            ("\u{1b}[32m", true),
            ("\\u001b[0;1m", true),
            ("[m", true),
            ("x32m", false),
            ("", false),
            ("20", false),
        ] {
            assert_eq!(Escape::ends_with_separator(text.as_bytes()), expected, "{text}");
        }
    }
}
