//! What a policy exposes of a catalog.

mod kernel;

pub use kernel::{Kernel, Matches};
