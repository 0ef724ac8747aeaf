//! Questions to a policy, offline: what is wrong with it, what it exposes, what of it was never needed.
//!
//! - [`names_diff`]: which names of a catalog a change of policies opens and closes.
//! - [`who_can`]: who can read a source, and what a token can do.
//! - [`catalog`]: the names that exist, as a stream.
//! - [`coverage`]: which sources of a policy cover a name.
//! - [`exposure`]: what of them a policy exposes.
//! - [`forecast`]: names that do not exist yet, and would be exposed.
//! - [`lint`]: findings, each with its place, why, and a fix.
//! - [`suggest`]: the smallest grants that a decision log needed.
//! - [`reads`]: which tables granted queries read.
//! - [`report`]: all of it as one page.
#![forbid(unsafe_code)]

pub mod catalog;
pub mod coverage;
pub mod exposure;
pub mod forecast;
pub mod lint;
pub mod names_diff;
pub mod reads;
pub mod report;
pub mod suggest;
pub mod usage;
pub mod who_can;
