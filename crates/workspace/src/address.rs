//! The name under which the requests of an address are counted.

use std::net::IpAddr;

use portcullis_server::site::Peer;

/// Returns the name of the address of a request. The addresses of an IPv6 network of 64 bits have one name: one machine may
/// use all of them. `None` is a Unix socket.
pub(crate) fn address_name(peer: Option<Peer>) -> String {
    match peer.map(|Peer(address)| address.to_canonical()) {
        None => "socket".to_owned(),
        Some(IpAddr::V4(address)) => address.to_string(),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Peer, address_name};

    #[test]
    fn a_network_of_one_machine_has_one_name() {
        let name = |text: &str| address_name(Some(Peer(text.parse().unwrap())));
        assert_eq!(name("203.0.113.7"), "203.0.113.7");
        assert_ne!(name("203.0.113.7"), name("203.0.113.8"));
        assert_eq!(name("::ffff:203.0.113.7"), "203.0.113.7", "an IPv4 address in another form");
        assert_eq!(name("2001:db8:0:1::1"), name("2001:db8:0:1:ffff::2"));
        assert_ne!(name("2001:db8:0:1::1"), name("2001:db8:0:2::1"));
        assert_eq!(address_name(None), "socket");
    }
}
