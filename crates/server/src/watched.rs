//! A stream that reports to its [`Connection`] when an HTTP request stops half-way, or the client stops reading.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Connection;

/// A stream, and the connection that it reports to.
pub(super) struct Watched<S> {
    stream: S,
    connection: Arc<Connection>,
    protocol: Protocol,
}

/// The state of the input, as far as it decides whether a message is incomplete.
enum Protocol {
    /// Only this number of bytes of the HTTP/2 preface has arrived.
    Unknown(usize),
    Http1,
    Http2(Frames),
}

/// The preface that starts every HTTP/2 connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl<S> Watched<S> {
    pub(super) fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self { stream, connection, protocol: Protocol::Unknown(0) }
    }

    fn received(&mut self, bytes: &[u8]) {
        let rest = match &mut self.protocol {
            Protocol::Http1 => return self.connection.bytes_came(),
            Protocol::Http2(_) => bytes,
            Protocol::Unknown(read) => {
                let expected = PREFACE.get(*read..).unwrap_or_default();
                let length = expected.len().min(bytes.len());
                let (start, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
                if !expected.starts_with(start) {
                    self.protocol = Protocol::Http1;
                    return self.connection.bytes_came();
                }
                *read += length;
                if *read < PREFACE.len() {
                    return self.connection.bytes_came();
                }
                self.connection.is_complete();
                self.protocol = Protocol::Http2(Frames::default());
                rest
            }
        };
        if let Protocol::Http2(frames) = &mut self.protocol {
            if frames.read(rest) {
                self.connection.is_complete();
            }
            if frames.is_incomplete() {
                self.connection.is_incomplete();
            }
        }
    }

    fn note_write<T>(&self, polled: &Poll<io::Result<T>>) {
        match polled {
            Poll::Pending => self.connection.is_blocked(),
            Poll::Ready(_) => self.connection.is_unblocked(),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, into);
        let read = into.filled().get(before..).unwrap_or_default();
        if !read.is_empty() {
            self.received(read);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_write(&polled);
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        if polled.is_pending() {
            self.note_write(&polled);
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(context);
        if polled.is_pending() {
            self.note_write(&polled);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_write(&polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The boundaries of HTTP/2 frames (RFC 9113, 4.1).
#[derive(Debug, Default)]
struct Frames {
    /// The bytes of a frame's header that were read.
    header: [u8; HEADER],
    header_read: usize,
    /// The number of bytes of the frame's payload that are still to come.
    payload: usize,
    /// Whether a block of header fields has started and not ended.
    in_block: bool,
}

/// The size of a frame's header, in bytes.
const HEADER: usize = 9;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

impl Frames {
    /// Reads `bytes`. Returns whether all input was complete at some point.
    fn read(&mut self, mut bytes: &[u8]) -> bool {
        let mut was_complete = false;
        while !bytes.is_empty() {
            if self.header_read < HEADER {
                let wanted = self.header.get_mut(self.header_read..).unwrap_or_default();
                let length = wanted.len().min(bytes.len());
                let (start, rest) = bytes.split_at_checked(length).unwrap_or((bytes, &[]));
                wanted.iter_mut().zip(start).for_each(|(to, from)| *to = *from);
                self.header_read += length;
                bytes = rest;
                if self.header_read == HEADER {
                    self.start();
                }
            } else {
                let length = self.payload.min(bytes.len());
                self.payload -= length;
                bytes = bytes.get(length..).unwrap_or_default();
            }
            if self.header_read == HEADER && self.payload == 0 {
                self.header_read = 0;
                was_complete |= !self.in_block;
            }
        }
        was_complete
    }

    /// Starts a frame after its header was read.
    fn start(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.payload = u32::from_be_bytes([0, high, middle, low]) as usize;
        if kind == HEADERS || kind == CONTINUATION {
            self.in_block = flags & END_HEADERS == 0;
        }
    }

    fn is_incomplete(&self) -> bool {
        self.in_block || self.header_read > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a frame with this type, these flags and this payload length.
    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        frame.resize(HEADER + usize::from(length), 7);
        frame
    }

    #[test]
    fn incomplete_frames_and_header_blocks_are_found_however_bytes_arrive() {
        // The input, whether it ends incomplete, and whether it was complete at some point.
        let cases = [
            (vec![frame(4, 0, 6)], false, true),
            (vec![frame(4, 0, 0)], false, true),
            (vec![frame(HEADERS, END_HEADERS, 20)], false, true),
            (vec![frame(HEADERS, 0, 20)], true, false),
            (vec![frame(HEADERS, 0, 20), frame(CONTINUATION, 0, 3)], true, false),
            (vec![frame(HEADERS, 0, 20), frame(CONTINUATION, END_HEADERS, 3)], false, true),
            (vec![frame(0, 0, 200), frame(HEADERS, 1, 0)], true, true),
            (vec![vec![0, 0]], true, false),
            (vec![frame(8, 0, 4), vec![0, 0, 9, 0, 0, 0, 0, 0, 1, 2]], true, true),
        ];
        for (frames, incomplete, complete) in cases {
            let bytes = frames.concat();
            for size in 1..=bytes.len() {
                let mut read = Frames::default();
                let was_complete = bytes.chunks(size).map(|chunk| read.read(chunk)).fold(false, |any, it| any | it);
                assert_eq!((read.is_incomplete(), was_complete), (incomplete, complete), "{frames:?} by {size}");
            }
        }
    }
}
