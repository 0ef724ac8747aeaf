//! Resource names (N2): dotted paths of identifiers, read in a dialect.
//!
//! Two names are equal if their lists of segments are equal, byte for byte (N2.7). Each name therefore has one
//! *canonical form*, and comparing names means comparing bytes:
//!
//! - identifiers are unquoted and folded as the dialect says (N2.5);
//! - `.` separates segments, and a dot *inside* a quoted segment is written as the control character
//!   `0x01`, which no identifier can hold (N2.3);
//! - in a pattern, a star that matches is written as `0x02`, so a quoted `*` stays an ordinary character.
//!
//! A name that needs no unquoting and no folding is its own canonical form, so most requests borrow it unchanged.

mod canonical;
mod dialect;
mod look;
#[doc(hidden)]
pub mod naive;
mod scan;
mod undecorated;

pub use canonical::NameDisplay;
pub use canonical::{CanonicalName, Name};
pub use dialect::Fold;
pub use dialect::{Dialect, DialectError};
pub use scan::{NameBuffer, NameError, NameErrorKind};
pub(crate) use scan::{Role, Scanned, scan};
pub use undecorated::{is_typographic_quote, undecorated};

/// The byte for a dot inside a segment, in canonical form.
pub const INNER_DOT: u8 = 0x01;
/// The byte for a star that matches any run of characters, in the canonical form of a pattern.
pub const STAR: u8 = 0x02;
/// The maximum length of a name, in bytes before normalization (N2.4).
pub const MAX_NAME_BYTES: usize = 4096;
/// The maximum number of segments of a name (N2.4).
pub const MAX_SEGMENTS: usize = 16;
