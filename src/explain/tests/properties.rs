//! An explanation agrees with the decision, and stays bounded.

use proptest::prelude::*;

use super::*;
use crate::explain::{CheckOutcome, NearMissKind};
use crate::model::Operation;

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::collection::vec(prop::sample::select(vec!["a", "b", "A", "ab", "*", "a_b"]), 1..4).prop_map(|s| s.join(".")),
        2 => "[ab.`\" *@:]{0,8}",
        2 => prop::sample::select(vec!["shops", "SELECT 1", "select  1", "SELECT 1 limit 2", "shop-s", "Shops", ";", SECRET]).prop_map(str::to_owned),
        1 => "\\PC{0,12}",
    ]
}

fn any_kind() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["resource", "query", "named_source"])
}

fn any_connection() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["carto_dw", "snow", "pg", "plain", "bricks", "curated", "Snow", "elsewhere"])
}

fn any_referer() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        "(https?|ftp)?(://)?([ab]\\.)?(u@)?carto\\.com(:80|:8080)?(/[ab]?)?(\\?x)?".prop_map(Some),
        any_text().prop_map(Some),
    ]
}

prop_compose! {
    fn any_grant()(connection in 0..CONNECTIONS.len(), kind in 0..5_usize, text in any_text()) -> Option<String> {
        let (name, dialect, _) = CONNECTIONS[connection];
        let kind = ["resource", "pattern", "query", "named_source", "all"][kind];
        let text = if kind == "all" { "*" } else { &text };
        let read = GrantSource::typed(Some(text), SourceType::from_name(kind)?, dialect, &Limits::default());
        read.is_ok().then(|| format!("{name} {kind} {text}"))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn explanation_agrees_with_decide(
        grants in prop::collection::vec(any_grant(), 0..12),
        referers in prop::sample::select(vec![vec![], vec!["https://carto.com", "http://*.carto.com/a/*"]]),
        expiry in prop::sample::select(vec![None, None, Some("2026-12-01"), Some("2026-11-22")]),
        sources in prop::collection::vec((any_kind(), any_text()), 0..4),
        (secret, api, connection) in (
            prop::sample::select(vec![SECRET, SECRET, SECRET, SECRET, "", "another secret"]),
            prop::sample::select(vec!["maps", "maps", "sql", "imports", "lds", "map", "x"]),
            any_connection(),
        ),
        referer in any_referer(),
        model in any::<bool>(),
    ) {
        let grants: Vec<String> = grants.into_iter().flatten().collect();
        let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
        let snapshot =
            snapshot(&TokenPlan { apis: &["maps", "sql", "lds"], grants: &grants, referers: &referers, expiry });
        let sources: Vec<Source<'_>> = sources
            .iter()
            .map(|(kind, text)| match *kind {
                "resource" => Source::Resource(text),
                "query" => Source::Query(text),
                _ => Source::NamedSource(text),
            })
            .collect();
        let request = Request {
            referer: referer.as_deref(),
            operation: if model { Operation::Model } else { Operation::Query },
            ..Request::new(api, connection).secret(secret).sources(&sources)
        };
        // `explained` asserts that the decision equals that of `decide`.
        let explanation = explained(&snapshot, &request);
        let failed = explanation.checks().iter().filter(|check| check.outcome == CheckOutcome::Failed).count();
        prop_assert_eq!(failed, usize::from(!explanation.decision().is_allow()));
        let reached = explanation.checks().iter().all(|check| {
            check.detail.is_empty() == (check.outcome == CheckOutcome::NotReached)
        });
        prop_assert!(reached, "{}", explanation);
    }
}

#[test]
fn token_with_many_grants_is_explained_within_seconds() {
    let grants: Vec<String> = (0..100_000)
        .map(|at| match at % 4 {
            0 => format!("plain resource carto.shared.demo_{at:06}_table"),
            1 => format!("plain pattern carto.shared_{at}.demo_*_table"),
            2 => format!("plain query SELECT * FROM t_{at}  -- {at:040}"),
            _ => format!("plain named_source shops_{at:06}"),
        })
        .collect();
    let grants: Vec<&str> = grants.iter().map(String::as_str).collect();
    let snapshot = snapshot(&TokenPlan { apis: &["maps"], grants: &grants, ..TokenPlan::default() });
    let request = Request::new("maps", "plain").secret(SECRET);
    let started = std::time::Instant::now();
    for requested in ["resource carto.shared.demo_000001_table", "named_source shops-000001", "query SELECT * FROM t_1"]
    {
        let explanation = explained(&snapshot, &request.source(source(requested)));
        assert_eq!(explanation.near_misses().len(), 5, "{explanation}");
    }
    // A generous limit: this is a debug build on a busy machine.
    assert!(started.elapsed().as_secs() < 30, "{:?}", started.elapsed());
}

#[test]
fn codes_are_distinct_and_snake_case() {
    let codes: std::collections::BTreeSet<&str> = NearMissKind::ALL.iter().map(|kind| kind.code()).collect();
    assert_eq!(codes.len(), NearMissKind::ALL.len());
    assert!(codes.iter().all(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
}
