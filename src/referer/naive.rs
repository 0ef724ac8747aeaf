//! A naive matcher of referers, for tests: parses every entry again for every request (N7). Decisions do not use it.

use std::cell::Cell;

use url::{SyntaxViolation, Url};

use super::list::urls;
use super::url::with_standard_path;

/// Whether a list of entries accepts a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// The request is accepted: there is no entry, or an entry matches.
    Accepted,
    /// There are entries, and the request has no Referer.
    Missing,
    /// There are entries, and no entry matches.
    NotAllowed,
}

/// Returns whether `entries` accept a request with this `Referer` header (N7.6). An invalid entry matches nothing.
pub fn accepts(entries: &[&str], referer: Option<&str>) -> Acceptance {
    if entries.is_empty() {
        return Acceptance::Accepted;
    }
    let Some(referer) = referer.filter(|referer| !referer.is_empty()) else {
        return Acceptance::Missing;
    };
    let matched = web_url(referer).is_some_and(|referer| entries.iter().any(|entry| matches(entry, &referer)));
    if matched { Acceptance::Accepted } else { Acceptance::NotAllowed }
}

/// Returns whether `text` is a valid entry (N7.1, N7.5).
pub fn is_entry(text: &str) -> bool {
    entry(text).is_some()
}

/// Parses an absolute `http` or `https` URL without user info. An `@` with nothing before it is user info too.
fn web_url(text: &str) -> Option<Url> {
    let user_info = Cell::new(false);
    let note = |violation| {
        if violation == SyntaxViolation::EmbeddedCredentials {
            user_info.set(true);
        }
    };
    let url = Url::options().syntax_violation_callback(Some(&note)).parse(&with_standard_path(text)).ok()?;
    let web = url.scheme() == "http" || url.scheme() == "https";
    if web && !user_info.get() { Some(url) } else { None }
}

fn entry(text: &str) -> Option<Url> {
    let url = web_url(text)?;
    let host = url.host_str()?;
    let rest = host.strip_prefix("*.");
    let labels: Vec<&str> = rest.unwrap_or(host).split('.').collect();
    let is_rooted = labels.len() > 1 && labels.last() == Some(&"");
    let empty_labels = labels.iter().filter(|label| label.is_empty()).count();
    let has_empty_label = empty_labels > usize::from(is_rooted);
    let is_list = [text, url.as_str()].into_iter().any(|text| urls(text).is_some());
    let is_wrong = url.fragment().is_some() || rest.unwrap_or(host).contains('*') || has_empty_label || is_list;
    if is_wrong { None } else { Some(url) }
}

fn matches(text: &str, referer: &Url) -> bool {
    let Some(entry) = entry(text) else {
        return false;
    };
    same_origin(&entry, referer) && path_matches(&entry, referer)
}

fn same_origin(entry: &Url, referer: &Url) -> bool {
    let (Some(expected), Some(found)) = (entry.host_str(), referer.host_str()) else {
        return false;
    };
    let host = match expected.strip_prefix("*.") {
        None => found == expected,
        // One or more labels, none of them empty.
        Some(rest) => match found.strip_suffix(rest).and_then(|front| front.strip_suffix('.')) {
            Some(front) => front.split('.').all(|label| !label.is_empty()),
            None => false,
        },
    };
    host && entry.scheme() == referer.scheme() && entry.port_or_known_default() == referer.port_or_known_default()
}

fn path_matches(entry: &Url, referer: &Url) -> bool {
    match (entry.path(), entry.query()) {
        // A site (N7.2).
        ("/" | "/*", None) => true,
        // A part of one (N7.3).
        (path, None) if path.ends_with("/*") => {
            path.strip_suffix('*').is_some_and(|part| referer.path().starts_with(part))
        }
        // A page (N7.4).
        (path, query) => referer.path() == path && referer.query() == query,
    }
}
