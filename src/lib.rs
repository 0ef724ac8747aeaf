//! Portcullis, a local authorization policy engine.
#![forbid(unsafe_code)]

pub mod base;
pub mod query;
pub mod referer;
pub mod definition;
