//! Which sources of a policy cover which names.
//!
//! [`Kernel`] answers for the sources of one connection and batches of names; [`Surface`] holds the sources of every
//! connection of a policy.

#[cfg(feature = "parquet")]
mod arrow;
mod index;
mod kernel;
mod surface;

pub use kernel::{Kernel, Matches};
pub(crate) use surface::Sources;
pub use surface::Surface;
