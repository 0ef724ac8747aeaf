//! Compares policies exactly. Each gain comes with a request that proves it.
//!
//! - [`algebra`]: decides whether patterns overlap or cover each other, with a witness.
//! - [`compare`]: finds what one policy allows that another denies.
//! - [`narrow`]: accepts only policies that allow no more than the current one.
//! - [`patterns`]: indexes patterns, to find those that cover a name.
//! - [`witness`]: confirms each gain by a decision.
#![forbid(unsafe_code)]

pub mod algebra;
pub mod compare;
pub mod narrow;
pub mod patterns;
pub mod witness;
