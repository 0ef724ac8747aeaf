//! The frames of HAProxy's Stream Processing Offload Protocol (SPOP 2.0), for an agent that decides HTTP requests.
//!
//! A connection carries frames, each after its length in four bytes. HAProxy introduces itself ([`Frame::Hello`]), then
//! sends a [`Notify`] for each request. The agent answers each with an [`Ack`], which sets variables.
//!
//! ```
//! use portcullis_http::spop::{Ack, Data, FrameId};
//!
//! let mut out = Vec::new();
//! let mut ack = Ack::start(&mut out, FrameId { stream: 7, frame: 1 });
//! ack.set("decision", Data::String(b"allow"));
//! ack.end();
//! assert_eq!(out[..5], [0, 0, 0, 26, 103]); // the length, and the type of the frame
//! ```
//!
//! Reading is pure, and borrows the bytes of the frame. Malformed bytes are an error with the [`Status`] that the protocol
//! defines.

mod check;
mod data;
mod frame;
mod status;

pub use check::{Check, NotACheck, Received};
pub use data::{Data, read_varint, write_varint};
pub use frame::{Ack, Frame, FrameId, Hello, LENGTH, MIN_FRAME, Notify, agent_disconnect, agent_hello};
pub use status::Status;
