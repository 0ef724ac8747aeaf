//! Resource names (N2): dotted paths of identifiers, read in a dialect.
//!
//! Two names are the same when their lists of segments are, byte for byte (N2.7). Each name therefore has one
//! *canonical form*, and comparing names is comparing bytes:
//!
//! - identifiers are unquoted and folded as the dialect says (N2.5);
//! - `.` separates segments, and a dot *inside* a quoted segment is written as the control character
//!   `0x01`, which no identifier can hold (N2.3);
//! - in a pattern, a star that matches is written as `0x02`, so that a quoted `*` stays itself.
//!
//! A name that needs no unquoting and no folding is its own canonical form, so most requests borrow it as it stands.

mod canonical;
mod dialect;
mod look;
#[doc(hidden)]
pub mod naive;
mod scan;

pub use canonical::NameDisplay;
pub use canonical::{CanonicalName, Name};
pub use dialect::Fold;
pub use dialect::{Dialect, DialectError};
pub use scan::{NameBuffer, NameError, NameErrorKind};
pub(crate) use scan::{Role, Scanned, scan};

/// A dot that belongs to a segment, in canonical form.
pub const INNER_DOT: u8 = 0x01;
/// A star that stands for any run of characters, in the canonical form of a pattern.
pub const STAR: u8 = 0x02;
/// The most bytes a name may have, as written (N2.4).
pub const MAX_NAME_BYTES: usize = 4096;
/// The most segments a name may have (N2.4).
pub const MAX_SEGMENTS: usize = 16;
