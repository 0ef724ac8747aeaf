//! Looks up headers by name.

use portcullis_http::gateway::Headers;

/// Returns the last value of a header.
pub(super) fn last<'h>(headers: &'h dyn Headers, wanted: &str) -> Option<&'h str> {
    values(headers, wanted).pop().flatten()
}

/// Returns the value of a header that occurs once.
pub(super) fn only<'h>(headers: &'h dyn Headers, wanted: &str) -> Option<&'h str> {
    match *values(headers, wanted).as_slice() {
        [value] => value,
        _ => None,
    }
}

/// Returns the values of a header, without the text of those that are not UTF-8.
fn values<'h>(headers: &'h dyn Headers, wanted: &str) -> Vec<Option<&'h str>> {
    let mut found = Vec::new();
    headers.for_each(&mut |name, value| {
        if name.eq_ignore_ascii_case(wanted) {
            found.push(std::str::from_utf8(value).ok());
        }
    });
    found
}
