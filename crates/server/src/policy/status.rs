//! The results of reloads: for readiness, metrics and people.

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

/// The shared status of a policy. Not on the path of requests.
#[derive(Debug, Clone, Default)]
pub struct Status {
    report: Arc<Mutex<Report>>,
}

/// The origin of the active policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The source of the policy.
    Source,
    /// The state directory: the source could not be read since the start.
    Saved,
}

/// The outcome of a reload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A new policy is active.
    Loaded,
    /// The source is equal to the active policy.
    Unchanged,
    /// The source cannot be read as a policy: the last good one stays.
    Failed,
}

/// The report of a policy. Serializes for `/readyz`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// The name of the policy's source.
    pub source: String,
    /// The active generation; 0 if there is none.
    pub generation: u64,
    /// The origin of the active policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// When the policy became active or, if it is a saved one, when it was saved.
    #[serde(serialize_with = "instant", skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The number of tokens that were left out because of errors.
    #[serde(skip_serializing_if = "is_none_left_out")]
    pub left_out: usize,
    /// Why the source differs from the active policy; `None` while they are equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// When the current read of the source started, if it takes too long.
    #[serde(serialize_with = "instant", skip_serializing_if = "Option::is_none")]
    pub stalled_since: Option<Timestamp>,
    /// Why the active policy is not saved; `None` while it is saved, or need not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_saved: Option<String>,
    /// The counts and durations of reloads.
    #[serde(skip)]
    pub reloads: Reloads,
    /// The contents of the active snapshot.
    #[serde(skip)]
    pub snapshot: SnapshotReport,
}

/// Why a source cannot be read as a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The time of the first failed attempt.
    #[serde(serialize_with = "as_text")]
    pub since: Timestamp,
    /// The number of problems.
    pub count: usize,
    /// The first problems, without any secret.
    pub problems: Vec<String>,
    /// The number of attempts with these problems.
    pub attempts: u64,
}

/// The counts and durations of reloads, by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reloads {
    /// The count and total duration of each outcome, in the order of [`Outcome::ALL`].
    pub(crate) by_outcome: [(u64, Duration); 3],
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Loaded, Self::Unchanged, Self::Failed];

    /// Returns the name in metrics.
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
    /// Returns the number of reloads with this outcome.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.by_outcome.get(outcome as usize).map_or(0, |(count, _)| *count)
    }

    /// Returns the total duration of all reloads with this outcome.
    pub fn took(&self, outcome: Outcome) -> Duration {
        self.by_outcome.get(outcome as usize).map_or(Duration::ZERO, |(_, took)| *took)
    }
}

impl Failure {
    /// Creates a failure with `count` problems, which starts with `problems`.
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

    /// Returns a copy of the report.
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none_left_out(count: &usize) -> bool {
    *count == 0
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn instant<S: Serializer>(instant: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match instant {
        Some(instant) => serializer.collect_str(instant),
        None => serializer.serialize_none(),
    }
}

fn as_text<S: Serializer>(instant: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(instant)
}
