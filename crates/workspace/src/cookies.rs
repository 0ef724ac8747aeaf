//! Cookies of requests.

use http::HeaderMap;
use http::header::COOKIE;

/// Returns the value of the cookie `name`. Two cookies of one name count as none: another site of the domain may have set one.
pub(crate) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut found = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned());
    found.next().filter(|_| found.next().is_none())
}
