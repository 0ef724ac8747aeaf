//! JSON in which no character moves the cursor of a terminal, reorders the text around it or is invisible.

use std::io::{self, Write};

use portcullis::base::is_unsafe;
use serde_json::ser::Formatter;

/// Writes compact JSON that escapes the characters that [`is_unsafe`] finds. Parsers read the same texts.
pub(super) struct Escaping;

impl Formatter for Escaping {
    /// Writes a part of a text that JSON does not escape by itself.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((start, character)) = rest.char_indices().find(|(_, character)| is_unsafe(*character)) {
            let (safe, after) = rest.split_at_checked(start).unwrap_or((rest, ""));
            writer.write_all(safe.as_bytes())?;
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after.get(character.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::Serializer;

    use super::Escaping;
    use portcullis::base::is_unsafe;

    #[test]
    fn unsafe_characters_are_escaped_and_read_back() {
        let all: String = (0..=0x2_ffff).chain(0xe_0000..=0xe_0fff).filter_map(char::from_u32).collect();
        for text in [&all, "a\u{9b}31mb", "\u{202e}gnp.exe\u{2066}", "\u{7f}\u{0}\n\"\\", "é漢🦀", "\u{e0001}", ""]
        {
            let mut written = Vec::new();
            text.serialize(&mut Serializer::with_formatter(&mut written, Escaping)).unwrap();
            let written = String::from_utf8(written).unwrap();
            assert!(!written.contains(is_unsafe));
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
        let mut written = Vec::new();
        "a\u{9b}é\u{e0001}".serialize(&mut Serializer::with_formatter(&mut written, Escaping)).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), r#""a\u009bé\udb40\udc01""#);
    }
}
