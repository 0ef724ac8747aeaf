//! Digests of secrets that no HTTP request carries: those that a shell makes by accident, such as `sha256sum < /dev/null` or
//! `echo secret | sha256sum`.

use std::collections::HashMap;
use std::sync::LazyLock;

use portcullis::model::SecretDigest;

use super::transport::not_in_headers;

/// Texts that people write as an example of a secret.
const WORDS: [&str; 17] = [
    "",
    "123456",
    "admin",
    "changeme",
    "demo",
    "example",
    "foo",
    "hello",
    "null",
    "password",
    "s3cret",
    "secret",
    "string",
    "test",
    "test-token",
    "token",
    "undefined",
];

/// What a shell adds to a text.
const ENDS: [&str; 5] = ["", " ", "\n", "\r\n", " -\n"];

static KNOWN: LazyLock<HashMap<SecretDigest, &'static str>> = LazyLock::new(|| {
    let texts = WORDS.iter().flat_map(|word| ENDS.iter().map(move |end| format!("{word}{end}")));
    let reason = |text: &str| if text.is_empty() { Some("it is empty") } else { not_in_headers(text) };
    texts.filter_map(|text| Some((SecretDigest::of(&text), reason(&text)?))).collect()
});

/// Describes why no `Authorization` header carries the secret with this digest; `None` if one may.
pub(super) fn not_carried(digest: SecretDigest) -> Option<&'static str> {
    KNOWN.get(&digest).copied()
}

#[cfg(test)]
mod tests {
    use super::not_carried;
    use portcullis::model::SecretDigest;

    #[test]
    fn digests_of_secrets_that_no_header_carries_are_known() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for (hex, reason) in [
            (empty, Some("it is empty")),
            // `echo | sha256sum`
            ("01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b", Some("it has blanks around it")),
            // `echo test | sha256sum`
            ("f2ca1bb6c7e907d06dafe4687e579fce76b37e4e93b7605022da52e6ccc26fd2", Some("it has blanks around it")),
            // `printf test | sha256sum`: a request may present it.
            ("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", None),
        ] {
            assert_eq!(not_carried(SecretDigest::from_hex(hex).unwrap()), reason, "{hex}");
        }
    }
}
