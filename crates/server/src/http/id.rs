//! The ids of a request.

use axum::http::{HeaderMap, HeaderValue};

use crate::decided::Ids;

/// The header with the id of a request.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// The maximum length of the id of a request, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// Reads the ids that the gateway sent: `X-Request-ID`, and the trace of the request (W3C Trace Context).
pub(super) fn ids_of(headers: &HeaderMap) -> Ids<'_> {
    ids_by(|name| only(headers, name)?.to_str().ok())
}

/// Reads the ids with `find`, which returns the value of a header that occurs once.
pub(crate) fn ids_by<'h>(find: impl Fn(&str) -> Option<&'h str>) -> Ids<'h> {
    Ids { request: find(REQUEST_ID).filter(|id| is_request_id(id)), trace: find("traceparent").and_then(trace) }
}

/// Returns the `X-Request-ID` that a response repeats: the id that is logged.
pub(crate) fn repeated(headers: &HeaderMap) -> Option<&HeaderValue> {
    only(headers, REQUEST_ID).filter(|id| id.to_str().is_ok_and(is_request_id))
}

/// Whether a log can hold the id of a request: visible ASCII of limited length.
pub(crate) fn is_request_id(id: &str) -> bool {
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

fn only<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Returns the id of the trace in `00-<trace>-<parent>-<flags>`; `None` if W3C Trace Context calls the header invalid.
fn trace(header: &str) -> Option<&str> {
    /// The length of a header of version 00, and of the known part of later versions.
    const LENGTH: usize = 55;
    let (known, more) = header.split_at_checked(LENGTH)?;
    let mut parts = known.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let is_known = is_hex(version, 2) && version != "ff" && is_hex(flags, 2) && parts.next().is_none();
    let ids = is_hex(trace, 32) && !is_zero(trace) && is_hex(parent, 16) && !is_zero(parent);
    // Later versions may add parts.
    let ends = more.is_empty() || version != "00" && more.starts_with('-');
    (is_known && ids && ends).then_some(trace)
}

#[cfg(test)]
mod tests {
    use super::{is_request_id, trace};

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn only_valid_trace_parents_have_a_trace() {
        let valid = format!("00-{TRACE}-b7ad6b7169203331-01");
        for (header, why) in [
            (valid.clone(), "version 00"),
            (valid.replace("-01", "-ff"), "unknown flags"),
            (valid.replace("00-0", "01-0"), "a later version"),
            (valid.replace("00-0", "cc-0") + "-what-the-future-holds", "a later version with more parts"),
            (valid.replace("00-0", "cc-0") + "-", "a later version with an empty part"),
        ] {
            assert_eq!(trace(&header), Some(TRACE), "{why}: {header}");
        }
        for (header, why) in [
            (String::new(), "empty"),
            (TRACE.to_owned(), "a trace alone"),
            (valid.replace("00-0", "ff-0"), "version ff"),
            (valid.replace("00-0", "0-0"), "a short version"),
            (valid.replace("00-0", "0G-0"), "a version that is not hexadecimal"),
            (valid.to_uppercase(), "upper case"),
            (valid.replace("0af", "0AF"), "an upper-case trace"),
            (valid.replace("b7a", "B7A"), "an upper-case parent"),
            (valid.replace(TRACE, &"0".repeat(32)), "a trace of zeros"),
            (valid.replace("b7ad6b7169203331", &"0".repeat(16)), "a parent of zeros"),
            (valid.replace("-01", "-1"), "short flags"),
            (valid.replace("-01", "-0g"), "flags that are not hexadecimal"),
            (valid.clone() + "-01", "more parts than version 00 has"),
            (valid.clone() + "0", "more digits than version 00 has"),
            (valid.replace("00-0", "cc-0") + ".x", "a later version, continued without a dash"),
            (valid.replace('-', "_"), "other separators"),
            (valid.replace("b7ad6b", "b7-d6b"), "a dash in the parent"),
            (format!(" {valid}"), "a space before"),
            (valid.replace("b7ad6b71692033", "é7ad6b716920"), "beyond ASCII"),
        ] {
            assert_eq!(trace(&header), None, "{why}: {header}");
        }
    }

    #[test]
    fn request_ids_are_short_and_visible() {
        for id in ["r-7", "5f0c/+=:.~", &"x".repeat(128)] {
            assert!(is_request_id(id), "{id}");
        }
        for id in ["", "a b", "a\tb", "a\u{7f}", "é", "\u{202e}x", &"x".repeat(129)] {
            assert!(!is_request_id(id), "{id:?}");
        }
    }
}
