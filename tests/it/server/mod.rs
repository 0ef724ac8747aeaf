//! The sidecar.

mod policy;
mod state;
mod util;
