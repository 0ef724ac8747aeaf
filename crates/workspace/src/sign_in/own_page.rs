//! The page to come back to after a sign-in: always one of the workspace.

use url::{Url, form_urlencoded};

/// The maximum length, in bytes.
const MAX: usize = 3000;

/// Paths that are no pages to come back to: they would start, end or repeat the sign-in.
const SIGN_IN: [&str; 3] = ["/login", "/logout", "/assets"];

/// Returns the path and query of a page of the workspace, relative to the URL of the workspace; `None` if `text` names
/// anything else, however a browser reads it.
pub(crate) fn own_page(text: &str) -> Option<String> {
    // Browsers read `\` as `/`, and drop line breaks and tabs.
    let is_plain = |character: char| !character.is_control() && character != '\\' && character != ' ';
    if !text.starts_with('/') || text.len() > MAX || !text.chars().all(is_plain) {
        return None;
    }
    let base = Url::parse("http://workspace.invalid/").ok()?;
    let url = base.join(text).ok().filter(|url| url.origin() == base.origin() && url.username().is_empty())?;
    let path = url.path();
    let is_sign_in =
        SIGN_IN.iter().any(|own| path == *own || path.strip_prefix(own).is_some_and(|rest| rest.starts_with('/')));
    // The page is appended to the path of the workspace, which may be empty.
    if path.starts_with("//") || is_sign_in {
        return None;
    }
    Some(url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")))
}

/// Returns the query of an authorization, if `page`, which is an own page, is one.
pub(crate) fn authorization(page: &str) -> Option<&str> {
    page.strip_prefix("/oauth/authorize?")
}

/// Returns the path at which a sign-in starts that comes back to `page`.
pub(crate) fn start(page: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("return_to", page).finish();
    format!("/login/start?{query}")
}

#[cfg(test)]
mod tests {
    use super::{authorization, own_page};

    #[test]
    fn an_authorization_is_a_page_with_a_query() {
        assert_eq!(authorization("/oauth/authorize?client_id=a"), Some("client_id=a"));
        for page in ["/oauth/authorize", "/oauth/authorized?a", "/x/oauth/authorize?a", "/trail?a", ""] {
            assert_eq!(authorization(page), None, "{page}");
        }
    }

    #[test]
    fn only_pages_of_the_workspace_are_accepted() {
        for (text, want) in [
            ("/", "/"),
            ("/trail", "/trail"),
            ("/credentials/tokens?search=a%20b&sort=name", "/credentials/tokens?search=a%20b&sort=name"),
            (
                "/oauth/authorize?redirect_uri=https%3A%2F%2Fapp.example.com%2F&state=x",
                "/oauth/authorize?redirect_uri=https%3A%2F%2Fapp.example.com%2F&state=x",
            ),
            ("/trail#top", "/trail"),
            ("/a/../trail", "/trail"),
            ("/loginx", "/loginx"),
            ("/%2f%2fevil.example", "/%2f%2fevil.example"),
            ("/oauth/authorize", "/oauth/authorize"),
        ] {
            assert_eq!(own_page(text).as_deref(), Some(want), "{text}");
        }
        for text in [
            "",
            "trail",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/.//evil.example",
            "/a/..//evil.example",
            "/%2e//evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " /trail",
            "/ /evil.example",
            "https://evil.example/",
            "https:evil.example",
            "javascript:alert(1)",
            "//user@evil.example",
            "//evil.example/oauth/authorize?a",
            "https://evil.example/oauth/authorize?a",
            "/\\evil.example/oauth/authorize?a",
            "/oauth/authorize?a\r\nSet-Cookie: b",
            "/login",
            "/login/start?return_to=/",
            "/x/../login?link=a",
            "/logout",
            "/assets/console.js",
        ] {
            assert_eq!(own_page(text), None, "{text:?}");
        }
        assert_eq!(own_page(&format!("/{}", "a".repeat(3000))), None);
    }
}
