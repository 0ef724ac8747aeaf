//! The agent of HAProxy's Stream Processing Offload Engine.

mod answer;
mod conversation;

use std::pin::pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::connection::Connection;
use super::gate::Gate;
use super::http::Shared;
use super::protocol::Protocol;
use super::supervision::{Times, supervise};
use answer::Answers;
use conversation::Conversation;

/// Decides the requests that HAProxy sends.
#[derive(Debug, Clone)]
pub(super) struct Agent {
    answers: Answers,
    gate: Gate,
    stop: watch::Receiver<bool>,
}

impl Agent {
    pub(super) fn new(shared: Arc<Shared>, gate: Gate, stop: watch::Receiver<bool>) -> Self {
        Self { answers: Answers { shared, gate: gate.clone() }, gate, stop }
    }
}

impl Protocol for Agent {
    // HAProxy tries again when the connection is closed.
    const REFUSAL: &'static [u8] = b"";

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        stream: S,
        connection: Arc<Connection>,
    ) {
        let Self { answers, gate, stop } = self;
        let (ending, ended) = watch::channel(false);
        let conversation = Conversation::new(stream, answers, &gate, Arc::clone(&connection));
        let conversation = pin!(conversation.run(ended));
        let end = |_: std::pin::Pin<&mut _>| {
            ending.send_replace(true);
        };
        let times = Times::of(gate.limits());
        if let Some(Err(error)) = supervise(conversation, end, &connection, &gate, times, stop).await {
            tracing::debug!("a connection of HAProxy ended: {error}");
        }
    }
}
