//! Finds quotes that are escaped with a backslash.
//!
//! CSV has two quotes instead (`"a""b"`). With a backslash (`"a\"b"`), values would be read wrongly, or would include the
//! next rows.

/// A check of CSV that is read in chunks.
pub(super) struct QuoteCheck {
    separator: u8,
    state: State,
    /// Whether a value starts at the next byte.
    starts: bool,
    /// Whether the last byte was a backslash.
    backslash: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Outside quotes.
    Plain,
    /// Inside quotes.
    Quoted,
    /// After a quote that closes a value, or is the first of two.
    Closed,
    /// After a closing quote that follows a backslash.
    Escaped,
}

impl QuoteCheck {
    pub(super) fn new(separator: u8) -> Self {
        Self { separator, state: State::Plain, starts: true, backslash: false }
    }

    /// Checks the next bytes. Fails with the index of the first byte that follows an escaped quote.
    pub(super) fn check(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.state {
                State::Plain if self.starts && byte == b'"' => self.state = State::Quoted,
                State::Plain => {
                    // Continues at the next quote, with the byte before it.
                    let rest = bytes.get(at..).unwrap_or_default();
                    let next = memchr::memchr(b'"', rest).map_or(bytes.len(), |quote| at + quote);
                    let last = if next > at { bytes.get(next - 1).copied() } else { Some(byte) };
                    self.starts = last.is_some_and(|last| self.ends_value(last));
                    at = next.max(at + 1);
                    continue;
                }
                State::Quoted => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let end = memchr::memchr(b'"', rest).map_or(bytes.len(), |quote| at + quote);
                    if end > at {
                        self.backslash = bytes.get(end - 1) == Some(&b'\\');
                    }
                    if end == bytes.len() {
                        return Ok(());
                    }
                    self.state = if self.backslash { State::Escaped } else { State::Closed };
                    (at, self.backslash) = (end, false);
                }
                State::Closed | State::Escaped if byte == b'"' => self.state = State::Quoted,
                State::Closed | State::Escaped if self.ends_value(byte) => {
                    (self.state, self.starts) = (State::Plain, true);
                }
                // A complete name may start with a part in quotes: `"a"."b"`.
                State::Closed => (self.state, self.starts) = (State::Plain, false),
                State::Escaped => return Err(at),
            }
            at += 1;
        }
        Ok(())
    }

    fn ends_value(&self, byte: u8) -> bool {
        byte == self.separator || matches!(byte, b'\n' | b'\r')
    }
}

#[cfg(test)]
mod tests {
    use super::QuoteCheck;

    #[test]
    fn escaped_quotes_are_found_in_chunks_of_any_size() {
        let cases = [
            ("a,b\n\"c\",\"d\"\n", None),
            ("\"a\"\"b\",c\n", None),
            ("\"\",\"\"\"\"\n\"\"", None),
            ("a\"b,c\" d\n", None),
            ("\"a\" ,\"b\"  \r\n", None),
            ("\"a\nb\",\"c,d\"", None),
            ("x,\"a\\\",\"b\"", None),
            ("\"a\".\"b\"\n\"c\"", None),
            ("a\\\"b,\"c\"", None),
            ("\"a\\\"b\",c\n", Some(4)),
            ("x,\"a\\\" b\"\n", Some(6)),
            ("x,\"\\\"b\"\n", Some(5)),
            ("x\n\"a\"\"b\\\"c\"", Some(9)),
        ];
        for (text, expected) in cases {
            for size in 1..=text.len() {
                let mut check = QuoteCheck::new(b',');
                let mut found = None;
                for (number, chunk) in text.as_bytes().chunks(size).enumerate() {
                    if let (None, Err(at)) = (found, check.check(chunk)) {
                        found = Some(number * size + at);
                    }
                }
                assert_eq!(found, expected, "{text:?} in chunks of {size}");
            }
        }
    }
}
