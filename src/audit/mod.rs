//! Questions to a policy, offline: what is wrong with it, what it exposes, what of it was never needed.
//!
//! - [`algebra`]: what patterns have in common, and what sets them apart, with a name that shows it.
//! - [`compare`]: what one policy allows that another does not; [`narrow`]: only policies that allow no more.
//! - [`who_can`]: who can read a source, and what a token can do.
//! - [`catalog`]: the names that exist, as a stream.
//! - [`exposure`]: what of them a policy exposes.
//! - [`forecast`]: names that do not exist yet, and would be exposed.
//! - [`lint`]: findings, each with its place, why, and a fix.
//! - [`suggest`]: the smallest grants that a decision log needed.
//! - [`reads`]: which tables granted queries read.
//! - [`report`]: all of it as one page.

pub mod algebra;
pub mod catalog;
pub mod compare;
pub mod exposure;
pub mod forecast;
mod granted;
pub mod lint;
pub mod narrow;
mod patterns;
pub mod reads;
pub mod report;
pub mod suggest;
pub mod usage;
pub mod who_can;
pub mod witness;
