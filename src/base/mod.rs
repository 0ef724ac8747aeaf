//! Vocabulary that every layer shares: ids, places in a document, instants.

mod place;
mod text;
mod time;

pub use place::{Place, Step};
pub(crate) use text::{begins_with, is_same};
pub use time::{InstantError, Timestamp};
