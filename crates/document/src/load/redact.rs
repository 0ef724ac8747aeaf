//! Redacted documents: of the same length in bytes, with a `*` for each byte that may belong to a secret.
//!
//! Secrets may be in their own fields, but also, by mistake, under a misspelt key, in a list of bare strings, or in
//! text that is not JSON. So only text that certainly holds no secret is shown, and the rest is masked. Values that
//! repeat the secret of their token are masked, too.

use std::ops::Range;

use portcullis::model::SecretDigest;

use crate::lower::repeats;

/// Keys whose values are shown.
const SHOWN: [&str; 18] = [
    "accepts",
    "allowed_apis",
    "apis",
    "connection_name",
    "connections",
    "created_at",
    "dialect",
    "expiration_date",
    "id",
    "name",
    "named_sources_only",
    "case_sensitive",
    "owner",
    "referers",
    "source",
    "tokens",
    "type",
    "version",
];

/// The other fields of a document, of which only the names are shown.
const NAMED: [&str; 3] = ["grants", "token", "token_sha256"];

/// Keys whose lists hold objects: a string in them is misplaced, and may be a secret.
const OBJECTS: [&str; 4] = ["apis", "connections", "grants", "tokens"];

/// Masks everything in `text` that may be a secret. Linear in its length.
pub(super) fn redact(text: &str) -> String {
    let out = String::with_capacity(text.len());
    let mut scan = Scan {
        text,
        at: 0,
        out,
        open: Vec::new(),
        list: false,
        shown: false,
        key_due: false,
        key: "",
        tokens_depth: None,
        tokens: Vec::new(),
    };
    while scan.step() {}
    while scan.end_token() {}
    scan.out
}

/// The document, or an element of its list of tokens, while the scan is inside of it.
#[derive(Default)]
struct Token<'t> {
    /// The number of open lists and objects, including this one.
    depth: usize,
    /// The values of its fields `token` and `token_sha256`.
    secrets: Vec<&'t str>,
    digests: Vec<SecretDigest>,
    /// The shown values in it, which may repeat a secret.
    values: Vec<Range<usize>>,
}

impl Token<'_> {
    fn repeats_secret(&self, value: &str) -> bool {
        self.secrets.iter().any(|secret| repeats(value, secret))
            || (!self.digests.is_empty() && self.digests.contains(&SecretDigest::of(value)))
    }
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    out: String,
    /// For each open list and object, the values of `list` and `shown` around it.
    open: Vec<(bool, bool)>,
    /// Whether the scan is inside a list.
    list: bool,
    /// Whether values are shown here.
    shown: bool,
    /// Whether the last byte that is not white space was a brace or comma, after which a key may follow.
    key_due: bool,
    /// The last key.
    key: &'t str,
    /// The depth of the list of tokens.
    tokens_depth: Option<usize>,
    tokens: Vec<Token<'t>>,
}

impl<'t> Scan<'t> {
    fn step(&mut self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(&first) = rest.as_bytes().first() else { return false };
        let key_due = self.key_due;
        self.key_due = matches!(first, b'{' | b',') || (key_due && first.is_ascii_whitespace());
        match first {
            b'"' => self.string(rest, key_due),
            b'{' | b'[' => {
                let depth = self.open.len() + 1;
                if first == b'[' && (depth == 1 || (depth == 2 && self.key == "tokens")) {
                    self.tokens_depth = Some(depth);
                }
                if first == b'{' && (depth == 1 || self.tokens_depth == Some(depth - 1)) {
                    self.tokens.push(Token { depth, ..Token::default() });
                }
                self.open.push((self.list, self.shown));
                self.list = first == b'[';
                self.shown &= self.list;
                self.show(1);
            }
            b'}' | b']' => {
                if self.tokens.last().is_some_and(|token| token.depth == self.open.len()) {
                    self.end_token();
                }
                (self.list, self.shown) = self.open.pop().unwrap_or_default();
                self.value_ends();
                self.show(1);
            }
            b',' | b':' => self.show(1),
            _ if first.is_ascii_whitespace() => self.show(1),
            _ => self.word(rest),
        }
        true
    }

    /// Scans a key or a value.
    fn string(&mut self, rest: &'t str, key_due: bool) {
        let (length, closed) = string_length(rest);
        let string = rest.get(..length).unwrap_or_default();
        let inside = string.get(1..length - usize::from(closed)).unwrap_or_default();
        if closed && rest.get(length..).is_some_and(|after| after.trim_ascii_start().starts_with(':')) {
            self.shown = SHOWN.contains(&inside) && !OBJECTS.contains(&inside);
            self.key = inside;
            // In another position it is not JSON, and may be a secret with a colon typed for a comma.
            if key_due || SHOWN.contains(&inside) || NAMED.contains(&inside) {
                return self.show(length);
            }
            self.show(1);
            self.mask(inside.len());
            return self.show(1);
        }
        // A URL may hold a password.
        if self.shown && closed && !inside.contains('@') {
            let start = self.at + 1;
            if let Some(token) = self.tokens.last_mut() {
                token.values.push(start..start + inside.len());
            }
            self.show(length);
        } else {
            self.secret(inside);
            self.show(1);
            self.mask(inside.len());
            self.show(usize::from(closed));
        }
        self.value_ends();
    }

    /// Scans a number, `true` or the like, or text that is not JSON.
    fn word(&mut self, rest: &str) {
        let ends = |byte: u8| byte.is_ascii_whitespace() || b"\"{}[],:".contains(&byte);
        let length = rest.bytes().position(ends).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        if matches!(word, "true" | "false" | "null") || (self.shown && word.parse::<f64>().is_ok()) {
            self.show(length);
        } else {
            self.mask(length);
        }
        self.value_ends();
    }

    /// Records the value of a field that has a secret or its digest.
    fn secret(&mut self, value: &'t str) {
        let Some(token) = self.tokens.last_mut() else { return };
        match self.key {
            "token" => token.secrets.push(value),
            "token_sha256" => token.digests.extend(SecretDigest::from_hex(value)),
            _ => {}
        }
    }

    /// Leaves the last token, and masks the values in it that repeat its secret. Returns whether there was one.
    fn end_token(&mut self) -> bool {
        let Some(token) = self.tokens.pop() else { return false };
        for range in &token.values {
            if token.repeats_secret(self.text.get(range.clone()).unwrap_or_default()) {
                self.out.replace_range(range.clone(), &"*".repeat(range.len()));
            }
        }
        true
    }

    /// Ends a value: in an object a key shows only one.
    fn value_ends(&mut self) {
        self.shown &= self.list;
    }

    fn show(&mut self, length: usize) {
        let end = self.at + length;
        self.out.push_str(self.text.get(self.at..end).unwrap_or_default());
        self.at = end;
    }

    fn mask(&mut self, length: usize) {
        self.out.extend(std::iter::repeat_n('*', length));
        self.at += length;
    }
}

/// Returns the length of the string at the start of `text`, up to the end of the line, and whether it is closed.
fn string_length(text: &str) -> (usize, bool) {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'\n' => return (at, false),
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return (at + 1, true),
            _ => {}
        }
    }
    (text.len(), false)
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn possible_secrets_are_masked() {
        let cases = [
            (r#"{"id": "a", "token": "s\"cret"}"#, r#"{"id": "a", "token": "*******"}"#),
            (r#"{"token_sha256" : "s3cret"}"#, r#"{"token_sha256" : "******"}"#),
            (r#"{"tokn": "s3cret", "id": "a"}"#, r#"{"tokn": "******", "id": "a"}"#),
            (r#"{"token": 123456, "version": 1}"#, r#"{"token": ******, "version": 1}"#),
            (r#"{"token": ["s3cret", {"id": "a"}]}"#, r#"{"token": ["******", {"id": "a"}]}"#),
            (r#"{"token": {"value": "s3cret"}}"#, r#"{"token": {"value": "******"}}"#),
            (r#"["s3cret"]"#, r#"["******"]"#),
            (r#"{"tokens": ["s3cret"]}"#, r#"{"tokens": ["******"]}"#),
            (r#"{"token" "s3cret"}"#, r#"{"*****" "******"}"#),
            (r#"{"token": "s3cret": "id"}"#, r#"{"token": "******": "**"}"#),
            (r#"{"token" "s3cret": 1}"#, r#"{"*****" "******": *}"#),
            (r#"{"token"= "s3cret": 1}"#, r#"{"*****"* "******": *}"#),
            ("{\"\"token\":\n\"s3cret\": 1}", "{\"\"*****\"*\n\"******\": *}"),
            (r#"{"id": "a", "s3cret"}"#, r#"{"id": "a", "******"}"#),
            (r#"{"allowed_apis": ["maps"], "s3cret"}"#, r#"{"allowed_apis": ["maps"], "******"}"#),
            (r#"{"token": s3cret}"#, r#"{"token": ******}"#),
            (r#"{"to\u006ben": "s3cret"}"#, r#"{"to\u006ben": "******"}"#),
            ("TOKEN=s3cret\n", "************\n"),
            (r#"{"allowed_apis": ["maps"], "owner": null}"#, r#"{"allowed_apis": ["maps"], "owner": null}"#),
            (r#"{"referers": ["https://a:b@c/"]}"#, r#"{"referers": ["**************"]}"#),
            ("{\"id\": \"a\n\"token\": \"s3cret\"}", "{\"id\": \"*\n\"token\": \"******\"}"),
            (r#"{"token": "é"}"#, r#"{"token": "**"}"#),
            // Values that repeat the secret.
            (r#"{"id": "pk", "token": "pk", "name": "pk-1"}"#, r#"{"id": "**", "token": "**", "name": "pk-1"}"#),
            (
                r#"[{"token": "pk-secret", "name": "a pk-secret", "grants": [{"source": "a.pk-secret"}]}, {"id": "pk-secret"}]"#,
                r#"[{"token": "*********", "name": "***********", "grants": [{"source": "***********"}]}, {"id": "pk-secret"}]"#,
            ),
            (
                r#"{"tokens": [{"id": "pk", "token": "pk"}, {"id": "pk", "token": "other"}]}"#,
                r#"{"tokens": [{"id": "**", "token": "**"}, {"id": "pk", "token": "*****"}]}"#,
            ),
            (r#"{"id": "pk-secret", "token": "pk-secret""#, r#"{"id": "*********", "token": "*********""#),
            (
                r#"{"id": "abc", "token_sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#,
                r#"{"id": "***", "token_sha256": "****************************************************************"}"#,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected);
            assert_eq!(redact(text).len(), text.len());
        }
    }

    #[test]
    fn any_text_keeps_its_length() {
        let text = "{\"a\\\": [}]\u{1}\"\\";
        for end in (0..=text.len()).filter(|end| text.is_char_boundary(*end)) {
            assert_eq!(redact(text.get(..end).unwrap()).len(), end);
        }
    }
}
