//! Audits a policy offline: finds mistakes, computes what it exposes, and suggests narrower grants.
//!
//! - [`names_diff`]: names of a catalog that a change of the policy opens and closes.
//! - [`near_names`]: reasons why no grant names a resource, and the names that it may mean.
//! - [`near_texts`]: reasons why no grant is of a query or a named source, and the granted one that it may mean.
//! - [`who_can`]: tokens that can read a source, and sources that a token can read.
//! - [`catalog`]: reads the names that exist as a stream.
//! - [`coverage`]: sources of a policy that cover a name.
//! - [`exposure`]: names of a catalog that each token and grant exposes.
//! - [`forecast`]: names that do not exist yet and would be exposed.
//! - [`lint`]: findings with a position, a reason and a fix.
//! - [`log`]: reads decision logs as a stream.
//! - [`suggest`]: the narrowest grants that a decision log needs.
//! - [`reads`]: tables that granted queries read.
//! - [`report`]: the whole audit as one HTML page.
#![forbid(unsafe_code)]

pub mod catalog;
pub mod coverage;
pub mod exposure;
pub mod forecast;
pub mod lint;
pub mod log;
pub mod names_diff;
pub mod near_names;
pub mod near_texts;
pub mod reads;
pub mod report;
pub mod suggest;
pub mod usage;
pub mod who_can;
