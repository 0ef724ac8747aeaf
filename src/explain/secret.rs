//! Hides the secret of a request in the texts of its explanation.
//!
//! A text may repeat a secret in another spelling: a part of it, with other letter case or white space, percent-encoded
//! in a URL, or with doubled quotes in a name. So the comparison ignores everything but letters and digits, and hides a
//! text that shares a run of them with the secret. It may hide a text that is no secret. It never shows one.

use std::collections::HashSet;

/// The number of consecutive letters and digits of a secret that a text must not have. A shorter secret counts as a
/// whole.
const RUN: usize = 8;

/// The text that is shown instead.
const HIDDEN: &str = "[secret]";

/// Max times that a text is percent-decoded: a URL may be encoded inside another URL.
const DECODED: usize = 3;

/// The runs of a secret, in which texts are looked up.
#[derive(Default)]
pub(super) struct Redactor {
    runs: HashSet<Vec<char>>,
    length: usize,
    /// All letters and digits of the secret.
    whole: Vec<char>,
    /// The secret in lower case, if it has neither letters nor digits.
    signs: Option<String>,
    /// Whether a host may have the secret in the form of punycode.
    is_international: bool,
}

impl Redactor {
    /// Prepares to hide `secret`. Linear in its length.
    pub(super) fn new(secret: &str) -> Self {
        let folded = folded(secret);
        let length = folded.len().min(RUN);
        if length == 0 {
            let signs = Some(secret.to_owned()).filter(|secret| !secret.is_empty());
            return Self { signs, ..Self::default() };
        }
        let runs = folded.windows(length).map(<[char]>::to_vec).collect();
        Self { runs, length, whole: folded, signs: None, is_international: !secret.is_ascii() }
    }

    /// Returns `text`, or a fixed text if it may repeat the secret. Linear in the length of `text`.
    pub(super) fn shown<'t>(&self, text: &'t str) -> &'t str {
        if self.may_repeat(text) { HIDDEN } else { text }
    }

    /// Returns the id of a token, or a fixed text if it repeats the whole secret.
    ///
    /// An id is not secret, and a secret may be made from it: `demo-store-map` of `store-map`. Linear in the length of `id`.
    pub(super) fn shown_id<'t>(&self, id: &'t str) -> &'t str {
        let repeats = !self.whole.is_empty() && folded(id).windows(self.whole.len()).any(|part| part == self.whole);
        if repeats || self.signs.as_deref().is_some_and(|signs| id.contains(signs)) { HIDDEN } else { id }
    }

    fn may_repeat(&self, text: &str) -> bool {
        if let Some(signs) = &self.signs {
            return text.contains(signs.as_str());
        }
        if self.length == 0 {
            return false;
        }
        let is_punycode = || text.to_ascii_lowercase().contains("xn--");
        folded(text).windows(self.length).any(|run| self.runs.contains(run)) || (self.is_international && is_punycode())
    }
}

/// Returns the letters and digits of `text` after percent-decoding, in a form that ignores letter case.
fn folded(text: &str) -> Vec<char> {
    let mut decoded = text.to_owned();
    for _ in 0..DECODED {
        if !decoded.contains('%') {
            break;
        }
        decoded = percent_decoded(&decoded);
    }
    // Upper case first: dialects fold names in either direction.
    let folded = decoded.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase);
    folded.filter(|character| character.is_alphanumeric()).collect()
}

/// Decodes `%41`. Bytes that are not UTF-8 become replacement characters.
fn percent_decoded(text: &str) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (first, after) {
            (b'%', [high, low, after @ ..]) if digit(high).is_some() && digit(low).is_some() => {
                decoded.push(digit(high).unwrap_or_default() << 4 | digit(low).unwrap_or_default());
                rest = after;
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_is_hidden_if_it_repeats_the_whole_secret() {
        for (secret, id, is_shown) in [
            ("demo-store-map", "store-map", true),
            ("demo-store-map", "demo-store-map", false),
            ("demo-store-map", "my DEMO_store_map", false),
            ("--", "a--b", false),
            ("", "a", true),
        ] {
            let expected = if is_shown { id } else { HIDDEN };
            assert_eq!(Redactor::new(secret).shown_id(id), expected, "{secret}, {id}");
        }
    }

    #[test]
    fn every_spelling_of_a_secret_is_hidden() {
        for (secret, text) in [
            ("pk-correct-horse", "pk-correct-horse"),
            ("pk-correct-horse", "carto.PK-CORRECT-HORSE.t"),
            ("pk-correct-horse", "carto.pk_correct.horse"),
            ("pk-correct-horse", "k-correct-hors"),
            ("pk-correct-horse", "rect-horse"),
            ("eyJhbGciOi.eyJzdWIiOiIx.SflKxwRJSMeK", "carto.eyJzdWIiOiIx.t"),
            ("eyJhbGciOi.eyJzdWIiOiIx.SflKxwRJSMeK", "SFLKXWRJSMEK"),
            ("open sesame  now", "select 'open\nsesame now'"),
            ("open sesame now", "https://a.test/open%20sesame+now/*"),
            ("pk-correct-horse", "https://a.test/%70k-c%6Frrect-horse"),
            ("pk-correct-horse", "https://a.test/?to=b%2Fp%256B-correct-horse"),
            (r#"say"hi"there"#, r#"a."say""hi""there""#),
            ("caf\u{e9}-m\u{fc}nster", "a.\"CAF\u{c9}-M\u{dc}NSTER\""),
            ("m\u{fc}nster-\u{df}traße", "MÜNSTER-SSTRASSE"),
            ("\u{3c3}\u{3bf}\u{3c6}\u{3cc}\u{3c2}", "\u{3a3}\u{39f}\u{3a6}\u{38c}\u{3a3}"),
            ("m\u{fc}nster", "https://xn--mnster-3ya.test/"),
            // Short secrets, and secrets without letters.
            ("demo", "carto.shared.demo_table"),
            ("s3c", "a.S3C"),
            ("--==--", "a.\"--==--\""),
        ] {
            assert_eq!(Redactor::new(secret).shown(text), HIDDEN, "{secret}: {text}");
        }
        for (secret, text) in [
            ("pk-correct-horse", "carto.shared.demo_table"),
            ("pk-correct-horse", "correct"),
            ("demo", "carto.shared.roads"),
            ("--==--", "a--b"),
            ("", "anything"),
            ("m\u{fc}nster", "https://example.test/"),
        ] {
            assert_eq!(Redactor::new(secret).shown(text), text, "{secret}");
        }
    }
}
