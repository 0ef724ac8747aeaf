//! What holds for every policy and every request.

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
use crate::request::{Asked, AskedSource, Presented};
use crate::texts;

fn by_reference(reference: &Reference, asked: &Asked) -> ReferenceDecision {
    asked.ask(|request, now| reference.decide(request, now))
}

/// The engine's answers under the default options, having checked that the reference gives them too.
fn decisions(document: &Value, requests: &[Asked]) -> Result<Vec<ReferenceDecision>, TestCaseError> {
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
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn the_engine_decides_as_the_reference(world in worlds()) {
        fuzzed::decisions::check(&world);
    }

    /// Grants in any order, and any of them twice, decide alike.
    #[test]
    fn order_and_duplicates_of_grants_do_not_matter(
        World { document, requests } in worlds(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 8..24),
    ) {
        let before = decisions(&document, &requests)?;
        let mut shuffled = document.clone();
        // For each token, the place in its old list of each grant of its new list.
        let mut origins: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for token in shuffled["tokens"].as_array_mut().unwrap() {
            let grants = list(&token["grants"]).to_vec();
            if grants.is_empty() {
                continue;
            }
            // Some of them, some repeatedly, and then those that are still missing.
            let mut origin: Vec<usize> = places.iter().map(|place| place.index(grants.len())).collect();
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
            // Another grant may stand first among equals; it is as specific.
            let written = &list(&document["tokens"]).iter().find(|found| found["id"] == **token).unwrap()["grants"];
            for (before, after) in grants.iter().zip(found) {
                let [before, after] = [before, after].map(|&grant| usize::try_from(grant).unwrap());
                let (before, after) = (&written[before], &written[origins[token][after]]);
                prop_assert_eq!(rank(&document, before), rank(&document, after), "{:?}\n{:#}", asked, document);
            }
        }
    }

    /// What was allowed stays allowed when a grant is added.
    #[test]
    fn adding_a_grant_never_revokes(World { document, requests } in worlds(), at in any::<prop::sample::Index>(), new in bytes(40)) {
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

    /// Time takes away, and gives nothing back: an answer stays until it becomes `token_expired`, and that stays.
    #[test]
    fn expiry_is_monotone(World { document, requests } in worlds(), later in prop::collection::vec(0..200_000_000_i64, 24)) {
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

    /// A token without referers takes no notice of the header; taking the referers away never revokes.
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
            let asked: Vec<Asked> = requests.iter().map(|asked| Asked { referer: other.clone(), ..asked.clone() }).collect();
            prop_assert_eq!(&decisions(&open, &asked)?, &expected, "{:?}\n{:#}", other, open);
        }
        for (before, after) in before.iter().zip(&expected) {
            let by_referer = matches!(before, ReferenceDecision::Deny(Reason::RefererMissing | Reason::RefererNotAllowed));
            prop_assert!(by_referer || before == after);
        }
    }

    /// An invalid token rejects the document; skipped, it is unknown, and nothing else changes.
    #[test]
    fn skipping_invalid_tokens_drops_just_those(
        World { document, requests } in worlds(),
        at in any::<prop::sample::Index>(),
        flaw in 0..FLAWS.len(),
    ) {
        let before = decisions(&document, &requests)?;
        let mut flawed = document.clone();
        let tokens = flawed["tokens"].as_array_mut().unwrap();
        let place = at.index(tokens.len() + 1);
        let (field, value) = FLAWS[flaw];
        let mut token = json!({ "id": "flawed", "token": "secret-flawed", "allowed_apis": ["maps"], "grants": [{ "connection_name": "dw", "source": "*" }] });
        token[field] = serde_json::from_str(value).unwrap();
        tokens.insert(place, token);
        let text = flawed.to_string();

        let strict = lowered(&text, false);
        prop_assert!(strict.policy.is_none(), "{:#}", flawed);
        let of_it = format!("tokens[{place}]");
        prop_assert!(!strict.problems.is_empty());
        for problem in &strict.problems {
            prop_assert!(problem.place.to_string().starts_with(&of_it), "{}\n{:#}", problem, flawed);
        }
        let skipping = lowered(&text, true);
        prop_assert_eq!(skipping.problems.len(), strict.problems.len());
        let snapshot = snapshot(&skipping.policy.unwrap(), &Options::default());
        for (asked, before) in requests.iter().zip(&before) {
            prop_assert_eq!(&by_engine(&snapshot, asked), before, "{:?}\n{:#}", asked, flawed);
            let credential = Presented::Secret("secret-flawed".to_owned());
            let found = by_engine(&snapshot, &Asked { credential, ..asked.clone() });
            prop_assert_eq!(found, ReferenceDecision::Deny(Reason::TokenUnknown));
        }
    }

    /// A secret and its digest are the same credential.
    #[test]
    fn a_digest_is_as_good_as_its_secret(World { document, requests } in worlds()) {
        let other = |asked: &Asked| match &asked.credential {
            Presented::Nothing => asked.clone(),
            Presented::Secret(secret) if secret.is_empty() => asked.clone(),
            Presented::Secret(secret) | Presented::DigestOf(secret) => {
                let secret = secret.clone();
                let digest = matches!(asked.credential, Presented::Secret(_));
                let credential = if digest { Presented::DigestOf(secret) } else { Presented::Secret(secret) };
                Asked { credential, ..asked.clone() }
            }
        };
        let others: Vec<Asked> = requests.iter().map(other).collect();
        let comparable = requests.iter().all(|asked| !matches!(&asked.credential, Presented::DigestOf(secret) if secret.is_empty()));
        prop_assume!(comparable);
        prop_assert_eq!(decisions(&document, &requests)?, decisions(&document, &others)?);
    }

    /// An allow of several sources is an allow of each; and what is asked twice is granted twice alike.
    #[test]
    fn several_sources_are_allowed_together_when_each_is(World { document, requests } in worlds()) {
        let snapshot = snapshot(&policy(&document), &Options::default());
        for asked in requests.iter().filter(|asked| asked.sources.len() > 1) {
            let alone = |source: &AskedSource| Asked { sources: vec![source.clone()], ..asked.clone() };
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

/// What makes a token invalid: a field, and a value that it cannot have.
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

/// How specific a grant is: its kind's place in N10, then the literal characters of a pattern.
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
