//! Frames.

use super::Status;
use super::data::{Data, Input, write_string, write_varint};

/// The size of the length before each frame, in bytes.
pub const LENGTH: usize = 4;

/// The smallest size of frames that peers may agree on, in bytes.
pub const MIN_FRAME: u32 = 256;

/// The version of the protocol.
const VERSION: &[u8] = b"2.0";

const HELLO: u8 = 1;
const DISCONNECT: u8 = 2;
const NOTIFY: u8 = 3;
const AGENT_HELLO: u8 = 101;
const AGENT_DISCONNECT: u8 = 102;
const ACK: u8 = 103;

/// The flag of a frame that is not continued.
const FIN: u32 = 1;
/// The flag of a frame that takes back an earlier part.
const ABORT: u32 = 2;

/// A frame from HAProxy, without the length before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'f> {
    /// The introduction: the first frame.
    Hello(Hello),
    /// A request.
    Notify(Notify<'f>),
    /// HAProxy no longer needs the connection.
    Disconnect,
}

/// What HAProxy offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The maximum size of a frame.
    pub max_frame_size: u32,
    /// Whether HAProxy only checks that the agent runs.
    pub is_health_check: bool,
}

/// A request: messages, which [`Check::read`](super::Check::read) reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notify<'f> {
    /// The id that the answer repeats.
    pub id: FrameId,
    /// The messages.
    pub messages: &'f [u8],
}

/// The id of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameId {
    /// The number of the stream.
    pub stream: u64,
    /// The number of the frame in its stream.
    pub frame: u64,
}

impl<'f> Frame<'f> {
    /// Reads a frame.
    ///
    /// # Errors
    ///
    /// If the frame is malformed, is a fragment, or is a type that HAProxy does not send.
    pub fn read(bytes: &'f [u8]) -> Result<Self, Status> {
        let mut input = Input(bytes);
        let kind = input.byte()?;
        let flags = u32::from_be_bytes(input.bytes(4)?.try_into().map_err(|_| Status::Invalid)?);
        let id = FrameId { stream: input.varint()?, frame: input.varint()? };
        if flags & FIN == 0 {
            return Err(Status::Fragment);
        }
        if flags & ABORT != 0 {
            return Err(Status::Invalid);
        }
        match kind {
            NOTIFY => Ok(Self::Notify(Notify { id, messages: input.0 })),
            HELLO | DISCONNECT if (id.stream, id.frame) != (0, 0) => Err(Status::Invalid),
            HELLO => Hello::read(input).map(Self::Hello),
            DISCONNECT => {
                while !input.is_empty() {
                    input.string()?;
                    input.data()?;
                }
                Ok(Self::Disconnect)
            }
            _ => Err(Status::Invalid),
        }
    }
}

impl Hello {
    fn read(mut input: Input<'_>) -> Result<Self, Status> {
        let (mut versions, mut size, mut capabilities, mut health_check) = (None, None, None, None);
        while !input.is_empty() {
            let (name, value) = (input.string()?, input.data()?);
            let slot = match name {
                b"supported-versions" => &mut versions,
                b"max-frame-size" => &mut size,
                b"capabilities" => &mut capabilities,
                b"healthcheck" => &mut health_check,
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(Status::Invalid);
            }
        }
        let is_major = |version: &[u8]| version.trim_ascii().starts_with(b"2.");
        match versions.ok_or(Status::NoVersion)? {
            Data::String(versions) if versions.split(|byte| *byte == b',').any(is_major) => {}
            Data::String(_) => return Err(Status::UnsupportedVersion),
            _ => return Err(Status::Invalid),
        }
        let (Data::Int32(size) | Data::Uint32(size) | Data::Int64(size) | Data::Uint64(size)) =
            size.ok_or(Status::NoFrameSize)?
        else {
            return Err(Status::Invalid);
        };
        // An agent may answer without the capability `pipelining`, in any order or in the order of the requests.
        if !matches!(capabilities.ok_or(Status::NoCapabilities)?, Data::String(_)) {
            return Err(Status::Invalid);
        }
        let max_frame_size = u32::try_from(size).unwrap_or(u32::MAX);
        if max_frame_size < MIN_FRAME {
            return Err(Status::BadFrameSize);
        }
        Ok(Self { max_frame_size, is_health_check: health_check == Some(Data::Bool(true)) })
    }
}

/// Appends the agent's introduction.
pub fn agent_hello(max_frame_size: u32, out: &mut Vec<u8>) {
    let mut frame = Written::start(AGENT_HELLO, FrameId { stream: 0, frame: 0 }, out);
    frame.pair("version", Data::String(VERSION));
    frame.pair("max-frame-size", Data::Uint32(max_frame_size.into()));
    frame.pair("capabilities", Data::String(b"pipelining"));
    frame.end();
}

/// Appends the agent's disconnection.
pub fn agent_disconnect(status: Status, out: &mut Vec<u8>) {
    let mut frame = Written::start(AGENT_DISCONNECT, FrameId { stream: 0, frame: 0 }, out);
    frame.pair("status-code", Data::Uint32(status.code().into()));
    frame.pair("message", Data::String(status.as_str().as_bytes()));
    frame.end();
}

/// The answer to a request: sets variables of the transaction.
#[derive(Debug)]
pub struct Ack<'o>(Written<'o>);

impl<'o> Ack<'o> {
    /// Starts an answer at the end of `out`.
    pub fn start(out: &'o mut Vec<u8>, id: FrameId) -> Self {
        Self(Written::start(ACK, id, out))
    }

    /// Sets the variable `txn.<prefix>.<name>`.
    pub fn set(&mut self, name: &str, value: Data<'_>) {
        const SET_VARIABLE: u8 = 1;
        const ARGUMENTS: u8 = 3;
        const TRANSACTION: u8 = 2;
        self.0.out.extend([SET_VARIABLE, ARGUMENTS, TRANSACTION]);
        self.0.pair(name, value);
    }

    /// Completes the answer.
    pub fn end(self) {
        self.0.end();
    }
}

/// A frame that is being written.
#[derive(Debug)]
struct Written<'o> {
    out: &'o mut Vec<u8>,
    /// The index of the frame's length.
    start: usize,
}

impl<'o> Written<'o> {
    fn start(kind: u8, id: FrameId, out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend([0; LENGTH]);
        out.push(kind);
        out.extend(FIN.to_be_bytes());
        write_varint(id.stream, out);
        write_varint(id.frame, out);
        Self { out, start }
    }

    fn pair(&mut self, name: &str, value: Data<'_>) {
        write_string(name.as_bytes(), self.out);
        value.write(self.out);
    }

    fn end(self) {
        let length = u32::try_from(self.out.len().saturating_sub(self.start + LENGTH)).unwrap_or(u32::MAX);
        if let Some(place) = self.out.get_mut(self.start..self.start + LENGTH) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }
}
