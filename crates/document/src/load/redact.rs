//! Redacted documents: of the same length in bytes, with a `*` for each byte that may belong to a secret.
//!
//! Secrets may be in their own fields, but also, by mistake, under a misspelt key, in a list of bare strings, or in
//! text that is not JSON. So only text that certainly holds no secret is shown, and the rest is masked.

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
    let mut scan = Scan { text, at: 0, out, open: Vec::new(), list: false, shown: false, key_due: false };
    while scan.step() {}
    scan.out
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
                self.open.push((self.list, self.shown));
                self.list = first == b'[';
                self.shown &= self.list;
                self.show(1);
            }
            b'}' | b']' => {
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
            self.show(length);
        } else {
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
