//! JSON on standard output: characters that could act on a terminal are written as escapes of JSON, which keep their
//! value.

use std::io::{self, Write};

use portcullis::base::is_unsafe;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter};

/// Writes `value` on one line, without a line break.
pub(crate) fn write_json(mut out: impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut out, Safe(CompactFormatter)))?;
    Ok(())
}

/// Writes `value` on several lines, with a line break.
pub(crate) fn write_json_lines(mut out: impl Write, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut out, Safe(PrettyFormatter::new())))?;
    writeln!(out)
}

/// Writes a JSON text, with its line breaks.
pub(crate) fn write_json_text(mut out: impl Write, text: &str) -> io::Result<()> {
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            out.write_all(b"\n")?;
        }
        write_escaped(line, |part| out.write_all(part))?;
    }
    Ok(())
}

/// Calls `write` with the parts of `text`, a part of a JSON string, in which unsafe characters are escaped.
fn write_escaped(text: &str, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut rest = text;
    while let Some((at, found)) = rest.char_indices().find(|(_, character)| is_unsafe(*character)) {
        let (before, after) = rest.split_at(at);
        write(before.as_bytes())?;
        for unit in found.encode_utf16(&mut [0; 2]) {
            write(format!("\\u{unit:04x}").as_bytes())?;
        }
        rest = after.strip_prefix(found).unwrap_or_default();
    }
    write(rest.as_bytes())
}

/// A formatter that also escapes the characters that [`is_unsafe`] finds.
struct Safe<F>(F);

/// Implements methods with these arguments by calling the formatter inside.
macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*);)*) => {
        $(fn $method<W: ?Sized + Write>(&mut self, out: &mut W $(, $argument: $type)*) -> io::Result<()> {
            self.0.$method(out $(, $argument)*)
        })*
    };
}

impl<F: Formatter> Formatter for Safe<F> {
    forward! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        end_object_key();
        begin_object_value();
        end_object_value();
        write_char_escape(escape: CharEscape);
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        write_escaped(fragment, |part| out.write_all(part))
    }

    /// Writes JSON as it was read. Only its texts have unsafe characters, except for white space between values.
    fn write_raw_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        for part in fragment.split_inclusive(['\n', '\r', '\t']) {
            let text = part.trim_end_matches(['\n', '\r', '\t']);
            write_escaped(text, |part| out.write_all(part))?;
            out.write_all(part.get(text.len()..).unwrap_or_default().as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_characters_of_raw_values_are_escaped() {
        let raw = "{\"a\":\t\"\u{9b}8m\u{202e}\",\n\"b\": [1]}";
        let value = serde_json::value::RawValue::from_string(raw.to_owned()).unwrap();
        let mut out = Vec::new();
        write_json(&mut out, &value).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{\"a\":\t\"\\u009b8m\\u202e\",\n\"b\": [1]}");
    }

    #[test]
    fn unsafe_characters_are_escaped_and_keep_their_value() {
        let value = serde_json::json!({"a\u{9b}": ["\u{1b}\u{7f}\u{202e}\u{e0041}é🦀\"\\\n", {"b": [], "c": {}}, 1]});
        for lines in [false, true] {
            let mut out = Vec::new();
            if lines { write_json_lines(&mut out, &value) } else { write_json(&mut out, &value) }.unwrap();
            let text = String::from_utf8(out).unwrap();
            assert!(!text.chars().any(|character| is_unsafe(character) && character != '\n'), "{text}");
            assert!(text.contains(r#""\u001b\u007f\u202e\udb40\udc41é🦀\"\\\n""#), "{text}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
            let plain = serde_json::json!({"a": ["b", {"c": [1.5, null]}]});
            let mut out = Vec::new();
            if lines { write_json_lines(&mut out, &plain) } else { write_json(&mut out, &plain) }.unwrap();
            let expected = if lines { serde_json::to_string_pretty(&plain).unwrap() + "\n" } else { plain.to_string() };
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
