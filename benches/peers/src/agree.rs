//! Every engine's answers beside portcullis's, and portcullis's beside the reference's.

use std::collections::BTreeMap;

use portcullis::base::Timestamp;
use portcullis::decision::decide;
use portcullis::model::Policy;
use portcullis_testkit::reference::Reference;
use portcullis::snapshot::Snapshot;

use crate::asked::Asked;
use crate::gate::request;
use crate::measure::Contender;

/// What disagrees: for each reason that portcullis gives, how often.
pub struct Agreement {
    pub asked: usize,
    pub disagree: BTreeMap<String, usize>,
}

/// Portcullis's reason for each request, `allow` for none.
pub fn reasons(snapshot: &Snapshot, asked: &[Asked<'_>], now: Timestamp) -> Vec<&'static str> {
    let code = |asked| decide(snapshot, &request(asked), now).reason().map_or("allow", |reason| reason.code());
    asked.iter().map(code).collect()
}

/// What each request was built for, beside what portcullis says.
pub fn intention(reasons: &[&str], meant: &[&str]) -> Agreement {
    let mut disagree = BTreeMap::new();
    for (reason, meant) in reasons.iter().zip(meant).filter(|(reason, meant)| reason != meant) {
        *disagree.entry(format!("portcullis says `{reason}` where `{meant}` was meant")).or_default() += 1;
    }
    Agreement { asked: reasons.len(), disagree }
}

/// Asks the engine all of its requests, at most so many.
pub fn agreement(contender: &mut Contender<'_>, asked: &[Asked<'_>], reasons: &[&str], most: usize) -> Agreement {
    let mut disagree = BTreeMap::new();
    for (asked, &reason) in asked.iter().zip(reasons).take(most) {
        let allows = contender.engine.decide(asked);
        if allows != (reason == "allow") {
            let says = if allows { "allows" } else { "denies" };
            let deeper = asked.resource.split('.').count() > 3;
            let why = if allows && deeper { ": a star that spans dots" } else { "" };
            *disagree.entry(format!("{says} where portcullis says `{reason}`{why}")).or_default() += 1;
        }
    }
    Agreement { asked: most.min(asked.len()), disagree }
}

/// How many of the first `most` requests the reference answers otherwise, grants and reasons included.
pub fn reference(policy: &Policy, snapshot: &Snapshot, asked: &[Asked<'_>], now: Timestamp, most: usize) -> Agreement {
    let reference = Reference::new(policy);
    let mut disagree = BTreeMap::new();
    for asked in asked.iter().take(most) {
        let request = request(asked);
        let (right, found) = (reference.decide(&request, now), decide(snapshot, &request, now));
        if right != found {
            *disagree.entry(format!("{right:?} is {found:?}")).or_default() += 1;
        }
    }
    Agreement { asked: most.min(asked.len()), disagree }
}
