//! Conditional requests: `ETag`, `If-Match` and `If-None-Match` (RFC 9110).

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::problem::Problem;

/// The versions that a caller accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// Any version, written `*`.
    Any,
    /// One of these versions.
    Versions(Vec<String>),
}

/// Returns the strong `ETag` of a version.
pub(crate) fn etag(version: &str) -> String {
    format!("\"{version}\"")
}

/// Reads `If-Match`, which a change requires: no change overwrites another one unseen.
///
/// # Errors
///
/// If the header is missing.
pub(crate) fn required(headers: &HeaderMap) -> Result<Accepted, Problem> {
    read(headers, &IF_MATCH).ok_or_else(|| {
        Problem::new(
            StatusCode::PRECONDITION_REQUIRED,
            "if_match_required",
            "the change has no `If-Match` header",
            "send the `ETag` of the version that you have read: `If-Match: \"…\"`",
        )
    })
}

/// Reads `If-Match` where it is optional.
pub(crate) fn optional(headers: &HeaderMap) -> Accepted {
    read(headers, &IF_MATCH).unwrap_or(Accepted::Any)
}

/// Whether the caller has the version already (`If-None-Match`).
pub(crate) fn is_known(headers: &HeaderMap, version: &str) -> bool {
    match read(headers, &IF_NONE_MATCH) {
        None => false,
        Some(Accepted::Any) => true,
        Some(Accepted::Versions(versions)) => versions.iter().any(|known| known == version),
    }
}

impl Accepted {
    /// Returns the versions that a change may be made to; `None` for every version.
    pub(crate) fn versions(&self) -> Option<&[String]> {
        match self {
            Self::Any => None,
            Self::Versions(versions) => Some(versions),
        }
    }
}

/// Reads a list of entity tags. Weak ones, and texts that are not entity tags, match nothing.
fn read(headers: &HeaderMap, name: &HeaderName) -> Option<Accepted> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts: Vec<&str> = values.map(|value| value.to_str().unwrap_or_default().trim()).collect();
    if texts == ["*"] {
        return Some(Accepted::Any);
    }
    let tags = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    let strong = tags.filter_map(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
    Some(Accepted::Versions(strong.map(ToOwned::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_strong_tags_of_the_current_version_match() {
        assert_eq!(required(&headers(&[])).unwrap_err().status(), 428);
        for (values, matches, why) in [
            (&["\"v1\""][..], true, "the current version"),
            (&["\"v0\", \"v1\""], true, "a list"),
            (&["\"v0\"", "\"v1\""], true, "two headers"),
            (&["*"], true, "any version"),
            (&["\"v0\""], false, "another version"),
            (&["W/\"v1\""], false, "a weak tag"),
            (&["v1"], false, "no quotes"),
            (&[""], false, "an empty header"),
            (&["*, \"v0\""], false, "a star in a list"),
        ] {
            let accepted = required(&headers(values)).unwrap();
            let found = accepted.versions().is_none_or(|versions| versions.iter().any(|version| version == "v1"));
            assert_eq!(found, matches, "{why}: {values:?}");
        }
    }
}
