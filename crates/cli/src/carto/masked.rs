//! Recognizes texts that programs and people write instead of a secret.

/// Characters that stand for a hidden or missing part. `*` is one only in a listing: no token of CARTO has it.
const STAND_INS: [char; 12] = [
    '*', '\u{b7}', '\u{d7}', '\u{2022}', '\u{2023}', '\u{2025}', '\u{2026}', '\u{22ef}', '\u{2588}', '\u{25a0}',
    '\u{25cf}', '\u{fffd}',
];

/// Words that are written instead of a secret.
const WORDS: [&str; 18] = [
    "elided",
    "encrypted",
    "hidden",
    "masked",
    "n/a",
    "none",
    "null",
    "omitted",
    "password",
    "private",
    "redacted",
    "removed",
    "sanitized",
    "secret",
    "token",
    "undefined",
    "unknown",
    "your_token",
];

/// Whether `text` is not the whole secret of a token: empty, shortened, masked, or a word or variable in its place.
pub(super) fn is_masked(text: &str) -> bool {
    let inner = text.trim_matches(|character: char| !character.is_alphanumeric());
    let mut characters = text.chars();
    let is_uniform = characters.next().is_none_or(|first| characters.all(|next| next == first));
    text.contains(STAND_INS)
        || text.contains("...")
        || text.to_ascii_lowercase().contains("xxxxxx")
        || is_uniform
        || text.starts_with(['<', '[', '{', '$', '%'])
        || WORDS.contains(&&*inner.to_lowercase().replace([' ', '-'], "_"))
}

#[cfg(test)]
mod tests {
    use super::is_masked;

    #[test]
    fn secrets_are_not_masked_and_their_stand_ins_are() {
        for text in [
            "",
            "***",
            "abc***",
            "eyJhbGciOiJIUzI1NiJ9.eyJhIjoiYW…",
            "eyTOK...",
            "...",
            "eyTOK…",
            "••••",
            "eyJ●●●●",
            "xxxxxxxx",
            "eyJ.xxxxxxxx.y",
            "REDACTED",
            "[REDACTED]",
            "<hidden>",
            "(masked)",
            "${TOKEN}",
            "%TOKEN%",
            "{{ token }}",
            "null",
            "undefined",
            "N/A",
            "--------",
            "your-token",
            "aaaaaaaa",
        ] {
            assert!(is_masked(text), "{text}");
        }
        for text in [
            "eyJhbGciOiJIUzI1NiJ9.eyJhIjoiYWNfN2p6bm4zaTEiLCJqdGkiOiI5Y2E4NjA4NSJ9.pmBP5fqNF0QvIHbOZ5CLrQ",
            "s3cret",
            "a-secret-of-a-token",
            "nullable",
            "pcs_0123456789abcdefghij",
        ] {
            assert!(!is_masked(text), "{text}");
        }
    }
}
