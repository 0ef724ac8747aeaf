//! Referers are read as the URL tests of the web platform expect (N7.1).

use portcullis::referer::naive::is_entry;
use portcullis::referer::{Entry, Referer};
use serde::Deserialize;

#[derive(Deserialize)]
struct UrlCase {
    input: String,
    href: Option<String>,
    /// Whether Portcullis is stricter than the rules.
    #[serde(default)]
    rejected: bool,
}

impl UrlCase {
    /// Changes the scheme of a WebSocket URL, whose rules are the same, to that of a web page.
    fn of_page(self) -> Self {
        let of_page = |url: &str| {
            let scheme = url.len() - url.trim_start().len();
            let (before, rest) = url.split_at(scheme);
            match rest.strip_prefix("ws") {
                Some(rest) => format!("{before}http{rest}"),
                None => url.to_owned(),
            }
        };
        let href = self.href.as_deref().filter(|_| !self.rejected).map(of_page);
        Self { input: of_page(&self.input), href, rejected: self.rejected }
    }

    /// Returns the URL as a Referer is compared: without a fragment. `None` if it has user info or is not a URL.
    fn compared(&self) -> Option<&str> {
        let href = self.href.as_deref()?;
        let (_, after_scheme) = self.input.split_once(':')?;
        let authority = after_scheme.trim_start_matches(['/', '\\']).split(['/', '\\', '?', '#']).next()?;
        let compared = href.split('#').next()?;
        if authority.contains('@') { None } else { Some(compared) }
    }
}

fn cases() -> Vec<UrlCase> {
    let path = crate::repository().join("tests/data/web-platform-tests/urls.json");
    let cases: Vec<UrlCase> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() > 250);
    cases.into_iter().map(UrlCase::of_page).collect()
}

#[test]
fn headers_are_read_as_the_web_platform_expects() {
    for case in cases() {
        let referer = Referer::parse(&case.input);
        let found = referer.as_ref().map(|referer| {
            let port = referer.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{}{port}{}", referer.scheme(), referer.host(), referer.path_and_query())
        });
        assert_eq!(found.as_deref(), case.compared(), "{:?}", case.input);
    }
}

/// Whether an entry may be this URL: it has no fragment, and a host that a page may have.
fn may_be_entry(case: &UrlCase, url: &str) -> bool {
    let host = url.split('/').nth(2).unwrap_or_default();
    let labels = host.strip_suffix('.').unwrap_or(host);
    let has_fragment = case.href.as_deref().is_some_and(|whole| whole.len() > url.len());
    !has_fragment && !host.contains([',', ';']) && labels.split('.').all(|label| !label.is_empty())
}

#[test]
fn entries_are_read_as_the_web_platform_expects() {
    for case in cases().into_iter().filter(|case| !case.input.contains('*')) {
        let want = case.compared().filter(|url| may_be_entry(&case, url));
        let entry = Entry::parse(&case.input).ok();
        assert_eq!(entry.as_ref().map(Entry::as_str), want, "{:?}", case.input);
        assert_eq!(is_entry(&case.input), want.is_some(), "reference, {:?}", case.input);
    }
}
