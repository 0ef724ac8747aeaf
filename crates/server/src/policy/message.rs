//! Messages to the thread that keeps a policy live.

use std::sync::mpsc::Sender;

use super::contents::Contents;
use super::status::Outcome;
use super::watch::Touch;
use portcullis_registry::Changes;

/// A message to the keeper.
pub(super) enum Message {
    Touched(Touch),
    /// The worker of this number has finished its task.
    Done(u64, Done),
    /// Reload, changed or not, and tell how that ended.
    Reload(Option<Sender<Outcome>>),
    Stop,
}

/// What became of a task.
pub(super) enum Done {
    Looked(bool),
    Changes(Option<Changes>),
    Read(Result<Contents, Vec<String>>),
}
