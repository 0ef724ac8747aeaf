//! Removes from errors the words of libraries that help nobody: numbers of the system, and names of temporary files.

/// Returns `text` without the numbers of system errors and without the paths of temporary files.
///
/// The reason before such a number is in lower case: `cannot read `x`: permission denied`.
pub(super) fn plain(text: &str) -> String {
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
