//! JSON in which no character moves the cursor of a terminal, reorders the text around it or is invisible, and no text
//! is the secret of the client.

use std::io::{self, Write};
use std::ops::Range;

use portcullis::base::is_unsafe;
use portcullis_secret::find_secret;
use serde_json::ser::Formatter;

use crate::unread::HIDDEN;

/// The minimum length of a presented secret that is hidden in other texts: a shorter one may occur by chance.
const HIDDEN_FROM: usize = 8;

/// Writes compact JSON that escapes the characters that [`is_unsafe`] finds, and hides secrets.
#[derive(Debug, Default)]
pub(super) struct Escaping<'s> {
    /// The secret that the client presented, which it may repeat in a name or an id.
    secret: Option<&'s str>,
    is_key: bool,
}

impl<'s> Escaping<'s> {
    /// Hides `secret` in texts, and what has the form of a secret.
    pub(super) fn hiding(secret: Option<&'s str>) -> Self {
        Self { secret: secret.filter(|secret| secret.len() >= HIDDEN_FROM), is_key: false }
    }

    /// Returns the position of a secret in a text.
    fn hidden(&self, text: &str) -> Option<Range<usize>> {
        let presented = self.secret.and_then(|secret| Some((text.find(secret)?, secret.len())));
        presented.map(|(start, length)| start..start + length).or_else(|| find_secret(text))
    }
}

impl Formatter for Escaping<'_> {
    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.is_key = true;
        if first { Ok(()) } else { writer.write_all(b",") }
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_key = false;
        Ok(())
    }

    /// Writes a part of a text that JSON does not escape by itself.
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut fragment = fragment;
        while let Some(span) = self.hidden(fragment).filter(|_| !self.is_key) {
            write_escaped(writer, fragment.get(..span.start).unwrap_or_default())?;
            writer.write_all(HIDDEN.as_bytes())?;
            fragment = fragment.get(span.end..).unwrap_or_default();
        }
        write_escaped(writer, fragment)
    }
}

fn write_escaped<W: ?Sized + Write>(writer: &mut W, text: &str) -> io::Result<()> {
    let mut rest = text;
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

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::Serializer;

    use super::Escaping;
    use portcullis::base::is_unsafe;

    #[test]
    fn presented_secrets_and_secrets_of_our_form_are_hidden() {
        let minted = portcullis_secret::Secret::mint(portcullis_secret::SecretKind::Token).unwrap();
        let written = |text: &str, secret: Option<&str>| {
            let mut written = Vec::new();
            let value = std::collections::BTreeMap::from([("the-secret", text)]);
            value.serialize(&mut Serializer::with_formatter(&mut written, Escaping::hiding(secret))).unwrap();
            String::from_utf8(written).unwrap()
        };
        for (text, secret, expected) in [
            ("a.the-secret.b the-secret", Some("the-secret"), "a.[secret].b [secret]"),
            ("a.b", Some("the-secret"), "a.b"),
            ("maps", Some("maps"), "maps"),
            (minted.expose(), None, "[secret]"),
            (&format!("x{}\u{9b}", minted.expose()), Some("other-secret"), "x[secret]\\u009b"),
        ] {
            assert_eq!(written(text, secret), format!(r#"{{"the-secret":"{expected}"}}"#), "keys stay");
        }
    }

    #[test]
    fn unsafe_characters_are_escaped_and_read_back() {
        let all: String = (0..=0x2_ffff).chain(0xe_0000..=0xe_0fff).filter_map(char::from_u32).collect();
        for text in [&all, "a\u{9b}31mb", "\u{202e}gnp.exe\u{2066}", "\u{7f}\u{0}\n\"\\", "é漢🦀", "\u{e0001}", ""]
        {
            let mut written = Vec::new();
            text.serialize(&mut Serializer::with_formatter(&mut written, Escaping::default())).unwrap();
            let written = String::from_utf8(written).unwrap();
            assert!(!written.contains(is_unsafe));
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
        let mut written = Vec::new();
        "a\u{9b}é\u{e0001}".serialize(&mut Serializer::with_formatter(&mut written, Escaping::default())).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), r#""a\u009bé\udb40\udc01""#);
    }
}
