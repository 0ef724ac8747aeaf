//! Types that every layer shares: paths in a document, instants, text in messages.

mod nearest;
mod place;
mod quote;
mod text;
mod time;

pub use nearest::nearest;
pub use place::{Place, Step};
pub use quote::{Escaped, MAX_QUOTED, is_bidi, is_invisible, is_unsafe, quoted};
pub(crate) use text::{is_same, starts_with};
pub use time::{InstantError, Timestamp};
