//! What holds for every policy and every request.

use std::collections::BTreeMap;

use portcullis::decision::Reason;
use portcullis::reference::ReferenceDecision;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::choices::config;
use crate::generate::{World, worlds};
use crate::{document, request::Asked};

fn by_reference(reference: &portcullis::reference::Reference, asked: &Asked) -> ReferenceDecision {
    asked.ask(|request, now| reference.decide(request, now))
}

/// Generators that hit nothing would let every property hold.
#[test]
fn generated_worlds_allow_enough_and_deny_for_every_reason() {
    let mut runner = TestRunner::deterministic();
    let mut outcomes: BTreeMap<Option<Reason>, usize> = BTreeMap::new();
    for _ in 0..300 {
        let World { document, requests } = worlds().new_tree(&mut runner).unwrap().current();
        let reference = document::reference(&document);
        for asked in &requests {
            let outcome = match by_reference(&reference, asked) {
                ReferenceDecision::Allow { .. } => None,
                ReferenceDecision::Deny(reason) => Some(reason),
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    let all: usize = outcomes.values().sum();
    let allows = outcomes.get(&None).copied().unwrap_or(0);
    assert!(allows * 4 >= all, "{allows} of {all} are allows: {outcomes:?}");
    for reason in Reason::ALL {
        let elsewhere = matches!(reason, Reason::PolicyUnavailable | Reason::RequestNotUnderstood);
        assert!(elsewhere || outcomes.contains_key(&Some(reason)), "never {reason}: {outcomes:?}");
    }
    eprintln!("{outcomes:?}");
}
