//! Properties of every policy and every request.

use std::collections::BTreeMap;

use portcullis::decision::Reason;
use portcullis::snapshot::Options;
use portcullis_testkit::reference::{Reference, ReferenceDecision};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::choices::{Choices, bytes, config};
use crate::document::{self, list};
use crate::engine::{by_engine, by_explanation, lowered, policy, snapshot};
use crate::fuzzed;
use crate::generate::{self, World, worlds};
use crate::request::{OwnedRequest, OwnedSource, Presented};
use crate::texts;

fn by_reference(reference: &Reference, asked: &OwnedRequest) -> ReferenceDecision {
    asked.with(|request, now| reference.decide(request, now))
}

/// Returns the decisions of the engine with the default options, after comparing them with those of the reference.
fn decisions(document: &Value, requests: &[OwnedRequest]) -> Result<Vec<ReferenceDecision>, TestCaseError> {
    let snapshot = snapshot(&policy(document), &Options::default());
    let reference = document::reference(document);
    let mut decisions = Vec::new();
    for asked in requests {
        let found = by_engine(&snapshot, asked);
        prop_assert_eq!(&found, &by_reference(&reference, asked), "{:?}\n{:#}", asked, document);
        prop_assert_eq!(&found, &by_explanation(&snapshot, asked), "explained: {:?}\n{:#}", asked, document);
        decisions.push(found);
    }
    Ok(decisions)
}

/// With generators that match nothing, every property would hold.
#[test]
fn generated_requests_are_allowed_and_denied_for_every_reason() {
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
        let is_not_generated = matches!(reason, Reason::PolicyUnavailable | Reason::RequestNotUnderstood);
        assert!(is_not_generated || outcomes.contains_key(&Some(reason)), "never {reason}: {outcomes:?}");
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn engine_decides_as_the_reference(world in worlds()) {
        fuzzed::decisions::check(&world);
    }

    /// Reordering and repeating grants changes no decision.
    #[test]
    fn order_and_duplicates_of_grants_do_not_matter(
        World { document, requests } in worlds(),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 8..24),
    ) {
        let before = decisions(&document, &requests)?;
        let mut shuffled = document.clone();
        // For each token, the old index of each grant in its new list.
        let mut origins: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for token in shuffled["tokens"].as_array_mut().unwrap() {
            let grants = list(&token["grants"]).to_vec();
            if grants.is_empty() {
                continue;
            }
            // Random grants, some repeatedly, and then all grants.
            let mut origin: Vec<usize> = choices.iter().map(|choice| choice.index(grants.len())).collect();
            origin.extend((0..grants.len()).rev());
            token["grants"] = origin.iter().map(|&at| grants[at].clone()).collect::<Vec<_>>().into();
            origins.insert(token["id"].as_str().unwrap().to_owned(), origin);
        }
        let after = decisions(&shuffled, &requests)?;
        for ((asked, before), after) in requests.iter().zip(&before).zip(&after) {
            let (ReferenceDecision::Allow { token, grants }, ReferenceDecision::Allow { token: same, grants: found }) =
                (before, after)
            else {
                prop_assert_eq!(before, after, "{:?}\n{:#}", asked, document);
                continue;
            };
            prop_assert_eq!((token, grants.len()), (same, found.len()));
            // Another grant may be the first of several equally specific grants.
            let written = &list(&document["tokens"]).iter().find(|found| found["id"] == **token).unwrap()["grants"];
            for (before, after) in grants.iter().zip(found) {
                let [before, after] = [before, after].map(|&grant| usize::try_from(grant).unwrap());
                let (before, after) = (&written[before], &written[origins[token][after]]);
                prop_assert_eq!(rank(&document, before), rank(&document, after), "{:?}\n{:#}", asked, document);
            }
        }
    }

    /// Allowed requests stay allowed after a grant is added.
    #[test]
    fn adding_a_grant_denies_no_allowed_request(World { document, requests } in worlds(), at in any::<prop::sample::Index>(), new in bytes(40)) {
        let before = decisions(&document, &requests)?;
        let mut more = document.clone();
        let grant = generate::grant(&mut Choices::of(&new), &document);
        let tokens = more["tokens"].as_array_mut().unwrap();
        let index = at.index(tokens.len());
        let token = &mut tokens[index];
        if token["grants"].is_null() {
            token["grants"] = json!([]);
        }
        let grants = token["grants"].as_array_mut().unwrap();
        grants.insert(at.index(grants.len() + 1), grant);
        let after = decisions(&more, &requests)?;
        for ((asked, before), after) in requests.iter().zip(&before).zip(&after) {
            let revoked = matches!((before, after), (ReferenceDecision::Allow { .. }, ReferenceDecision::Deny(_)));
            prop_assert!(!revoked, "{:?}\n{:#}", asked, more);
        }
    }

    /// A decision does not change with time, except to `token_expired`, which is final.
    #[test]
    fn time_changes_decisions_only_to_token_expired(World { document, requests } in worlds(), later in prop::collection::vec(0..200_000_000_i64, 24)) {
        let before = decisions(&document, &requests)?;
        let mut postponed = requests.clone();
        for (asked, seconds) in postponed.iter_mut().zip(later) {
            asked.now = portcullis::base::Timestamp::from_unix(asked.now.seconds() + seconds, asked.now.nanoseconds());
        }
        let after = decisions(&document, &postponed)?;
        for ((asked, before), after) in postponed.iter().zip(&before).zip(&after) {
            let expired = ReferenceDecision::Deny(Reason::TokenExpired);
            let unknown = matches!(before, ReferenceDecision::Deny(Reason::TokenMissing | Reason::TokenUnknown));
            prop_assert!(after == before || (*after == expired && !unknown), "{:?}: {:?}, then {:?}\n{:#}", asked, before, after, document);
        }
    }

    /// A token without referers ignores the header. Removing the referers denies no allowed request.
    #[test]
    fn no_referers_means_any_referer(World { document, requests } in worlds(), header in bytes(12)) {
        let before = decisions(&document, &requests)?;
        let mut open = document.clone();
        for token in open["tokens"].as_array_mut().unwrap() {
            token.as_object_mut().unwrap().remove("referers");
        }
        let expected = decisions(&open, &requests)?;
        let header = texts::entry(&mut Choices::of(&header));
        for other in [None, Some(String::new()), Some(header)] {
            let asked: Vec<OwnedRequest> = requests.iter().map(|asked| OwnedRequest { referer: other.clone(), ..asked.clone() }).collect();
            prop_assert_eq!(&decisions(&open, &asked)?, &expected, "{:?}\n{:#}", other, open);
        }
        for (before, after) in before.iter().zip(&expected) {
            let by_referer = matches!(before, ReferenceDecision::Deny(Reason::RefererMissing | Reason::RefererNotAllowed));
            prop_assert!(by_referer || before == after);
        }
    }

    /// An invalid token rejects the document. If it is skipped, it is unknown, and no other decision changes.
    #[test]
    fn skipping_invalid_tokens_drops_only_those(
        World { document, requests } in worlds(),
        at in any::<prop::sample::Index>(),
        flaw in 0..FLAWS.len(),
    ) {
        let before = decisions(&document, &requests)?;
        let mut flawed = document.clone();
        let tokens = flawed["tokens"].as_array_mut().unwrap();
        let index = at.index(tokens.len() + 1);
        let (field, value) = FLAWS[flaw];
        let mut token = json!({ "id": "flawed", "token": "secret-flawed", "allowed_apis": ["maps"], "grants": [{ "connection_name": "dw", "source": "*" }] });
        token[field] = serde_json::from_str(value).unwrap();
        tokens.insert(index, token);
        let text = flawed.to_string();

        let strict = lowered(&text, false);
        prop_assert!(strict.policy.is_none(), "{:#}", flawed);
        let of_it = format!("tokens[{index}]");
        prop_assert!(!strict.problems.is_empty());
        for problem in &strict.problems {
            prop_assert!(problem.path.to_string().starts_with(&of_it), "{}\n{:#}", problem, flawed);
        }
        let skipping = lowered(&text, true);
        prop_assert_eq!(skipping.problems.len(), strict.problems.len());
        let snapshot = snapshot(&skipping.policy.unwrap(), &Options::default());
        for (asked, before) in requests.iter().zip(&before) {
            prop_assert_eq!(&by_engine(&snapshot, asked), before, "{:?}\n{:#}", asked, flawed);
            let credential = Presented::Secret("secret-flawed".to_owned());
            let found = by_engine(&snapshot, &OwnedRequest { credential, ..asked.clone() });
            prop_assert_eq!(found, ReferenceDecision::Deny(Reason::TokenUnknown));
        }
    }

    /// A secret and its digest are equivalent credentials.
    #[test]
    fn digest_and_secret_give_equal_decisions(World { document, requests } in worlds()) {
        let other = |asked: &OwnedRequest| match &asked.credential {
            Presented::Nothing => asked.clone(),
            Presented::Secret(secret) if secret.is_empty() => asked.clone(),
            Presented::Secret(secret) | Presented::DigestOf(secret) => {
                let secret = secret.clone();
                let digest = matches!(asked.credential, Presented::Secret(_));
                let credential = if digest { Presented::DigestOf(secret) } else { Presented::Secret(secret) };
                OwnedRequest { credential, ..asked.clone() }
            }
        };
        let others: Vec<OwnedRequest> = requests.iter().map(other).collect();
        let comparable = requests.iter().all(|asked| !matches!(&asked.credential, Presented::DigestOf(secret) if secret.is_empty()));
        prop_assume!(comparable);
        prop_assert_eq!(decisions(&document, &requests)?, decisions(&document, &others)?);
    }

    /// A request for several sources is allowed if and only if each source is allowed alone, by the same grants.
    #[test]
    fn several_sources_are_allowed_if_each_is_allowed(World { document, requests } in worlds()) {
        let snapshot = snapshot(&policy(&document), &Options::default());
        for asked in requests.iter().filter(|asked| asked.sources.len() > 1) {
            let alone = |source: &OwnedSource| OwnedRequest { sources: vec![source.clone()], ..asked.clone() };
            let each: Vec<_> = asked.sources.iter().map(|source| by_engine(&snapshot, &alone(source))).collect();
            let together = by_engine(&snapshot, asked);
            match &together {
                ReferenceDecision::Allow { grants, .. } => {
                    let of_each: Vec<u32> = each.iter().filter_map(|decision| match decision {
                        ReferenceDecision::Allow { grants, .. } => grants.first().copied(),
                        ReferenceDecision::Deny(_) => None,
                    }).collect();
                    prop_assert_eq!(grants, &of_each, "{:?}\n{:#}", asked, document);
                }
                ReferenceDecision::Deny(_) => prop_assert!(each.contains(&together), "{:?}\n{:#}", asked, document),
            }
        }
    }
}

/// Fields with invalid values.
const FLAWS: [(&str, &str); 10] = [
    ("allowed_apis", "[]"),
    ("allowed_apis", r#"["maps", "imports"]"#),
    ("allowed_apis", r#"["map"]"#),
    ("grants", "[]"),
    ("grants", r#"[{"connection_name": "dw", "source": "a..b", "type": "resource"}]"#),
    ("grants", r#"[{"connection_name": "dw"}]"#),
    ("referers", r#"["carto.com"]"#),
    ("referrers", "[]"),
    ("expiration_date", r#""7d""#),
    ("token_sha256", r#""0""#),
];

/// Returns the specificity of a grant: the rank of its kind in N10, then the number of literal characters of a pattern.
fn rank(document: &Value, grant: &Value) -> (u8, usize) {
    let connection = grant["connection_name"].as_str().unwrap();
    let dialect = generate::dialect_of(document, connection);
    let text = grant["source"].as_str().unwrap_or("*");
    match portcullis::pattern::naive::parse(text, dialect) {
        _ if text == "*" || grant["type"] == "all" => (0, 0),
        Some(pattern) if grant["type"].is_null() || grant["type"] == "pattern" => {
            (1, portcullis::pattern::naive::literal_characters(&pattern))
        }
        _ => (2, 0),
    }
}
