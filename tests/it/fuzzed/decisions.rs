//! Whole decisions: engine, reference and explanation.

use portcullis::snapshot::Options;
use portcullis_testkit::reference::Reference;

use super::{Parts, lines};
use crate::document;
use crate::engine::{by_engine, by_explanation, for_each_strategy, policy, snapshot};
use crate::generate::World;

const MOST_TOKENS: usize = 6;
const MOST_REQUESTS: usize = 24;

/// Choices for the head of a document; a line of them for each token; a line for each request.
pub(crate) fn property(input: &[u8]) {
    let mut parts = Parts::of(input);
    let (head, tokens, requests) = (parts.bytes(), parts.bytes(), parts.bytes());
    check(&World::of(head, &lines(tokens, MOST_TOKENS), &lines(requests, MOST_REQUESTS)));
}

/// The engine, by every strategy, decides as the reference does, and so does the explanation; so does the reference that
/// sees the compiled policy's source instead of the document.
pub(crate) fn check(World { document, requests }: &World) {
    let policy = policy(document);
    let written = document::reference(document);
    let lowered = Reference::new(&policy);
    assert_eq!(lowered.unreadable(), [], "{document:#}");
    let mut expected = Vec::new();
    for asked in requests {
        let decision = asked.ask(|request, now| written.decide(request, now));
        let by_lowered = asked.ask(|request, now| lowered.decide(request, now));
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
