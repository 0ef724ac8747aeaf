//! The reference implementation, which tests compare with the engine. For development only.
#![forbid(unsafe_code)]

pub mod reference;
