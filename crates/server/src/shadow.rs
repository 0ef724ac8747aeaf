//! A second policy that also decides every request, to show its effect before it is in force.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::decided::Decided;
use super::decision_log::{Line, QueryTexts};
use portcullis::authorizer::Authorizer;
use portcullis::decision::Decision;

/// How the decision of the shadow policy differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// Allowed; the shadow policy would deny.
    AllowToDeny,
    /// Denied; the shadow policy would allow.
    DenyToAllow,
    /// Both deny, for different reasons.
    Reason,
    /// Both allow, by another token or by other grants, compared by their index in the token's list.
    Grants,
}

/// Counts the differences, and keeps examples. Shared by all threads that decide; never changes a response.
#[derive(Debug)]
pub struct Shadow {
    authorizer: Authorizer,
    queries: QueryTexts,
    examples: usize,
    same: AtomicU64,
    /// The number of requests that came while there was no shadow policy.
    unavailable: AtomicU64,
    kinds: [Kind; Difference::ALL.len()],
}

#[derive(Debug, Default)]
struct Kind {
    count: AtomicU64,
    /// The shadow generation of the examples and their number, in one word.
    kept: AtomicU64,
    examples: Mutex<Examples>,
}

#[derive(Debug, Default)]
struct Examples {
    /// The shadow generation that the examples belong to.
    generation: u64,
    list: Vec<Box<RawValue>>,
}

/// One request that the two policies decide differently.
#[derive(Serialize)]
struct Example<'a> {
    #[serde(serialize_with = "as_line")]
    request: Line<'a>,
    shadow: ShadowDecision<'a>,
}

/// The decision of the shadow policy. A format of its own: it has the generation, the key `token_id` and no status.
#[derive(Serialize)]
struct ShadowDecision<'a> {
    generation: u64,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<&'a [u32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

/// The response of `GET /v1/shadow`.
#[derive(Debug, Serialize)]
pub struct ShadowReport {
    /// The generation of the shadow policy; 0 if there is none.
    pub generation: u64,
    /// The number of requests decided alike since the start.
    pub same: u64,
    /// The number of requests that came while there was no shadow policy.
    pub unavailable: u64,
    /// The differences, by kind.
    pub differences: Vec<DifferenceReport>,
}

/// One kind of difference.
#[derive(Debug, Serialize)]
pub struct DifferenceReport {
    /// The kind.
    pub kind: Difference,
    /// The number of requests since the start.
    pub count: u64,
    /// The first of them under the current shadow policy, as lines of a decision log.
    pub examples: Vec<Box<RawValue>>,
}

impl Difference {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::AllowToDeny, Self::DenyToAllow, Self::Reason, Self::Grants];

    /// Returns the name in reports and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllowToDeny => "allow_to_deny",
            Self::DenyToAllow => "deny_to_allow",
            Self::Reason => "reason",
            Self::Grants => "grants",
        }
    }

    fn between(live: &Decision<'_>, shadow: &Decision<'_>) -> Option<Self> {
        match (live, shadow) {
            (Decision::Allow(live), Decision::Allow(shadow)) => (live != shadow).then_some(Self::Grants),
            (Decision::Deny(live), Decision::Deny(shadow)) => (live != shadow).then_some(Self::Reason),
            (Decision::Allow(_), Decision::Deny(_)) => Some(Self::AllowToDeny),
            (Decision::Deny(_), Decision::Allow(_)) => Some(Self::DenyToAllow),
        }
    }
}

impl Shadow {
    /// Compares with the decisions of `authorizer`, and keeps up to `examples` of each kind of difference.
    pub fn new(authorizer: Authorizer, examples: usize, queries: QueryTexts) -> Self {
        Self {
            authorizer,
            queries,
            examples,
            same: AtomicU64::new(0),
            unavailable: AtomicU64::new(0),
            kinds: std::array::from_fn(|_| Kind::default()),
        }
    }

    /// Decides again by the shadow policy, and records a difference. Costs one decision; takes a lock and memory only for
    /// the few examples that are kept.
    pub fn record(&self, decided: &Decided<'_>) {
        // No policy decides a request that was not understood.
        let Some(request) = decided.request else { return };
        let current = self.authorizer.current();
        if current.snapshot().is_none() {
            self.unavailable.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let shadow = current.decide(request, decided.instant());
        match Difference::between(decided.decision, &shadow) {
            None => {
                self.same.fetch_add(1, Ordering::Relaxed);
            }
            Some(difference) => self.differs(difference, decided, &shadow, current.number()),
        }
    }

    fn differs(&self, difference: Difference, decided: &Decided<'_>, shadow: &Decision<'_>, generation: u64) {
        let Some(kind) = self.kinds.get(difference as usize) else { return };
        kind.count.fetch_add(1, Ordering::Relaxed);
        // Whether the examples of this shadow policy are complete: its generation and their number in one word.
        let complete = generation << 16 | self.examples.min(0xffff) as u64;
        if kind.kept.load(Ordering::Relaxed) == complete {
            return;
        }
        let mut examples = kind.lock();
        if examples.generation < generation {
            *examples = Examples { generation, list: Vec::new() };
        }
        if examples.generation == generation && examples.list.len() < self.examples.min(0xffff) {
            let example = Example {
                request: Line { decided, queries: self.queries, sample: None },
                shadow: ShadowDecision::new(shadow, generation),
            };
            examples.list.extend(to_raw_value(&example).ok());
            kind.kept.store(generation << 16 | examples.list.len() as u64, Ordering::Relaxed);
        }
    }

    /// Returns the number of requests decided alike, and of each kind of difference.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let different = Difference::ALL.into_iter().zip(&self.kinds);
        let different = different.map(|(kind, counts)| (kind.as_str(), counts.count.load(Ordering::Relaxed)));
        let others = [("none", &self.same), ("unavailable", &self.unavailable)];
        others.map(|(name, count)| (name, count.load(Ordering::Relaxed))).into_iter().chain(different)
    }

    /// Returns the counts and the examples.
    pub fn report(&self) -> ShadowReport {
        let generation = self.authorizer.current().number();
        let difference = |(kind, counts): (Difference, &Kind)| {
            let examples = counts.lock();
            let is_present = examples.generation == generation;
            DifferenceReport {
                kind,
                count: counts.count.load(Ordering::Relaxed),
                examples: if is_present { examples.list.clone() } else { Vec::new() },
            }
        };
        ShadowReport {
            generation,
            same: self.same.load(Ordering::Relaxed),
            unavailable: self.unavailable.load(Ordering::Relaxed),
            differences: Difference::ALL.into_iter().zip(&self.kinds).map(difference).collect(),
        }
    }
}

impl Kind {
    fn lock(&self) -> MutexGuard<'_, Examples> {
        self.examples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> ShadowDecision<'a> {
    fn new(decision: &'a Decision<'_>, generation: u64) -> Self {
        match decision {
            Decision::Allow(allow) => Self {
                generation,
                decision: "allow",
                token_id: Some(allow.token()),
                grants: Some(allow.grants()),
                reason: None,
            },
            Decision::Deny(reason) => {
                Self { generation, decision: "deny", token_id: None, grants: None, reason: Some(reason.code()) }
            }
        }
    }
}

fn as_line<S: Serializer>(line: &Line<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    line.serialize(serializer)
}
