//! Helpers that run the engine, for comparison with the reference.

use portcullis::decision::{Reason, decide};
use portcullis::explain::{CheckOutcome, explain};
use portcullis::model::Policy;
use portcullis::snapshot::{Options, ResidueStrategy, Snapshot};
use portcullis_document::definition::read;
use portcullis_document::lower::{LowerOptions, Lowered, Named, lower};
use portcullis_testkit::reference::ReferenceDecision;
use serde_json::Value;

use crate::request::OwnedRequest;

/// Lowers a document, with or without skipping invalid tokens.
pub(crate) fn lowered(text: &str, skip_invalid: bool) -> Lowered {
    let document = read(text).unwrap();
    let options = LowerOptions { skip_invalid, ..LowerOptions::default() };
    lower(&[Named { name: "policy.json", document: &document }], &options)
}

/// Returns the policy of a valid document.
pub(crate) fn policy(document: &Value) -> Policy {
    let Lowered { policy, problems, .. } = lowered(&document.to_string(), false);
    policy.unwrap_or_else(|| panic!("refused: {problems:#?}\n{document:#}"))
}

pub(crate) fn snapshot(policy: &Policy, options: &Options) -> Snapshot {
    Snapshot::compile(policy, options).unwrap()
}

pub(crate) fn by_engine(snapshot: &Snapshot, asked: &OwnedRequest) -> ReferenceDecision {
    asked.with(|request, now| ReferenceDecision::from(&decide(snapshot, request, now)))
}

/// Returns the decision of `explain`, after verifying that the failed check belongs to the reason of the decision.
pub(crate) fn by_explanation(snapshot: &Snapshot, asked: &OwnedRequest) -> ReferenceDecision {
    let explanation = asked.with(|request, now| explain(snapshot, request, now));
    let decision = explanation.decision();
    let failed: Vec<u8> = explanation
        .checks()
        .iter()
        .filter(|check| check.outcome == CheckOutcome::Failed)
        .map(|check| check.number)
        .collect();
    let expected: Vec<u8> = decision.reason().map(number_of).into_iter().collect();
    assert_eq!(failed, expected, "{asked:?}\n{explanation}");
    ReferenceDecision::from(&decision)
}

/// Returns the number of the check of N10 that gives a reason.
fn number_of(reason: Reason) -> u8 {
    match reason {
        Reason::PolicyUnavailable | Reason::RequestNotUnderstood => 0,
        Reason::TokenMissing => 1,
        Reason::TokenUnknown => 2,
        Reason::TokenExpired => 3,
        Reason::ApiNotAllowed => 4,
        Reason::RefererMissing | Reason::RefererNotAllowed => 5,
        Reason::SourceMalformed => 6,
        Reason::ConnectionNotGranted => 7,
        Reason::QueryNotAccepted => 8,
        Reason::GrantKindNotAccepted | Reason::SourceNotGranted => 9,
    }
}

/// Runs `check` with every compilation strategy: the default one, then each forced one.
pub(crate) fn for_each_strategy(mut check: impl FnMut(&'static str, &Options)) {
    for (name, options) in strategies() {
        check(name, &options);
    }
}

/// Returns the strategies of [`for_each_strategy`], with names.
pub(crate) fn strategies() -> Vec<(&'static str, Options)> {
    use ResidueStrategy::{Auto, Automaton, EachByItself, Literals};
    // These strategies avoid automata, which are large and slow to build.
    let by_hash = Options { residue: EachByItself, ..Options::default() };
    // No pattern is found through a hash: all become residue.
    let residue =
        |residue| Options { same_key: 0, shapes: 0, residue, automaton_bytes: 128 << 10, ..Options::default() };
    vec![
        ("default", Options::default()),
        ("hashes: no key shared", Options { same_key: 0, ..by_hash.clone() }),
        ("hashes: one pattern a key", Options { same_key: 1, ..by_hash.clone() }),
        ("hashes: any number a key", Options { same_key: usize::MAX, shapes: usize::MAX, ..by_hash.clone() }),
        ("hashes: one shape", Options { shapes: 1, ..by_hash.clone() }),
        ("runs: searched", Options { scan_up_to: 0, ..by_hash.clone() }),
        ("runs: scanned", Options { scan_up_to: usize::MAX, ..by_hash }),
        ("residue: chosen", residue(Auto)),
        ("residue: each by itself", residue(EachByItself)),
        ("residue: automaton", residue(Automaton)),
        ("residue: automaton that outgrows its limit", Options { automaton_bytes: 1 << 10, ..residue(Automaton) }),
        ("residue: automaton of a few patterns", Options { automaton_patterns: 2, ..residue(Auto) }),
        ("residue: literals", residue(Literals)),
    ]
}
