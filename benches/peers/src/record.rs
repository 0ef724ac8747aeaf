//! The results of a run.

use crate::field::{Field, Row};
use crate::hostile::Hostile;
use crate::patterns::Patterns;
use crate::swaps::Swaps;

/// All results of a run.
#[derive(Default)]
pub struct Record {
    pub fields: Vec<Field>,
    pub patterns: Vec<Patterns>,
    /// The times of ordinary decisions on names of 21 and of 4,096 bytes.
    pub ordinary: [f64; 2],
    pub hostile: Vec<Hostile>,
    pub swaps: Vec<Swaps>,
    pub swaps_tokens: usize,
}

impl Field {
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    pub fn median(&self, name: &str) -> Option<f64> {
        self.row(name).map(|row| row.times.median)
    }
}
