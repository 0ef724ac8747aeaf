//! Status codes of a disconnection.

use std::fmt;

/// Why a peer disconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// There is no error.
    Normal,
    /// The peer took too long.
    Timeout,
    /// The frame is longer than the agreed size.
    TooBig,
    /// The frame is malformed, or not expected now.
    Invalid,
    /// The introduction has no versions.
    NoVersion,
    /// The introduction has no size of frames.
    NoFrameSize,
    /// The introduction has no capabilities.
    NoCapabilities,
    /// No common version exists.
    UnsupportedVersion,
    /// The size of frames is too small.
    BadFrameSize,
    /// The frame is a fragment.
    Fragment,
    /// There is no memory for the frame.
    Resources,
}

impl Status {
    /// Returns the code in the protocol.
    pub const fn code(self) -> u32 {
        match self {
            Self::Normal => 0,
            Self::Timeout => 2,
            Self::TooBig => 3,
            Self::Invalid => 4,
            Self::NoVersion => 5,
            Self::NoFrameSize => 6,
            Self::NoCapabilities => 7,
            Self::UnsupportedVersion => 8,
            Self::BadFrameSize => 9,
            Self::Fragment => 10,
            Self::Resources => 13,
        }
    }

    /// Returns the message for logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "the connection is no longer needed",
            Self::Timeout => "the frame did not arrive in time",
            Self::TooBig => "the frame is longer than the agreed size",
            Self::Invalid => "the frame is malformed, or not expected now",
            Self::NoVersion => "`supported-versions` is missing",
            Self::NoFrameSize => "`max-frame-size` is missing",
            Self::NoCapabilities => "`capabilities` is missing",
            Self::UnsupportedVersion => "expected version 2.0 of the protocol",
            Self::BadFrameSize => "`max-frame-size` is less than 256",
            Self::Fragment => "fragments are not supported: write `no option send-frag-payload`",
            Self::Resources => "too many bytes of requests at once",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
