//! File descriptors: the limit of the process, and the share that connections may take.

/// The number of descriptors reserved for the policy and its state, logs, the registry and the runtime.
pub const RESERVED: u64 = 64;

/// The number of listeners, each with its own limit of connections.
const LISTENERS: u64 = 2;

/// Raises the limit of file descriptors as far as the system allows, and returns it; `None` where the system has no limit.
pub fn raise_limit() -> Option<u64> {
    let raised = rlimit::increase_nofile_limit(u64::MAX);
    let limit = raised.or_else(|_| rlimit::Resource::NOFILE.get().map(|(soft, _)| soft));
    limit.ok().filter(|limit| *limit != rlimit::INFINITY)
}

/// Returns the maximum number of connections of one listener that leaves [`RESERVED`] of `limit` descriptors free.
///
/// ```
/// use portcullis_server::descriptors::max_connections;
///
/// assert_eq!(max_connections(Some(1024)), 480);
/// assert_eq!(max_connections(None), usize::MAX);
/// ```
pub fn max_connections(limit: Option<u64>) -> usize {
    let max = limit.map(|limit| limit.saturating_sub(RESERVED) / LISTENERS);
    max.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX)
}

/// Returns the number of descriptors that `connections` on each listener need.
pub fn needed(connections: usize) -> u64 {
    u64::try_from(connections).unwrap_or(u64::MAX).saturating_mul(LISTENERS).saturating_add(RESERVED)
}
