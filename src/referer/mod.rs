//! Referers (N7): the pages that a token may be used from.
//!
//! An [`Entry`] is one URL of a token's list, valid by construction; a [`RefererSet`] is such a list, compiled; a
//! [`Referer`] is the header of a request, read in place when it is written as browsers write it.
//!
//! A Referer narrows a valid token; it never authenticates.
//!
//! # What the rules leave open
//!
//! - A `?` without a query is part of a URL, by the WHATWG rules: `https://carto.com/?` is not a site.
//! - A `#` without a fragment is rejected in an entry.
//! - User info is rejected even when empty: any `@` before the path, judged after the WHATWG treatment of tabs, line ends
//!   and backslashes.
//! - The labels that a `*.` stands for are not empty: `https://.carto.com/` does not match `https://*.carto.com/`.
//! - A `*.` in front of nothing, or of an empty label, is rejected.
//! - A host that ends in a dot is another host than the one without.

mod entry;
mod header;
#[doc(hidden)]
pub mod naive;
mod set;
#[cfg(test)]
mod tests;
mod url;

pub use self::entry::{Entry, EntryError, Rule};
pub use self::header::Referer;
pub use self::set::RefererSet;
pub(crate) use self::set::StoredSet;
pub use self::url::Scheme;
