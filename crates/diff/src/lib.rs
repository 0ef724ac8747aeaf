//! Exact comparison of policies: what a change opens, each gain with a request that proves it.
//!
//! - [`algebra`]: whether patterns share a name, and whether one covers another, each with a witness.
//! - [`compare`]: what one policy allows that another denies.
//! - [`narrow`]: accepts only policies that allow no more than the current one.
//! - [`patterns`]: an index of patterns, by the names that they cover.
//! - [`witness`]: confirms by a decision that a gain is real.
#![forbid(unsafe_code)]

pub mod algebra;
pub mod compare;
pub mod narrow;
pub mod patterns;
pub mod witness;
