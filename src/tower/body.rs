//! Bodies that go on after they were read, beside those that were not.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};

use crate::answer::read;

/// The body of a request that goes on: read, or as it comes.
pub type RequestBody<B> = Either<ReadBody, B>;

/// The body of an answer: the layer's own, or that of the service inside.
pub type ResponseBody<R> = Either<Full<Bytes>, R>;

/// A body that was read for a decision: the bytes and trailers that came.
#[derive(Debug)]
pub struct ReadBody {
    bytes: Bytes,
    trailers: Option<HeaderMap>,
}

impl ReadBody {
    pub(super) async fn read<B>(body: B, most: usize) -> Result<Self, Response<Full<Bytes>>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let collected = read(body, most).await?;
        let trailers = collected.trailers().cloned();
        Ok(Self { bytes: collected.to_bytes(), trailers })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Body for ReadBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.bytes);
        let frame = if bytes.is_empty() { self.trailers.take().map(Frame::trailers) } else { Some(Frame::data(bytes)) };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
