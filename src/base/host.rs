//! Host names and ports that browsers send.

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

/// The ports on which browsers open no page: the port blocking list of the Fetch standard.
const BLOCKED_PORTS: [u16; 83] = [
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// Whether browsers open pages on `port`.
///
/// ```
/// use portcullis::base::is_browsed_port;
///
/// assert!(is_browsed_port(8080) && !is_browsed_port(0) && !is_browsed_port(6000));
/// ```
pub fn is_browsed_port(port: u16) -> bool {
    BLOCKED_PORTS.binary_search(&port).is_err()
}

#[cfg(test)]
mod tests {
    use super::{BLOCKED_PORTS, is_browsed_host, is_browsed_port};

    #[test]
    fn blocked_ports_are_sorted_and_common_ports_are_browsed() {
        assert!(BLOCKED_PORTS.is_sorted());
        assert!(BLOCKED_PORTS.iter().all(|port| !is_browsed_port(*port)));
        assert!([80, 443, 3000, 5173, 8000, 8080, 8443, 10081, 65535].into_iter().all(is_browsed_port));
    }

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
