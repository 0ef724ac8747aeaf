//! Portcullis, a local authorization policy engine.
#![forbid(unsafe_code)]

pub mod authorizer;
pub mod base;
pub mod decision;
pub mod definition;
pub mod explain;
pub mod load;
pub mod model;
pub mod name;
pub mod pattern;
pub mod query;
pub mod reference;
pub mod referer;
pub mod snapshot;
