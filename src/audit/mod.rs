//! Questions to a policy, offline: what is wrong with it, what it exposes, what of it was never needed.
//!
//! - [`catalog`]: the names that exist, as a stream.
//! - [`exposure`]: what of them a policy exposes.
//! - [`lint`]: findings, each with its place, why, and a fix.
//! - [`suggest`]: the smallest grants that a decision log needed.
//! - [`report`]: all of it as one page.

pub mod catalog;
pub mod exposure;
pub mod lint;
mod patterns;
pub mod report;
pub mod suggest;
pub mod usage;
