//! Bodies of forwarded requests: read for the decision, or streamed.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::MapFrame;
use http_body_util::{BodyExt, Either, Full};

use crate::answer::read;

/// The body of a forwarded request: read for the decision, or streamed. Neither has trailers: some servers read them as
/// headers, which were not checked.
pub type RequestBody<B> = Either<ReadBody, WithoutTrailers<B>>;

/// A body whose trailers are dropped.
pub type WithoutTrailers<B> = MapFrame<B, fn(Frame<Bytes>) -> Frame<Bytes>>;

/// The body of a response: the layer's own, or that of the inner service.
pub type ResponseBody<R> = Either<Full<Bytes>, R>;

/// A body that was read for a decision.
#[derive(Debug)]
pub struct ReadBody {
    bytes: Bytes,
}

/// Drops the trailers of `body`: an empty frame of data replaces them.
pub(super) fn without_trailers<B: Body<Data = Bytes>>(body: B) -> WithoutTrailers<B> {
    body.map_frame(|frame| Frame::data(frame.into_data().unwrap_or_default()))
}

impl ReadBody {
    pub(super) async fn read<B>(body: B, most: usize) -> Result<Self, Response<Full<Bytes>>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        Ok(Self { bytes: read(body, most).await?.to_bytes() })
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
        Poll::Ready(Some(bytes).filter(|bytes| !bytes.is_empty()).map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}
