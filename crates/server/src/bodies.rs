//! Bodies whose bytes are counted while they are in memory: of arriving requests, and of unread responses.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::{Active, Connection, Ending, Waiting};

/// The memory of an unread response in addition to its body, in bytes.
const ANSWER: usize = 4096;

/// The bytes of a request's body. Dropping it returns them to the budget.
#[derive(Debug)]
pub(super) struct Charge {
    connection: Arc<Connection>,
    bytes: AtomicUsize,
    refused: AtomicBool,
}

impl Charge {
    /// Whether the budget had no room for the body.
    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.connection.give_back(*self.bytes.get_mut());
    }
}

/// The body of an arriving request.
#[derive(Debug)]
struct Arriving {
    body: Incoming,
    charge: Arc<Charge>,
}

/// Returns a body for a handler, whose bytes are charged to `connection` as they arrive.
pub(super) fn arriving(body: Incoming, connection: &Arc<Connection>) -> (Body, Option<Arc<Charge>>) {
    if body.is_end_stream() {
        return (Body::empty(), None);
    }
    let charge =
        Charge { connection: Arc::clone(connection), bytes: AtomicUsize::new(0), refused: AtomicBool::new(false) };
    let charge = Arc::new(charge);
    (Body::new(Arriving { body, charge: Arc::clone(&charge) }), Some(charge))
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            if !self.charge.connection.take(data.len()) {
                self.charge.refused.store(true, Relaxed);
                return Poll::Ready(Some(Err("there is no room for the body".into())));
            }
            self.charge.bytes.fetch_add(data.len(), Relaxed);
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an unread response.
struct Leaving {
    body: Body,
    waiting: Arc<Waiting>,
}

/// Bytes of a response's body: counted until the last reference to them is dropped, wherever it is.
struct Held {
    bytes: Bytes,
    _waiting: Arc<Waiting>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns the response with a body that is counted until it was read; `None` if the budget has no room for it.
pub(super) fn leaving(response: Response, active: Active, ending: Ending) -> Option<Response> {
    if response.body().is_end_stream() {
        return Some(response);
    }
    let bytes = usize::try_from(response.body().size_hint().lower()).unwrap_or(usize::MAX);
    let waiting = Arc::new(Waiting::new(active, bytes.saturating_add(ANSWER), ending)?);
    Some(response.map(|body| Body::new(Leaving { body, waiting })))
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let held = |bytes| Bytes::from_owner(Held { bytes, _waiting: Arc::clone(&self.waiting) });
        polled.map_ok(|frame| frame.map_data(held))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
