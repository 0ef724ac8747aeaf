//! Value parsers of names: a text that names nothing is refused, and not looked up.

use portcullis::base::{is_control, is_unsafe};
use portcullis_secret::contains_secret;

use super::bounds::expected;

/// Parses a name, which is `what`. Refuses an empty text, blanks around it and control characters.
pub(super) fn name(text: &str, what: &str, example: &str) -> Result<String, String> {
    let meant = text.trim();
    // The fix repeats the text.
    let is_valid = |text: &str| !text.is_empty() && !text.chars().any(is_unsafe) && !contains_secret(text);
    let instead = if is_valid(meant) { meant } else { example };
    if meant.is_empty() {
        Err(expected(format_args!("{what}, found none"), instead))
    } else if meant != text {
        Err(expected(format_args!("{what} without blanks around it"), instead))
    } else if text.chars().any(is_control) {
        Err(expected(format_args!("{what} without control characters"), instead))
    } else {
        Ok(text.to_owned())
    }
}

/// Parses a text, which is `what` and may be anything but empty: the command decides what it means.
pub(super) fn some(text: &str, what: &str, example: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err(expected(format_args!("{what}, found none"), example))
    } else {
        Ok(text.to_owned())
    }
}

/// Parses the name of an environment variable. The error does not repeat the text, which may be a secret, unless it is a
/// name after a `$`.
pub(super) fn variable(text: &str) -> Result<String, String> {
    const EXAMPLE: &str = "TOKEN";
    let is_name = |text: &str| {
        let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        !text.is_empty() && text.len() <= 64 && text.bytes().all(is_plain)
    };
    // The system refuses no other character.
    if !text.is_empty() && !text.contains(['=', '$', '\0']) && !text.contains(char::is_whitespace) {
        return Ok(text.to_owned());
    }
    let around = |character: char| character.is_whitespace() || "${}\"'".contains(character);
    let instead = Some(text.trim_matches(around)).filter(|text| is_name(text)).unwrap_or(EXAMPLE);
    Err(expected("the name of an environment variable that holds the token, without `$`", instead))
}

#[cfg(test)]
mod tests {
    use super::{name, some, variable};

    fn instead(parsed: Result<String, String>) -> String {
        parsed.unwrap_err().split("help: write `").nth(1).unwrap().trim_end_matches('`').to_owned()
    }

    #[test]
    fn names_have_no_blanks_around_them_and_no_control_characters() {
        let name = |text| name(text, "the name of a user", "ana");
        for text in ["ana", "Ana Maria", "ana@example.com", "a,b", "\"a\""] {
            assert_eq!(name(text).as_deref(), Ok(text));
        }
        for (text, valid) in [
            ("", "ana"),
            (" ", "ana"),
            ("\n", "ana"),
            (" bob", "bob"),
            ("bob\n", "bob"),
            ("\u{a0}bob", "bob"),
            ("a\tb", "ana"),
            ("a\u{7f}b", "ana"),
            (" a\u{1b}b", "ana"),
        ] {
            assert_eq!(instead(name(text)), valid, "{text:?}");
            assert!(name(valid).is_ok());
        }
        assert_eq!(some(" a.b ", "a resource", "a.b").as_deref(), Ok(" a.b "));
        assert_eq!(instead(some(" ", "a resource", "a.b")), "a.b");
    }

    #[test]
    fn variables_are_named_without_the_shell_s_sign_and_secrets_are_not_repeated() {
        for text in ["TOKEN", "my_token", "_x9", "pcl-tk"] {
            assert_eq!(variable(text).as_deref(), Ok(text));
        }
        for (text, valid) in [
            ("", "TOKEN"),
            (" ", "TOKEN"),
            ("$MAPS", "MAPS"),
            ("${MAPS}", "MAPS"),
            (" MAPS ", "MAPS"),
            ("MAPS=x", "TOKEN"),
            ("Bearer s3cret", "TOKEN"),
            ("$s3cret", "TOKEN"),
        ] {
            assert_eq!(instead(variable(text)), valid, "{text}");
            assert!(variable(valid).is_ok());
        }
    }
}
