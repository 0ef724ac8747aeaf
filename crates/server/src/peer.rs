//! The address of a client.

use std::net::IpAddr;

/// The address of the client of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);
