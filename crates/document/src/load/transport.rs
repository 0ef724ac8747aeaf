//! Texts that HTTP requests cannot carry: a grant or a token with one is never asked for.

use portcullis::base::{SegmentFault, quoted};

/// The segment of the maps API that is not a connection: public maps are below it (W1).
const PUBLIC: &str = "public";

/// A connection whose name no path of an HTTP request can carry.
pub struct UnreachableConnection {
    /// The problem.
    pub message: String,
    /// The fix.
    pub help: &'static str,
}

impl UnreachableConnection {
    /// Describes why no path names the connection `name`; `None` if one can.
    ///
    /// ```
    /// use portcullis_document::load::UnreachableConnection;
    ///
    /// assert!(UnreachableConnection::of("carto_dw").is_none());
    /// let warning = UnreachableConnection::of("a/b").unwrap();
    /// assert_eq!(warning.message, "no path of an HTTP request names connection `a/b`: it has a slash or a backslash");
    /// ```
    pub fn of(name: &str) -> Option<Self> {
        let (requests, why) = match not_in_urls(name) {
            Some(why) => ("an HTTP request", why),
            None if name == PUBLIC => ("a request for maps", "`/v3/maps/public` has the public maps"),
            None => return None,
        };
        Some(Self {
            message: format!("no path of {requests} names connection {}: {why}", quoted(name)),
            help: "rename it with letters, digits, `_` and `-`, such as `carto_dw`",
        })
    }
}

fn not_in_urls(name: &str) -> Option<&'static str> {
    Some(match SegmentFault::of(name)? {
        SegmentFault::Slash => "it has a slash or a backslash",
        SegmentFault::Semicolon => "it has a semicolon",
        SegmentFault::Control => "it has a control character",
        SegmentFault::Dots => "servers read it as a folder",
    })
}

/// Describes why no `Authorization` header carries `secret`, without repeating it; `None` if one can (W4).
///
/// ```
/// use portcullis_document::load::not_in_headers;
///
/// assert_eq!(not_in_headers("s3cret"), None);
/// assert_eq!(not_in_headers("Bearer s3cret"), Some("it starts with `Bearer `, which is not a part of the secret"));
/// ```
pub fn not_in_headers(secret: &str) -> Option<&'static str> {
    let scheme = secret.split_once([' ', '\t']).map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer")) {
        return Some("it starts with `Bearer `, which is not a part of the secret");
    }
    if secret.starts_with('\u{feff}') {
        return Some("it starts with a byte order mark");
    }
    if secret.trim() != secret {
        return Some("it has blanks around it");
    }
    secret.chars().find_map(|character| match character {
        ',' => Some("it has a comma, which joins two headers"),
        '!'..='~' => None,
        blank if blank.is_whitespace() => Some("it has a blank"),
        control if control.is_control() => Some("it has a control character"),
        _ => Some("it has a character beyond ASCII"),
    })
}
