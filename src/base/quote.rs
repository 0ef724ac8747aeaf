//! Text of a user in messages: in backticks, on one line, of bounded length, and without characters that a reader
//! cannot see.

use std::fmt::{self, Write};

/// Maximum number of characters of a text that [`quoted`] repeats.
pub const MAX_QUOTED: usize = 120;

/// Returns `text` in backticks, escaped as [`Escaped`] does and cut off after [`MAX_QUOTED`] characters.
///
/// ```
/// use portcullis::base::quoted;
///
/// assert_eq!(quoted("db.roads"), "`db.roads`");
/// assert_eq!(quoted("a\n\u{202E}b"), r"`a\n\u{202e}b`");
/// ```
pub fn quoted(text: &str) -> String {
    format!("`{}`", Escaped::up_to(text, MAX_QUOTED))
}

/// Displays a text on one line: characters that [`is_unsafe`] finds are escaped as in a Rust string.
///
/// A text that is cut off ends with `…`. Backslashes and quotes of the text are not escaped.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'t> {
    text: &'t str,
    max: usize,
    keeps_lines: bool,
}

impl<'t> Escaped<'t> {
    /// The whole of `text`.
    pub const fn whole(text: &'t str) -> Self {
        Self::up_to(text, usize::MAX)
    }

    /// The first `max` characters of `text`.
    pub const fn up_to(text: &'t str, max: usize) -> Self {
        Self { text, max, keeps_lines: false }
    }

    /// The whole of `text`, with its line breaks.
    pub const fn lines(text: &'t str) -> Self {
        Self { text, max: usize::MAX, keeps_lines: true }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.text.chars();
        for character in characters.by_ref().take(self.max) {
            if is_unsafe(character) && !(self.keeps_lines && character == '\n') {
                character.escape_default().fmt(f)?;
            } else {
                f.write_char(character)?;
            }
        }
        if characters.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

/// Whether a message must not repeat the character as it is: control characters, line separators, [`is_bidi`] and
/// [`is_invisible`].
pub const fn is_unsafe(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_control();
    }
    is_control(character) || is_bidi(character) || is_invisible(character)
}

/// Whether the character is a control character, or separates lines or paragraphs. No id, name or title has one.
pub const fn is_control(character: char) -> bool {
    matches!(character, '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}' | '\u{2028}' | '\u{2029}')
}

/// Whether the character changes the direction of the text around it: Unicode's `Bidi_Control`.
pub const fn is_bidi(character: char) -> bool {
    matches!(character, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Whether the character leaves no mark: Unicode's `Default_Ignorable_Code_Point` without [`is_bidi`], the annotation
/// characters, and the blank Braille pattern.
pub const fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{AD}' | '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2065}' | '\u{206A}'..='\u{206F}' | '\u{2800}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Returns the first character of `text` that no reader sees: [`is_bidi`] or [`is_invisible`].
///
/// Joiners and variation selectors after a character beyond ASCII are a part of how it is written, as in `❤️` or Persian.
///
/// ```
/// use portcullis::base::hidden;
///
/// assert_eq!(hidden("pay\u{200b}ments"), Some('\u{200b}'));
/// assert_eq!(hidden("❤\u{fe0f}"), None);
/// ```
pub fn hidden(text: &str) -> Option<char> {
    let mut before = None;
    text.chars().find(|&found| {
        let is_joined = matches!(found, '\u{200C}' | '\u{200D}' | '\u{FE00}'..='\u{FE0F}')
            && before.is_some_and(|before: char| !before.is_ascii() && (!is_unsafe(before) || before == '\u{FE0F}'));
        before = Some(found);
        (is_bidi(found) || is_invisible(found)) && !is_joined
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_text_is_on_one_line_and_cut_off() {
        for (text, want) in [
            ("", "``".to_owned()),
            ("a", "`a`".to_owned()),
            ("a\nb\u{0}", r"`a\nb\u{0}`".to_owned()),
            (r#"C:\"é""#, r#"`C:\"é"`"#.to_owned()),
            (&"é".repeat(MAX_QUOTED), format!("`{}`", "é".repeat(MAX_QUOTED))),
            (&"é".repeat(MAX_QUOTED + 1), format!("`{}…`", "é".repeat(MAX_QUOTED))),
            (&"\n".repeat(MAX_QUOTED + 1), format!("`{}…`", r"\n".repeat(MAX_QUOTED))),
        ] {
            assert_eq!(quoted(text), want);
        }
        assert_eq!(Escaped::whole(&"\t".repeat(1_000)).to_string(), r"\t".repeat(1_000));
        assert_eq!(Escaped::up_to("abc", 0).to_string(), "…");
        assert_eq!(Escaped::lines("a\n\r\u{9b}b").to_string(), "a\n\\r\\u{9b}b");
    }

    #[test]
    fn unsafe_characters_are_escaped() {
        let escaped = [
            0x0, 0x9, 0xA, 0xD, 0x1B, 0x7F, 0x85, 0x9B, // controls
            0x61C, 0x200E, 0x200F, 0x202A, 0x202E, 0x2066, 0x2069, // directions
            0x2028, 0x2029, // lines
            0xAD, 0x34F, 0x115F, 0x17B5, 0x180B, 0x180E, 0x180F, 0x200B, 0x200D, 0x2060, 0x2064, 0x206F, 0x2800,
            0x3164, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0x1BCA0, 0x1D173, 0xE0001, 0xE0041, 0xE01EF, // invisible
        ];
        for character in escaped.into_iter().filter_map(char::from_u32) {
            assert!(is_unsafe(character), "U+{:04X}", u32::from(character));
            assert!(!quoted(&format!("a{character}b")).contains(character));
        }
        for character in "a ~`\"\\'é漢日Ж€\u{A0}\u{3000}\u{FFFD}🦀…".chars() {
            assert!(!is_unsafe(character), "U+{:04X}", u32::from(character));
        }
    }

    #[test]
    fn hidden_characters_are_found_outside_of_emoji_and_scripts() {
        for character in ['\u{200B}', '\u{200D}', '\u{202E}', '\u{2060}', '\u{2066}', '\u{AD}', '\u{FEFF}', '\u{FE0F}']
        {
            assert_eq!(hidden(&format!("a{character}b")), Some(character), "U+{:04X}", u32::from(character));
            assert_eq!(hidden(&character.to_string()), Some(character), "U+{:04X}", u32::from(character));
        }
        for text in ["", "a b", "é漢日", "❤\u{fe0f}", "👩\u{200d}💻", "🏴\u{fe0f}\u{200d}☠\u{fe0f}", "می\u{200c}خواهم"]
        {
            assert_eq!(hidden(text), None, "{text}");
        }
    }

    #[test]
    fn every_control_character_is_unsafe() {
        assert!(('\0'..=char::MAX).filter(|character| character.is_control()).all(is_unsafe));
    }
}
