//! The errors that prevent a live policy.

use portcullis::base::system_words;

use super::state::StateError;

/// Why a policy cannot be kept live at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The system cannot start a thread.
    #[error("cannot start the thread that reads the policy: {}", system_words(.0))]
    Thread(std::io::Error),
}
