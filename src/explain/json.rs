//! The JSON form of an explanation.

use serde::{Serialize, Serializer};

use super::{Check, Explanation, NearMiss};
use crate::decision::{Decision, Reason};

#[derive(Serialize)]
struct ExplanationForm<'e> {
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<&'e [u32]>,
    checks: &'e [Check],
    near_misses: &'e [NearMiss],
}

#[derive(Serialize)]
struct CheckForm<'e> {
    check: u8,
    name: &'static str,
    question: &'static str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'e str,
}

#[derive(Serialize)]
struct NearMissForm<'e> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<u32>,
    message: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'e str>,
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let decision = self.decision();
        let reason = decision.reason();
        let form = ExplanationForm {
            decision: if decision.is_allow() { "allow" } else { "deny" },
            reason: reason.map(Reason::code),
            status: reason.map_or(200, Reason::status),
            token: self.shown_token.as_deref(),
            grants: match &decision {
                Decision::Allow(allow) => Some(allow.grants()),
                Decision::Deny(_) => None,
            },
            checks: self.checks(),
            near_misses: self.near_misses(),
        };
        form.serialize(serializer)
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { number, name, question, outcome, detail } = self;
        CheckForm { check: *number, name, question, outcome: outcome.as_str(), detail }.serialize(serializer)
    }
}

impl Serialize for NearMiss {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { kind, source, grant, message, help } = self;
        NearMissForm { code: kind.code(), source: *source, grant: *grant, message, help: help.as_deref() }
            .serialize(serializer)
    }
}
