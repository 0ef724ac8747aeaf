//! Referers (N7): the pages from which a token may be used.
//!
//! - [`Entry`] is one URL of a token's list, valid by construction.
//! - [`RefererSet`] is a compiled list of entries.
//! - [`Referer`] is the header of a request. It borrows the header if the header has the form that browsers send.
//!
//! A Referer narrows a valid token; it never authenticates.
//!
//! # Details beyond the rules
//!
//! - A `?` without a query is part of a URL by the WHATWG rules: `https://carto.com/?` is not a site.
//! - A `#` without a fragment is rejected in an entry.
//! - User info is rejected even if it is empty: any `@` before the path, after the WHATWG treatment of tabs, line ends
//!   and
//!   backslashes.
//! - A `*.` matches only non-empty labels: `https://.carto.com/` does not match `https://*.carto.com/`.
//! - A `*.` before nothing, or before an empty label, is rejected, and so is a host with an empty label before its end:
//!   no page has it.
//! - A list of URLs in one entry is rejected, although the WHATWG rules read some lists as one URL.
//! - A host with a final dot differs from the host without it.

mod class;
mod entry;
mod header;
mod list;
#[doc(hidden)]
pub mod naive;
mod origin;
mod set;
mod stored;
#[cfg(test)]
mod tests;
mod url;

pub use self::entry::{Entry, EntryError, Rule};
pub use self::header::Referer;
pub use self::set::RefererSet;
pub(crate) use self::stored::{Candidate, LookUp, StoredSet};
pub use self::url::Scheme;
