//! The frames of one connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::watch;

use super::answer::Answers;
use crate::connection::Connection;
use crate::gate::Gate;
use portcullis_http::spop::{Frame, LENGTH, MIN_FRAME, Status, agent_disconnect, agent_hello};

/// The size of the buffer that receives frames, and of answers that are sent together, in bytes.
const BUFFER: usize = 16 << 10;

/// The size of a frame in addition to the limits of headers and body, in bytes.
const REST: usize = 4096;

/// The time for HAProxy to close a connection that the agent has ended.
const LINGER: Duration = Duration::from_secs(1);

/// One connection of HAProxy: frames, and their answers.
pub(super) struct Conversation<S> {
    stream: BufReader<S>,
    answers: Answers,
    connection: Arc<Connection>,
    /// The maximum size of a frame: before the introduction, the agent's.
    max_frame: u32,
    is_introduced: bool,
    frame: Vec<u8>,
    /// The memory of a long frame.
    charge: Option<Charge>,
    /// The answers that are not sent yet.
    out: Vec<u8>,
}

/// Bytes of a frame. Dropping it returns them to the budgets of the connection and of its listener.
struct Charge {
    connection: Arc<Connection>,
    bytes: usize,
}

impl Charge {
    fn take(connection: &Arc<Connection>, bytes: usize) -> Option<Self> {
        connection.take(bytes).then(|| Self { connection: Arc::clone(connection), bytes })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.connection.give_back(self.bytes);
    }
}

/// Why no frame is read.
enum NoFrame {
    /// HAProxy closed the connection between frames.
    Closed,
    /// The agent ends the connection with this status.
    Ended(Status),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<S> {
    pub(super) fn new(stream: S, answers: Answers, gate: &Gate, connection: Arc<Connection>) -> Self {
        let limits = gate.limits();
        let max_frame = limits.body_bytes.saturating_add(limits.header_bytes).saturating_add(REST);
        Self {
            stream: BufReader::with_capacity(BUFFER, stream),
            answers,
            connection,
            max_frame: u32::try_from(max_frame).unwrap_or(u32::MAX).max(MIN_FRAME),
            is_introduced: false,
            frame: Vec::new(),
            charge: None,
            out: Vec::new(),
        }
    }

    /// Answers frames until HAProxy or the server ends the connection.
    pub(super) async fn run(mut self, mut ending: watch::Receiver<bool>) -> io::Result<()> {
        // The introduction must arrive in time.
        self.connection.is_incomplete();
        loop {
            let status = match self.receive(&mut ending).await? {
                Ok(()) => match self.handle().await {
                    Ok(true) => continue,
                    Ok(false) => None,
                    Err(status) => Some(status),
                },
                Err(NoFrame::Closed) => return Ok(()),
                Err(NoFrame::Ended(status)) => Some(status),
            };
            if let Some(status) = status {
                tracing::debug!("a connection of HAProxy is closed: {status}");
                agent_disconnect(status, &mut self.out);
            }
            self.send().await?;
            self.stream.shutdown().await?;
            // Frames that arrive until HAProxy closes the connection would reset it, and lose the last answers.
            let mut nowhere = tokio::io::sink();
            let rest = tokio::io::copy_buf(&mut self.stream, &mut nowhere);
            let _ = tokio::time::timeout(LINGER, rest).await;
            return Ok(());
        }
    }

    /// Reads the next frame into `self.frame`. Sends the answers before it waits.
    async fn receive(&mut self, ending: &mut watch::Receiver<bool>) -> io::Result<Result<(), NoFrame>> {
        let is_waiting = self.stream.buffer().is_empty();
        if is_waiting || self.out.len() > BUFFER {
            self.send().await?;
        }
        if is_waiting {
            let received = tokio::select! {
                received = self.stream.fill_buf() => received?.len(),
                _ = ending.wait_for(|is_ending| *is_ending) => return Ok(Err(NoFrame::Ended(Status::Normal))),
            };
            if received == 0 {
                return Ok(Err(NoFrame::Closed));
            }
        }
        let is_complete = self.buffered().is_some_and(|(length, rest)| rest >= length);
        if !is_complete {
            self.send().await?;
            self.connection.is_incomplete();
        }
        let mut length = [0; LENGTH];
        self.stream.read_exact(&mut length).await?;
        let length = u32::from_be_bytes(length);
        if length > self.max_frame {
            return Ok(Err(NoFrame::Ended(Status::TooBig)));
        }
        let length = length as usize;
        if length > BUFFER {
            self.charge = Charge::take(&self.connection, length);
            if self.charge.is_none() {
                self.answers.gate.shed();
                return Ok(Err(NoFrame::Ended(Status::Resources)));
            }
        }
        self.frame.resize(length, 0);
        self.stream.read_exact(&mut self.frame).await?;
        self.connection.is_complete();
        Ok(Ok(()))
    }

    /// Returns the length of the next frame, and the number of its bytes that are buffered.
    fn buffered(&self) -> Option<(usize, usize)> {
        let (length, rest) = self.stream.buffer().split_first_chunk::<LENGTH>()?;
        Some((u32::from_be_bytes(*length) as usize, rest.len()))
    }

    /// Answers the frame that was read. Returns whether more frames follow.
    async fn handle(&mut self) -> Result<bool, Status> {
        let active = self.connection.activate(false);
        let frame = std::mem::take(&mut self.frame);
        let handled = match Frame::read(&frame) {
            Ok(Frame::Notify(notify)) if self.is_introduced => {
                self.answers.answer(&notify, self.max_frame, &mut self.out).await.map(|()| true)
            }
            Ok(Frame::Hello(hello)) if !self.is_introduced => {
                self.is_introduced = true;
                self.max_frame = self.max_frame.min(hello.max_frame_size);
                agent_hello(self.max_frame, &mut self.out);
                Ok(!hello.is_health_check)
            }
            Ok(Frame::Disconnect) => Err(Status::Normal),
            Ok(Frame::Notify(_) | Frame::Hello(_)) => Err(Status::Invalid),
            Err(status) => Err(status),
        };
        // The memory of a long frame is returned.
        if self.charge.take().is_none() {
            self.frame = frame;
        }
        drop(active);
        handled
    }

    async fn send(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.connection.is_blocked();
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await?;
            self.connection.is_unblocked();
            self.out.clear();
        }
        Ok(())
    }
}
