//! Lists of URLs that are written as one entry.

use super::url::authority;

/// Characters between the URLs of a list, besides white space.
const SEPARATORS: [char; 3] = [',', ';', '|'];

/// The schemes of web pages. URL parsers need no slashes after them.
const SCHEMES: [&str; 2] = ["https:", "http:"];

/// Returns the URLs of `text` if it is a list of them, as in `https://a.example,https://b.example`. `None` for a text
/// that does not start with `http` or `https`, or is one URL.
///
/// URL parsers read some lists as one URL, whose host or path no page has.
pub(super) fn urls(text: &str) -> Option<Vec<&str>> {
    let text = text.trim();
    let (mut rest, mut urls) = (text, Vec::new());
    while let Some((first, others)) = split_first(rest) {
        urls.extend(Some(first).filter(|first| !first.is_empty()));
        rest = others;
    }
    urls.extend(Some(rest).filter(|rest| !rest.is_empty()));
    (rest.len() < text.len()).then_some(urls)
}

/// Splits off the first URL of `text`, if `text` is more than one.
fn split_first(text: &str) -> Option<(&str, &str)> {
    if !starts_with_scheme(text) {
        return None;
    }
    let authority = authority(text);
    let (before_path, path) = text.split_at_checked(authority.end)?;
    let root = ["/*", "/"].into_iter().find(|root| path.starts_with(root)).unwrap_or_default();
    let site_end = authority.end + root.len();
    let separated =
        text.char_indices().filter(|(_, character)| is_separator(*character)).find_map(|(at, separator)| {
            let (before, after) = text.split_at_checked(at)?;
            let others = after.trim_start_matches(is_separator);
            let in_host = authority.contains(&at) && !separator.is_whitespace();
            let after_site = at == site_end && (others.is_empty() || starts_with_domain(others));
            (in_host || after_site || starts_with_scheme(others)).then_some((before, others))
        });
    separated.or_else(|| {
        // Nothing separates the URLs, or the scheme is written twice: `https://https://a.example`.
        let scheme = SCHEMES.into_iter().find(|scheme| ends_with(before_path, scheme))?;
        let second = authority.end.checked_sub(scheme.len()).filter(|second| *second >= authority.start)?;
        let first = if second == authority.start { "" } else { text.get(..second)? };
        if path.starts_with("//") { Some((first, text.get(second..)?)) } else { None }
    })
}

fn is_separator(character: char) -> bool {
    SEPARATORS.contains(&character) || character.is_whitespace()
}

fn starts_with_scheme(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

fn ends_with(text: &str, end: &str) -> bool {
    let start = text.len().checked_sub(end.len());
    start.and_then(|start| text.get(start..)).is_some_and(|last| last.eq_ignore_ascii_case(end))
}

/// Returns whether `text` starts with a host of several labels.
fn starts_with_domain(text: &str) -> bool {
    let host = text.split(['/', ':', '?', '#']).next().unwrap_or_default();
    let is_host = |character: char| character.is_alphanumeric() || matches!(character, '.' | '-' | '_' | '*');
    host.contains('.') && host.chars().all(is_host)
}

#[cfg(test)]
mod tests {
    use super::urls;

    #[test]
    fn lists_are_split_into_their_urls() {
        for (text, want) in [
            ("https://a.example,https://b.example", &["https://a.example", "https://b.example"][..]),
            ("https://a.example, https://b.example", &["https://a.example", "https://b.example"]),
            ("https://a.example https://b.example", &["https://a.example", "https://b.example"]),
            ("https://a.example\nhttps://b.example", &["https://a.example", "https://b.example"]),
            ("https://a.example;https://b.example", &["https://a.example", "https://b.example"]),
            ("https://a.example|https://b.example", &["https://a.example", "https://b.example"]),
            ("https://a.example/*, HTTP://b.example/x", &["https://a.example/*", "HTTP://b.example/x"]),
            ("https://a.example/x,https:b.example", &["https://a.example/x", "https:b.example"]),
            ("https://a.example/?q=1 https://b.example", &["https://a.example/?q=1", "https://b.example"]),
            ("http://a,http://b,http://c", &["http://a", "http://b", "http://c"]),
            ("https://a.example,b.example", &["https://a.example", "b.example"]),
            ("https://a.example/ b.example", &["https://a.example/", "b.example"]),
            ("https://a.example/*;b.example:8080", &["https://a.example/*", "b.example:8080"]),
            ("https://a.example,", &["https://a.example"]),
            ("https://a.example/, ", &["https://a.example/"]),
            ("https://a.examplehttps://b.example", &["https://a.example", "https://b.example"]),
            ("https://https://a.example", &["https://a.example"]),
            ("http://https://a.example/x", &["https://a.example/x"]),
        ] {
            assert_eq!(urls(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn single_urls_are_not_lists() {
        for text in [
            "https://a.example",
            " https://a.example/ \n",
            "https://a.example/x,y",
            "https://a.example/x y.z",
            "https://a.example/@40.7,-74.0",
            "https://a.example/?next=https://b.example",
            "https://a.example/https://b.example",
            "https://a.example/;v=1.2",
            "https://a.example:8080/",
            "http://https.example/",
            "http://[::1]:80/",
            "a.example,b.example",
            "",
        ] {
            assert_eq!(urls(text), None, "{text}");
        }
    }
}
