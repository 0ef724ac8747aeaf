//! Types that every layer shares: paths in a document, instants, text in messages.

#[doc(hidden)]
pub mod bytes;
mod fetch;
mod home;
mod host;
mod json_path;
mod nearest;
mod quote;
mod segment;
mod system;
mod text;
mod time;
mod wrapped;

pub(crate) use fetch::{fetch, fetch_lines};
pub use home::unexpanded_home;
pub use host::{is_browsed_host, is_browsed_port};
pub use json_path::{JsonPath, Step};
pub use nearest::nearest;
pub use quote::{Escaped, MAX_QUOTED, hidden, is_bidi, is_control, is_invisible, is_unsafe, quoted};
pub use segment::SegmentFault;
pub use system::{system_words, unreadable_words, unwritable_words};
pub(crate) use text::{is_same, starts_with};
pub use time::{InstantError, Timestamp};
pub use wrapped::unwrapped;
pub(crate) use wrapped::{PAIRS, is_around};
