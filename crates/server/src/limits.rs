//! Resource limits.

use std::time::Duration;

/// Resource limits. A request beyond a limit is refused, never allowed.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The maximum size of a body, in bytes.
    pub body_bytes: usize,
    /// The maximum size of all headers of a request, in bytes.
    pub header_bytes: usize,
    /// The maximum number of headers of a request.
    pub headers: usize,
    /// The maximum number of open connections.
    pub connections: usize,
    /// The maximum number of concurrent requests.
    pub requests: usize,
    /// The maximum number of requests in a list, and of sources in a request.
    pub batch: usize,
    /// The maximum size of all bodies in memory, of requests and of unread responses, in bytes.
    pub buffered_bytes: usize,
    /// The maximum size of one connection's bodies in memory, in bytes.
    pub connection_buffered_bytes: usize,
    /// The time limit for each of these: a TLS handshake, the headers of a request, its body and decision, and reading the
    /// response.
    pub request_time: Duration,
    /// How long a connection may be idle between requests.
    pub idle_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            header_bytes: 64 << 10,
            headers: 128,
            connections: 4096,
            requests: 4096,
            batch: 1000,
            buffered_bytes: 256 << 20,
            connection_buffered_bytes: 32 << 20,
            request_time: Duration::from_secs(5),
            idle_time: Duration::from_secs(75),
        }
    }
}

/// The reason of a request whose headers are beyond a limit.
pub(super) const TOO_MANY_HEADERS: &str = "too_many_headers";

impl Limits {
    /// Checks the number and the size of a request's headers; returns the error for its client.
    pub(super) fn check_headers(&self, count: usize, bytes: usize) -> Result<(), String> {
        if count > self.headers {
            return Err(format!("the request has more than {} headers", self.headers));
        }
        if bytes > self.header_bytes {
            return Err(format!("the headers of the request have more than {} bytes", self.header_bytes));
        }
        Ok(())
    }
}
