//! Passwords in URLs.

/// Schemes whose URLs are paths of files, in which an `@` is a character like any other.
const FILES: [&str; 3] = ["sqlite", "sqlite3", "file"];

/// Parameters of a query whose values are hidden.
const PARAMETERS: [&str; 3] = ["password=", "passwd=", "pwd="];

/// Returns `text` with `…` for the user info and the password of each URL, whatever its scheme.
///
/// A password may contain a `/`, `?` or `#` that should have been encoded: after a colon in the host, everything before
/// the last `@` is hidden. A URL in quotes ends with the quotes, and may contain white space.
///
/// ```
/// use portcullis_secret::without_passwords;
///
/// assert_eq!(without_passwords("cannot read `mysql://u:sekret@x/y`"), "cannot read `mysql://…@x/y`");
/// ```
pub fn without_passwords(text: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let quote = before.trim_end_matches(|last: char| last.is_ascii_alphanumeric() || "+-.".contains(last));
        let scheme = before.strip_prefix(quote).unwrap_or_default();
        let end = match quote.chars().next_back() {
            None if shown.len() == before.len() + "://".len() => None,
            Some(quote @ ('`' | '\'' | '"')) => after.find(quote),
            _ => after.find(|end: char| end.is_whitespace() || "`'\"".contains(end)),
        };
        let (url, others) = after.split_at_checked(end.unwrap_or(after.len())).unwrap_or((after, ""));
        let (user, url) = url.split_at_checked(user_info(scheme, url)).unwrap_or(("", url));
        shown.push_str(if user.is_empty() { "" } else { "…" });
        // The rest of the URL may hold another one, but not a second user.
        match parameter(url) {
            Some((before, after)) if !url.contains("://") => {
                shown.push_str(before);
                shown.push('…');
                shown.push_str(&without_parameters(after));
                rest = others;
            }
            _ => rest = after.get(user.len()..).unwrap_or_default(),
        }
    }
    shown.push_str(rest);
    shown
}

/// Returns the length of the user info at the start of `url`, a URL without its scheme.
fn user_info(scheme: &str, url: &str) -> usize {
    let authority = url.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    let is_open = authority.contains(':') && !authority.starts_with('[');
    let end = authority.rfind('@').or_else(|| url.rfind('@').filter(|_| is_open)).unwrap_or_default();
    let is_file = FILES.iter().any(|file| file.eq_ignore_ascii_case(scheme));
    if is_file && !url.get(..end).is_some_and(|user| user.contains(':')) { 0 } else { end }
}

/// Returns `text`, the rest of a query, with `…` for its passwords.
fn without_parameters(text: &str) -> String {
    match parameter(text) {
        Some((before, after)) => format!("{before}…{}", without_parameters(after)),
        None => text.to_owned(),
    }
}

/// Splits `query` around the value of a password, if it has one.
fn parameter(query: &str) -> Option<(&str, &str)> {
    let lower = query.to_ascii_lowercase();
    let start = PARAMETERS.iter().filter_map(|name| Some(lower.find(name)? + name.len())).min()?;
    let (before, after) = query.split_at_checked(start)?;
    Some((before, after.split_at_checked(after.find(['&', '#']).unwrap_or(after.len()))?.1))
}

#[cfg(test)]
mod tests {
    use super::without_passwords;

    #[test]
    fn users_and_passwords_of_urls_are_hidden() {
        for (text, want, why) in [
            ("mysql://u:sekret@x/y", "mysql://…@x/y", "a database"),
            ("POSTGRES://u:sekret@x/y", "POSTGRES://…@x/y", "in upper case"),
            ("redis+tls://:sekret@x", "redis+tls://…@x", "a password without a user"),
            ("https://sekret@github.com/a", "https://…@github.com/a", "a user that may be a token"),
            ("cannot read `https://u:sekret@x/y`: no", "cannot read `https://…@x/y`: no", "in a message"),
            ("cannot read `s3://u:sek ret@x/y`", "cannot read `s3://…@x/y`", "white space in quotes"),
            ("`a://u:sek'ret@x` or \"b://u:sek`ret@x\"", "`a://…@x` or \"b://…@x\"", "other quotes"),
            ("mysql://u:sek/ret@x/y", "mysql://…@x/y", "a slash that is not encoded"),
            ("mysql://u:sek?r#et@x/y", "mysql://…@x/y", "a question mark that is not encoded"),
            ("mysql://u:sek@ret@x/y", "mysql://…@x/y", "an `@` that is not encoded"),
            ("mysql://u:sek ret@x/y", "mysql://…@x/y", "white space in a whole value"),
            ("a://u:p@x b://u:q@y", "a://…@x b://…@y", "two URLs"),
            ("sqlite://u:sekret@x", "sqlite://…@x", "a password for a file"),
            ("pg://x/y?user=u&Password=sekret&ssl=1", "pg://x/y?user=u&Password=…&ssl=1", "a parameter"),
            ("pg://u@x/?pwd=a&passwd=b#c", "pg://…@x/?pwd=…&passwd=…#c", "two parameters and a user"),
            ("postgres://…@x/y", "postgres://…@x/y", "hidden already"),
        ] {
            assert_eq!(without_passwords(text), want, "{why}");
        }
        for text in [
            "",
            "a@b.example",
            "policy.json",
            "https://carto.com/@40,-74",
            "https://carto.com:8080/x",
            "http://[::1]/x@y",
            "sqlite://a@b.db",
            "sqlite:/home/a@b/x.db",
            "://",
            "write `https://carto.com/` and tell a@b.example",
        ] {
            assert_eq!(without_passwords(text), text);
        }
    }
}
