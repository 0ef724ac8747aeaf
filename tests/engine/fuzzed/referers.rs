//! `Referer` headers, entries, and sets of entries.

use std::cell::Cell;

use portcullis::referer::naive::{self, Acceptance};
use portcullis::referer::{Entry, Referer, RefererSet};
use url::{Position, SyntaxViolation, Url};

use super::Parts;
use crate::choices::Choices;
use crate::texts;

const MAX_ENTRIES: usize = 48;

/// Reads an input: a header, choices, and entries. If the header or the entries are missing, the choices generate them.
pub(crate) fn property(input: &[u8]) {
    let mut parts = Parts::of(input);
    let (header, mut choices) = (parts.text(), Choices::of(parts.bytes()));
    let mut entries = Vec::new();
    while parts.more() && entries.len() < MAX_ENTRIES {
        entries.push(parts.text().into_owned());
    }
    if entries.is_empty() {
        // Short lists are scanned, and long ones are searched.
        let (common, max) = choices.pick(&[(false, 3), (true, 24)]);
        for _ in 0..=choices.below(max) {
            entries.push(if common { texts::common_entry(&mut choices) } else { texts::entry(&mut choices) });
        }
    }
    let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
    let near = choices.pick(&entries);
    let near = texts::near_referer(&mut choices, if header.is_empty() { near } else { &header });
    for header in [&header, near.as_str()] {
        check_header(header);
        check(&entries, header);
    }
}

/// The parser of headers agrees with a parser of the WHATWG URL rules.
pub(crate) fn check_header(header: &str) {
    let found = Referer::parse(header);
    let found = found
        .as_ref()
        .map(|referer| (referer.scheme().as_str(), referer.host(), referer.port(), referer.path_and_query()));
    let expected = slow(header);
    // The crate `url` does not remove a segment such as `C:` before `..`. The web-platform-tests cover these paths.
    let has_drive = |url: &Url| {
        let is_drive = |segment: &str| matches!(segment.as_bytes(), [b'A'..=b'Z' | b'a'..=b'z', b':' | b'|']);
        url.path_segments().is_some_and(|mut segments| segments.any(is_drive))
    };
    if expected.as_ref().is_some_and(has_drive) {
        return;
    }
    // It encodes a path by an earlier version of the rules, in which `^` stays.
    let path_and_query = expected.as_ref().map(|url| {
        let query = &url[Position::AfterPath..Position::AfterQuery];
        url.path().replace('^', "%5E") + query
    });
    let expected = expected
        .as_ref()
        .zip(path_and_query.as_deref())
        .map(|(url, path_and_query)| (url.scheme(), url.host_str().unwrap_or_default(), url.port(), path_and_query));
    assert_eq!(found, expected, "{header:?}");
}

/// Parses an absolute `http` or `https` URL. `None` if it has user info, even an empty one.
fn slow(header: &str) -> Option<Url> {
    let user_info = Cell::new(false);
    let note = |violation| user_info.set(user_info.get() || violation == SyntaxViolation::EmbeddedCredentials);
    let url = Url::options().syntax_violation_callback(Some(&note)).parse(header).ok()?;
    (matches!(url.scheme(), "http" | "https") && !user_info.get()).then_some(url)
}

/// The parsers of entries agree. The set matches the header if and only if a single entry and the naive matcher do.
pub(crate) fn check(entries: &[&str], header: &str) {
    let parsed: Vec<Option<Entry>> = entries.iter().map(|entry| entry.parse().ok()).collect();
    for (entry, parsed) in entries.iter().zip(&parsed) {
        assert_eq!(parsed.is_some(), naive::is_entry(entry), "entry {entry:?}");
        if let Some(parsed) = parsed {
            let again: Option<Entry> = parsed.as_str().parse().ok();
            assert_eq!(again.as_ref(), Some(parsed), "entry {entry:?}");
        }
    }
    let valid: Vec<&str> = entries.iter().copied().filter(|entry| naive::is_entry(entry)).collect();
    if valid.is_empty() || header.is_empty() {
        return;
    }
    let set = RefererSet::new(parsed.iter().flatten().cloned());
    let referer = Referer::parse(header);
    let found = referer.as_ref().is_some_and(|referer| set.matches(referer));
    let expected = naive::accepts(&valid, Some(header)) == Acceptance::Accepted;
    assert_eq!(found, expected, "{header:?} by {entries:?}");
    let by_one = referer.is_some_and(|referer| parsed.iter().flatten().any(|entry| entry.matches(&referer)));
    assert_eq!(by_one, expected, "{header:?} by each of {entries:?}");
}
