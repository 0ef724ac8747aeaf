//! The protocol that clients of a listener speak.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::Connection;

/// Serves the connections of a listener.
pub(super) trait Protocol: Clone + Send + 'static {
    /// The bytes that a client without TLS receives if there are too many connections.
    const REFUSAL: &'static [u8];

    /// Serves one connection until the client or the server ends it.
    fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        connection: Arc<Connection>,
    ) -> impl Future<Output = ()> + Send;
}
