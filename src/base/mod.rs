//! Vocabulary that every layer shares: ids, places in a document, instants.

mod place;
mod time;

pub use place::{Place, Step};
pub use time::{InstantError, Timestamp};
