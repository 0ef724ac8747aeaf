//! Compares the decisions of every engine with those of Portcullis, and those of Portcullis with the reference.

use std::collections::BTreeMap;

use portcullis::base::Timestamp;
use portcullis::decision::decide;
use portcullis::model::Policy;
use portcullis::snapshot::Snapshot;
use portcullis_testkit::reference::Reference;

use crate::gate::request;
use crate::measure::Contender;
use crate::requests::ParsedRequest;

/// The result of a comparison: the number of requests, and the number of differences by their description.
pub struct Agreement {
    pub requests: usize,
    pub disagree: BTreeMap<String, usize>,
}

/// Returns the reason that Portcullis gives for each request, or `allow`.
pub fn reasons(snapshot: &Snapshot, asked: &[ParsedRequest<'_>], now: Timestamp) -> Vec<&'static str> {
    let code = |asked| decide(snapshot, &request(asked), now).reason().map_or("allow", |reason| reason.code());
    asked.iter().map(code).collect()
}

/// Compares the reasons of Portcullis with those for which the requests were built.
pub fn intention(reasons: &[&str], meant: &[&str]) -> Agreement {
    let mut disagree = BTreeMap::new();
    for (reason, meant) in reasons.iter().zip(meant).filter(|(reason, meant)| reason != meant) {
        *disagree.entry(format!("portcullis says `{reason}` where `{meant}` was meant")).or_default() += 1;
    }
    Agreement { requests: reasons.len(), disagree }
}

/// Compares the decisions of an engine on the first `max` requests with those of Portcullis.
pub fn agreement(
    contender: &mut Contender<'_>,
    asked: &[ParsedRequest<'_>],
    reasons: &[&str],
    max: usize,
) -> Agreement {
    let mut disagree = BTreeMap::new();
    for (asked, &reason) in asked.iter().zip(reasons).take(max) {
        let allows = contender.engine.decide(asked);
        if allows != (reason == "allow") {
            let says = if allows { "allows" } else { "denies" };
            let deeper = asked.resource.split('.').count() > 3;
            let why = if allows && deeper { ": a star that spans dots" } else { "" };
            *disagree.entry(format!("{says} where portcullis says `{reason}`{why}")).or_default() += 1;
        }
    }
    Agreement { requests: max.min(asked.len()), disagree }
}

/// Compares the first `max` decisions of Portcullis with the reference, including grants and reasons.
pub fn reference(
    policy: &Policy,
    snapshot: &Snapshot,
    asked: &[ParsedRequest<'_>],
    now: Timestamp,
    max: usize,
) -> Agreement {
    let reference = Reference::new(policy);
    let mut disagree = BTreeMap::new();
    for asked in asked.iter().take(max) {
        let request = request(asked);
        let (right, found) = (reference.decide(&request, now), decide(snapshot, &request, now));
        if right != found {
            *disagree.entry(format!("{right:?} is {found:?}")).or_default() += 1;
        }
    }
    Agreement { requests: max.min(asked.len()), disagree }
}
