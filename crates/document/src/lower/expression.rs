//! Regular expressions where a referer is expected.

use portcullis::base::is_browsed_host;
use portcullis::referer::Entry;

/// Whether `text` is written as a regular expression for URLs.
pub(crate) fn is_expression(text: &str) -> bool {
    let text = text.trim();
    text.contains(r"\.")
        || text.contains(r"\/")
        || text.starts_with('^')
        || text.ends_with('$')
        || text.ends_with(".*")
        || text.ends_with(".+")
        || text.starts_with("https?:")
        || text.starts_with("http[s]?:")
        || text.starts_with("http(s)?:")
}

/// Returns the site that a regular expression for one host means; `None` if it has several hosts.
pub(crate) fn expressed_site(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = text.strip_prefix('/').and_then(|text| text.strip_suffix('/')).unwrap_or(text);
    let inner = inner.strip_prefix('^').unwrap_or(inner);
    let inner = inner.strip_suffix('$').unwrap_or(inner);
    let plain = inner.replace(r"\.", ".").replace(r"\/", "/").replace(r"\:", ":").replace(r"\-", "-");
    let schemes = ["https?://", "http[s]?://", "http(s)?://", "(https|http)://", "(http|https)://", "https://"];
    let rest = schemes.into_iter().find_map(|scheme| Some(("https", plain.strip_prefix(scheme)?)));
    let rest = rest.or_else(|| Some(("http", plain.strip_prefix("http://")?)));
    let (scheme, rest) = rest.unwrap_or(("https", &plain));
    let authority = rest.split('/').next()?;
    let authority = authority.trim_end_matches(".*").trim_end_matches(".+").trim_end_matches('$');
    let is_plain = |found: char| found.is_alphanumeric() || matches!(found, '.' | '-' | ':');
    let host = authority.split(':').next().unwrap_or_default();
    if !authority.chars().all(is_plain) || !(host.contains('.') || host == "localhost") {
        return None;
    }
    let site = format!("{scheme}://{authority}/");
    Entry::parse(&site).is_ok_and(|entry| is_browsed_host(entry.host())).then_some(site)
}

#[cfg(test)]
mod tests {
    use super::{expressed_site, is_expression};

    #[test]
    fn expressions_for_one_host_mean_its_site() {
        for (text, site) in [
            (r"^https://x\.com/.*$", Some("https://x.com/")),
            ("https?://x.com/.*", Some("https://x.com/")),
            (r"/x\.com/", Some("https://x.com/")),
            (r"^https?:\/\/x\.com", Some("https://x.com/")),
            (r"https://x\.com", Some("https://x.com/")),
            (r"https://x\.com/maps/.*", Some("https://x.com/")),
            (r"^http://localhost:3000/.*", Some("http://localhost:3000/")),
            ("https://x.com.*", Some("https://x.com/")),
            ("^https://x.com$", Some("https://x.com/")),
            (r"(https|http)://x\.com", Some("https://x.com/")),
            (r"^https://(a|b)\.x\.com/.*$", None),
            (r"^https://.*\.x\.com/", None),
            (r"^https://[a-z]+\.x\.com/", None),
            ("^.*$", None),
            (r"\.", None),
        ] {
            assert!(is_expression(text), "{text}");
            assert_eq!(expressed_site(text).as_deref(), site, "{text}");
        }
        for text in ["https://x.com/", "https://*.x.com/", "https://x.com/*", "x.com", "*", "", "https://x.com/a?b"] {
            assert!(!is_expression(text), "{text}");
        }
    }
}
