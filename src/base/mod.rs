//! Vocabulary that every layer shares: instants, places in a document, text in messages.

mod nearest;
mod place;
mod quote;
mod text;
mod time;

pub use nearest::nearest;
pub use place::{Place, Step};
pub use quote::{Escaped, MAX_QUOTED, is_bidi, is_invisible, is_unsafe, quoted};
pub(crate) use text::{begins_with, is_same};
pub use time::{InstantError, Timestamp};
