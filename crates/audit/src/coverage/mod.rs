//! Which sources of a policy cover which names.
//!
//! [`Coverage`] is built from a policy once and holds the distinct sources of each of its connections. The exposure,
//! the report, the comparison by names and the forecast all look names up in it. [`Kernel`] is the part for one
//! connection: it takes batches of names, and Arrow arrays with the feature `parquet`.

#[cfg(feature = "parquet")]
mod arrow;
mod grantees;
mod kernel;
mod policy;

pub(crate) use grantees::{Grantees, Readers};
pub use kernel::{Kernel, Matches};
pub use policy::Coverage;
pub(crate) use policy::{SourceRef, Sources, considered};
