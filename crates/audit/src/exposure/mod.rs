//! What a policy exposes of a catalog.
//!
//! A token exposes a name if the decision would allow some request of that token for it as a resource: under one of its
//! APIs, with one of its referers (N8.3, N10). It exposes a name *through a query* if it may run a query or named source
//! that reads it, as [`reads`](super::reads) tells; that is counted apart. Expired tokens are told apart, too.
//!
//! A [`NameCounts`] counts batches of names by the sources of a [`Coverage`](super::coverage::Coverage) that cover them, and
//! tallies of several threads add up; [`Exposure`] is what follows for tokens, grants and sources. Memory depends on
//! how many different sets of patterns cover names, not on how many names there are.

mod counts;
mod outcome;
mod parallel;

pub use counts::{Batch, EXAMPLES, NameCounts};
pub use outcome::{ConnectionExposure, Exposure, MissingTable, SourceExposure, TokenExposure};
pub use parallel::{Batcher, count};
