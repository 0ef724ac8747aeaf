//! Host names that browsers send.

/// The limits of a host name and of one of its labels, in bytes (RFC 1035).
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// Whether a browser may send a request to `host`, which URL parsing returned: an IP address, or a name whose labels are
/// letters, digits, `-` and `_`, and neither start nor end with `-`. URL parsing accepts more.
///
/// ```
/// use portcullis::base::is_browsed_host;
///
/// assert!(is_browsed_host("app.example.com") && is_browsed_host("127.0.0.1") && is_browsed_host("[::1]"));
/// assert!(!is_browsed_host(".example.com") && !is_browsed_host("{tenant}.example.com"));
/// ```
pub fn is_browsed_host(host: &str) -> bool {
    if host.starts_with('[') {
        return host.ends_with(']');
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= MAX_HOST && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::is_browsed_host;

    #[test]
    fn only_hosts_that_browsers_send_are_accepted() {
        let long = "a".repeat(63);
        for host in ["a", "a.com", "a.com.", "my_app.local", "a--b.com", "xn--bcher-kva.com", "1.2.3.4", "[::1]", &long]
        {
            assert!(is_browsed_host(host), "{host}");
        }
        let longer = format!("{long}a.com");
        let longest = [long.as_str(); 4].join(".") + ".com";
        for host in [
            "", ".", ".a.com", "a..com", "a.com..", "-a.com", "a-.com", "a.-b.com", "{x}.com", "$x.com", "a!b.com",
            "*.com", "a'b.com", "(a).com", "é.com", "[::1", &longer, &longest,
        ] {
            assert!(!is_browsed_host(host), "{host}");
        }
    }
}
