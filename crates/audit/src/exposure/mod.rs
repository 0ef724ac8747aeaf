//! Computes which names of a catalog a policy exposes.
//!
//! A token exposes a name if some request of the token for that resource is allowed, under one of its APIs and with one
//! of its referers (N8.3, N10). A token exposes a name *through a query* if it may run a query or named source that
//! reads the name, according to [`reads`](super::reads). Such names, and names of expired tokens, are counted
//! separately.
//!
//! A [`NameCounts`] counts batches of names by the sources of a [`Coverage`](super::coverage::Coverage) that cover
//! them, and counts of several threads can be added; [`count`] does both. [`Exposure`] has the results for tokens,
//! grants and sources. Memory depends on the number of distinct sets of covering patterns, not on the number of names.

mod counts;
mod outcome;
mod parallel;

pub use counts::{Batch, EXAMPLES, NameCounts};
pub use outcome::{ConnectionExposure, Exposure, MissingTable, SourceExposure, TokenExposure};
pub use parallel::{Batcher, count};
