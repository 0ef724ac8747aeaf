//! Messages to the thread that keeps a policy up to date.

use std::sync::mpsc::Sender;

use super::contents::Contents;
use super::status::Outcome;
use super::watch::Touch;
use portcullis_registry::Changes;

/// A message to the keeper.
pub(super) enum Message {
    Touched(Touch),
    /// The worker with this number has finished its task.
    Done(u64, Done),
    /// Reloads the policy even if it has not changed, and sends the outcome.
    Reload(Option<Sender<Outcome>>),
    Stop,
}

/// The result of a task.
pub(super) enum Done {
    /// Whether the source has changed.
    Checked(bool),
    Changes(Option<Changes>),
    Read(Result<Contents, Vec<String>>),
}
