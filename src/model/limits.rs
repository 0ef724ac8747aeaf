//! Size limits.

/// The size limits for texts of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The maximum length of a query, in bytes before normalization (N4.4). Default: 1 MiB.
    pub query_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { query_bytes: crate::query::MAX_QUERY_BYTES }
    }
}
