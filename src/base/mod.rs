//! Types that every layer shares: paths in a document and instants.

mod place;
mod text;
mod time;

pub use place::{Place, Step};
pub(crate) use text::{is_same, starts_with};
pub use time::{InstantError, Timestamp};
