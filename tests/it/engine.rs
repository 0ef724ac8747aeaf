//! The engine, as tests confront it with the reference.

use portcullis::decision::{Reason, decide};
use portcullis::explain::{CheckOutcome, explain};
use portcullis::model::Policy;
use portcullis::snapshot::{Options, ResidueStrategy, Snapshot};
use portcullis_document::definition::read;
use portcullis_document::lower::{LowerOptions, Lowered, Named, lower};
use portcullis_testkit::reference::ReferenceDecision;
use serde_json::Value;

use crate::request::Asked;

/// What becomes of a document, invalid tokens skipped or not.
pub(crate) fn lowered(text: &str, skip_invalid: bool) -> Lowered {
    let document = read(text).unwrap();
    let options = LowerOptions { skip_invalid, ..LowerOptions::default() };
    lower(&[Named { name: "policy.json", document: &document }], &options)
}

/// The policy of a valid document.
pub(crate) fn policy(document: &Value) -> Policy {
    let Lowered { policy, problems, .. } = lowered(&document.to_string(), false);
    policy.unwrap_or_else(|| panic!("refused: {problems:#?}\n{document:#}"))
}

pub(crate) fn snapshot(policy: &Policy, options: &Options) -> Snapshot {
    Snapshot::compile(policy, options).unwrap()
}

pub(crate) fn by_engine(snapshot: &Snapshot, asked: &Asked) -> ReferenceDecision {
    asked.ask(|request, now| ReferenceDecision::from(&decide(snapshot, request, now)))
}

/// What `explain` says the decision is, having checked that the check which it says failed is the one of that reason.
pub(crate) fn by_explanation(snapshot: &Snapshot, asked: &Asked) -> ReferenceDecision {
    let explanation = asked.ask(|request, now| explain(snapshot, request, now));
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

/// The check of N10 that gives a reason.
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

/// Runs `check` with every choice that a compilation can make: the default one, then each forced.
pub(crate) fn for_each_strategy(mut check: impl FnMut(&'static str, &Options)) {
    for (name, options) in strategies() {
        check(name, &options);
    }
}

/// What [`for_each_strategy`] goes through.
pub(crate) fn strategies() -> Vec<(&'static str, Options)> {
    use ResidueStrategy::{Auto, Automaton, EachByItself, Literals};
    // What an automaton grows to, and how long that takes, is not what these are about.
    let by_hash = Options { residue: EachByItself, ..Options::default() };
    // No pattern is told apart by a hash: all become residue.
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
