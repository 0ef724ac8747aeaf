//! What tests compare the engine with: the reference implementation. For development only.
#![forbid(unsafe_code)]

pub mod reference;
