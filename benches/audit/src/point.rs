//! The result of one measurement.

use std::time::Duration;

use crate::peers::Measured;

/// The results for one number of patterns. Times are in nanoseconds for each name.
pub struct Point {
    pub patterns: usize,
    pub names: usize,
    /// The mean number of patterns that cover a name.
    pub covering: f64,
    pub build: Duration,
    /// Names in the order of a catalog.
    pub ordered: f64,
    /// Names in the order of a catalog, as Arrow arrays that were made in advance.
    pub arrays: f64,
    /// Names in random order.
    pub shuffled: f64,
    /// Each peer, or the reason why it has no result.
    pub peers: Vec<(&'static str, Result<Measured, String>)>,
}
