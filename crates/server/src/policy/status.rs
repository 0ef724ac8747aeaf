//! What became of the reloads: for readiness, metrics and people.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Serialize, Serializer};

use portcullis::base::Timestamp;
use portcullis::snapshot::Report as SnapshotReport;

/// The maximum number of problems of a failure that are reported and logged.
const MAX_LISTED: usize = 20;

/// The maximum length of a problem, in characters.
const MAX_PROBLEM: usize = 1_000;

/// What became of the reloads, shared. Nothing here is on the path of a request.
#[derive(Debug, Clone, Default)]
pub struct Status {
    report: Arc<Mutex<Report>>,
}

/// Where the active policy was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Its source.
    Source,
    /// The state directory: the source could not be read since the start.
    Saved,
}

/// How a reload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new policy is active.
    Loaded,
    /// The source says what is active already.
    Unchanged,
    /// The source cannot be read as a policy: the last good one stays.
    Failed,
}

/// What is to be said of a policy. Serializes for `/readyz`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Where the policy is to come from.
    pub source: String,
    /// The generation that is active; 0 if there is none.
    pub generation: u64,
    /// Where it was read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Since when it is active; of a saved one, when it was saved.
    #[serde(serialize_with = "instant", skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Tokens that were left out for their errors.
    #[serde(skip_serializing_if = "is_none_left_out")]
    pub left_out: usize,
    /// Why the source is not what is active; `None` while it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Since when the source has been read without an end; `None` unless that takes longer than it should.
    #[serde(serialize_with = "instant", skip_serializing_if = "Option::is_none")]
    pub stalled_since: Option<Timestamp>,
    /// Why the active policy is not saved; `None` while it is, or need not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_saved: Option<String>,
    /// How often reloads ended how.
    #[serde(skip)]
    pub reloads: Reloads,
    /// What the active snapshot is made of.
    #[serde(skip)]
    pub snapshot: SnapshotReport,
}

/// Why a source cannot be read as a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Since when.
    #[serde(serialize_with = "written")]
    pub since: Timestamp,
    /// How many problems it has.
    pub count: usize,
    /// The first of them, without any secret.
    pub problems: Vec<String>,
    /// How many attempts to read the source ended so.
    pub attempts: u64,
}

/// How often reloads ended how, and how long they took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reloads {
    /// Each outcome's count and time, in the order of [`Outcome::ALL`].
    pub(crate) by_outcome: [(u64, Duration); 3],
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Loaded, Self::Unchanged, Self::Failed];

    /// In one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Reloads {
    /// How many reloads ended so.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.by_outcome.get(outcome as usize).map_or(0, |(count, _)| *count)
    }

    /// How long all reloads that ended so took together.
    pub fn took(&self, outcome: Outcome) -> Duration {
        self.by_outcome.get(outcome as usize).map_or(Duration::ZERO, |(_, took)| *took)
    }
}

impl Failure {
    /// A failure with `count` problems, of which `problems` are the first.
    pub(super) fn new(since: Timestamp, problems: &[String], count: usize) -> Self {
        let cut = |problem: &String| match problem.char_indices().nth(MAX_PROBLEM) {
            Some((end, _)) => format!("{}…", problem.get(..end).unwrap_or_default()),
            None => problem.clone(),
        };
        let problems = problems.iter().take(MAX_LISTED).map(cut).collect();
        Self { since, count, problems, attempts: 1 }
    }
}

impl Status {
    /// Whether there is a policy to decide by.
    pub fn is_ready(&self) -> bool {
        self.with(|report| report.generation > 0)
    }

    /// All that is to be said.
    pub fn report(&self) -> Report {
        self.with(|report| report.clone())
    }

    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Report) -> T) -> T {
        look(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn ended(&self, outcome: Outcome, took: Duration) {
        self.with(|report| {
            if let Some((count, total)) = report.reloads.by_outcome.get_mut(outcome as usize) {
                *count += 1;
                *total += took;
            }
        });
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_none_left_out(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::ref_option, reason = "serde asks so")]
fn instant<S: Serializer>(instant: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => serializer.collect_str(instant),
        None => serializer.serialize_none(),
    }
}

fn written<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(instant)
}
