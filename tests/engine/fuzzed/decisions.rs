//! Whole decisions of the engine, the reference and the explanation.

use portcullis::snapshot::Options;
use portcullis_testkit::reference::Reference;

use super::{Parts, lines};
use crate::document;
use crate::engine::{by_engine, by_explanation, for_each_strategy, policy, snapshot};
use crate::generate::World;

const MAX_TOKENS: usize = 6;
const MAX_REQUESTS: usize = 24;

/// Reads an input: choices for the head of a document, then a line of choices for each token, then one for each
/// request.
pub(crate) fn property(input: &[u8]) {
    let mut parts = Parts::of(input);
    let (head, tokens, requests) = (parts.bytes(), parts.bytes(), parts.bytes());
    check(&World::of(head, &lines(tokens, MAX_TOKENS), &lines(requests, MAX_REQUESTS)));
}

/// The engine with every strategy, the explanation and the reference give equal decisions. A reference that reads the
/// lowered policy instead of the document decides alike.
pub(crate) fn check(World { document, requests }: &World) {
    let policy = policy(document);
    let original = document::reference(document);
    let lowered = Reference::new(&policy);
    assert_eq!(lowered.unreadable(), [], "{document:#}");
    let mut expected = Vec::new();
    for asked in requests {
        let decision = asked.with(|request, now| original.decide(request, now));
        let by_lowered = asked.with(|request, now| lowered.decide(request, now));
        assert_eq!(by_lowered, decision, "lowered: {asked:?}\n{document:#}");
        expected.push(decision);
    }
    for_each_strategy(|strategy, options| {
        let snapshot = snapshot(&policy, options);
        for (asked, expected) in requests.iter().zip(&expected) {
            assert_eq!(by_engine(&snapshot, asked), *expected, "{strategy}: {asked:?}\n{document:#}");
        }
    });
    let snapshot = snapshot(&policy, &Options::default());
    for (asked, expected) in requests.iter().zip(&expected) {
        assert_eq!(by_explanation(&snapshot, asked), *expected, "explained: {asked:?}\n{document:#}");
    }
}
