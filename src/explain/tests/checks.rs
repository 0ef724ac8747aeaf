//! The details of each check.

use super::*;
use crate::explain::CheckOutcome;
use crate::model::Operation;

const APIS: &[&str] = &["maps", "sql"];
const GRANTS: &[&str] = &[
    "carto_dw resource carto.shared.roads",
    "carto_dw pattern carto.shared.*",
    "carto_dw pattern carto.*.roads",
    "carto_dw query SELECT 1",
    "carto_dw all *",
    "curated named_source shops",
];

fn detail(explanation: &Explanation, number: u8) -> (&'static str, &str) {
    let check = explanation.checks().iter().find(|check| check.number == number).unwrap();
    (check.outcome.as_str(), &check.detail)
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn every_check_describes_its_input() {
    let open = snapshot(&TokenPlan { apis: APIS, grants: GRANTS, ..TokenPlan::default() });
    let referers = &["https://carto.com", "https://*.example.com/app/*"];
    let narrow = TokenPlan { apis: APIS, grants: GRANTS, referers, expiry: Some("2026-12-01") };
    let narrow = snapshot(&narrow);
    let roads = Request::new("maps", "carto_dw").secret(SECRET).source(Source::Resource("carto.shared.roads"));
    let select = Request::new("sql", "curated").secret(SECRET).source(Source::Query("select 1"));
    let two = [Source::Resource("carto.shared.roads"), Source::Resource("a..b")];
    for (snapshot, request, number, want, why) in [
        (
            &open,
            roads.secret(""),
            1,
            ("failed", "the request has an empty one, which counts as none"),
            "an empty secret",
        ),
        (&open, roads.secret(""), 2, ("not_reached", ""), "after the failure"),
        (&open, roads, 1, ("passed", "the request has a secret"), "a secret"),
        (
            &open,
            roads.digest(SecretDigest::of(SECRET)),
            1,
            ("passed", "the request has the digest of a secret"),
            "a digest",
        ),
        (&open, roads.secret("x"), 2, ("failed", "none of the 1 tokens of the policy has this secret"), "unknown"),
        (&open, roads, 2, ("passed", "its secret is that of token `tk_1`"), "known"),
        (&open, roads, 3, ("passed", "it never expires"), "no expiry"),
        (&narrow, roads, 3, ("passed", "it expires at 2026-12-01T00:00:00Z, 8 days from now"), "an expiry"),
        (&open, roads, 4, ("passed", "the request is for `maps`, the token lists `maps` and `sql`"), "APIs"),
        (
            &open,
            roads,
            5,
            ("passed", "it lists no referer: any request is accepted, with or without one"),
            "any referer",
        ),
        (
            &narrow,
            roads,
            5,
            (
                "failed",
                "the request has no Referer, the token accepts `https://carto.com/` and `https://*.example.com/app/*`",
            ),
            "no referer",
        ),
        (
            &narrow,
            roads.referer("https://carto.com/x?token=1"),
            5,
            ("passed", "`https://carto.com/x?…` matches entry `https://carto.com/`"),
            "a referer, its query not repeated",
        ),
        (
            &narrow,
            roads.referer("https://example.com/"),
            5,
            ("failed", "`https://example.com/` matches none of `https://carto.com/` and `https://*.example.com/app/*`"),
            "another referer",
        ),
        (
            &narrow,
            roads.referer("nonsense"),
            5,
            (
                "failed",
                "the Referer is not one that can match, the token accepts `https://carto.com/` and `https://*.example.com/app/*`",
            ),
            "no URL",
        ),
        (&open, roads, 6, ("passed", "resource `carto.shared.roads`"), "a source"),
        (&open, roads.sources(&two), 6, ("failed", "source 1 of 2, resource `a..b` is not"), "which source"),
        (&open, roads.sources(&[]), 6, ("failed", "the request names no source"), "no source"),
        (&open, roads, 7, ("passed", "5 different grants on `carto_dw`, of dialect `bigquery`"), "a connection"),
        (
            &open,
            Request { connection: "nowhere", ..roads },
            7,
            ("failed", "none on `nowhere`, which nothing declares; there are grants on `carto_dw` and `curated`"),
            "an unknown connection",
        ),
        (&open, roads, 8, ("passed", "`carto_dw` refuses no kind"), "any kind"),
        (
            &open,
            select,
            8,
            ("failed", "query `select 1` is refused: `curated` accepts named sources only"),
            "a query on a connection that refuses it",
        ),
        (
            &open,
            select.source(Source::NamedSource("shops")),
            8,
            ("passed", "`curated` refuses queries, and no source is one"),
            "a named source there",
        ),
        (
            &open,
            roads,
            9,
            (
                "passed",
                "grant 0 (resource `carto.shared.roads`) covers resource `carto.shared.roads` (so does grant 1 (pattern \
                 `carto.shared.*`), grant 2 (pattern `carto.*.roads`) and grant 4 (all sources))",
            ),
            "the deciding grant, and other covering grants",
        ),
        (
            &open,
            select.source(Source::NamedSource("shop")),
            9,
            (
                "failed",
                "no grant on `curated` covers named source `shop`; `sql` considers queries, named sources and all sources",
            ),
            "no grant",
        ),
    ] {
        assert_eq!(detail(&explained(snapshot, &request), number), want, "{why}");
    }
}

#[test]
fn api_without_sources_skips_source_checks() {
    let snapshot = snapshot(&TokenPlan { apis: &["lds"], ..TokenPlan::default() });
    let explanation = explained(&snapshot, &Request::new("lds", "").secret(SECRET));
    assert!(explanation.decision().is_allow());
    for number in 6..=9 {
        assert_eq!(detail(&explanation, number), ("not_needed", "`lds` needs no source"));
    }
}

#[test]
fn explanation_displays_checks_and_near_misses() {
    let snapshot = snapshot(&TokenPlan { apis: APIS, grants: GRANTS, ..TokenPlan::default() });
    let request = Request::new("sql", "curated").secret(SECRET).source(Source::NamedSource("shosp"));
    let explanation = explained(&snapshot, &request);
    let want = "\
deny: source_not_granted (403), token `tk_1`
  ok   1. a token is presented: the request has a secret
  ok   2. it is known: its secret is that of token `tk_1`
  ok   3. it has not expired: it never expires
  ok   4. it lists the API: the request is for `sql`, the token lists `maps` and `sql`
  ok   5. its referers accept the request: it lists no referer: any request is accepted, with or without one
  ok   6. every source is well-formed: named source `shosp`
  ok   7. it has a grant on the connection: 1 grant on `curated`, of dialect `generic`
  ok   8. the connection accepts the kind of source: `curated` refuses queries, and no source is one
  FAIL 9. a considered grant covers every source: no grant on `curated` covers named source `shosp`; `sql` considers queries, \
named sources and all sources
near misses:
  - named source `shosp` differs by a transposition from granted `shops` [similar_named_source]
  - the same named source is granted on connection `carto_dw`, by grant 4 (all sources) [other_connection]";
    assert_eq!(explanation.to_string(), want);
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(
        (&json["decision"], &json["reason"], &json["status"], &json["token"]),
        (&"deny".into(), &"source_not_granted".into(), &403.into(), &"tk_1".into())
    );
    assert_eq!(json["checks"][8]["outcome"], "failed");
    assert_eq!(json["near_misses"][0]["code"], "similar_named_source");
    assert_eq!(json["near_misses"][0]["grant"], 5);
}

#[test]
fn outcomes_follow_the_decision() {
    let snapshot = snapshot(&TokenPlan { apis: APIS, grants: GRANTS, ..TokenPlan::default() });
    let request = Request::new("sql", "carto_dw").secret(SECRET).operation(Operation::Model);
    let explanation = explained(&snapshot, &request.source(Source::Resource("carto.shared.roads")));
    assert!(explanation.checks().iter().all(|check| check.outcome == CheckOutcome::Passed));
    assert_eq!(serde_json::to_value(&explanation).unwrap()["grants"], serde_json::json!([0]));
}
