//! Removes from errors what they must not show: secrets, passwords in URLs, and the words of libraries that help nobody.

use portcullis_secret::{without_passwords, without_secrets};

/// Returns `text` without secrets and passwords in URLs, the numbers of system errors, and the paths of temporary files.
///
/// A secret may be typed in the place of a file or of another value. The reason before the number of a system error is
/// in lower case: `cannot read `x`: permission denied`.
pub(super) fn plain(text: &str) -> String {
    without_numbers(&without_passwords(&without_secrets(text.to_owned())))
}

fn without_numbers(text: &str) -> String {
    const NUMBER: &str = " (os error ";
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(NUMBER) {
        let Some((number, after)) = after.split_once(')') else { break };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        if is_number {
            let reason = before.rfind(": ").map_or(0, |at| at + 2);
            let (start, reason) = before.split_at_checked(reason).unwrap_or((before, ""));
            plain.push_str(start);
            let mut characters = reason.chars();
            plain.extend(characters.next().map(|first| first.to_ascii_lowercase()));
            plain.push_str(characters.as_str());
        } else {
            plain.push_str(before);
            plain.push_str(NUMBER);
            plain.push_str(number);
            plain.push(')');
        }
        rest = without_path(after);
    }
    plain.push_str(rest);
    plain
}

/// Returns `text` without the path of a temporary file at its start: ` at path "/tmp/.portcullis-x.new"`.
fn without_path(text: &str) -> &str {
    let quoted = text.strip_prefix(" at path \"");
    quoted.and_then(|path| path.split_once('"')).map_or(text, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn secrets_and_passwords_are_removed() {
        let secret = portcullis_secret::Secret::mint(portcullis_secret::SecretKind::Token).unwrap();
        let text = format!("unknown API `{}`, `redis://u:sekret@x`", secret.expose());
        assert_eq!(plain(&text), "unknown API `…`, `redis://…@x`");
    }

    #[test]
    fn numbers_of_the_system_and_temporary_files_are_removed() {
        for (text, want) in [
            ("", ""),
            ("no policy", "no policy"),
            ("cannot read `x`: Permission denied (os error 13)", "cannot read `x`: permission denied"),
            (
                "cannot write `a/b`: No such file or directory (os error 2) at path \"/w/a/.portcullis-E8.new\"",
                "cannot write `a/b`: no such file or directory",
            ),
            ("Is a directory (os error 21)\nhelp: name a file", "is a directory\nhelp: name a file"),
            (
                "a: Permission denied (os error 13); b: Permission denied (os error 13)",
                "a: permission denied; b: permission denied",
            ),
            ("`x (os error y)` is not a name", "`x (os error y)` is not a name"),
            ("`x (os error 1", "`x (os error 1"),
        ] {
            assert_eq!(plain(text), want);
        }
    }
}
