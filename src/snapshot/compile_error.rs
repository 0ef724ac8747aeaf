//! The error for a policy that exceeds the limits of a snapshot.

/// The error for a policy that exceeds the limits of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// Names, queries and ids exceed 4 GiB.
    #[error("the policy's distinct names, queries and ids exceed 4 GiB")]
    TooMuchText,
    /// Sets of grants exceed 4 GiB.
    #[error("the policy's distinct grants exceed 4 GiB")]
    TooManyGrants,
    /// The policy has more tokens than row numbers.
    #[error("the policy has more than {} tokens", u32::MAX - 1)]
    TooManyTokens,
}
