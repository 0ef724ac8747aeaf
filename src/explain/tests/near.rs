//! Near misses: for each code, requests that report it.

use super::*;
use crate::decision::Reason;
use crate::explain::NearMissKind;
use crate::model::Operation;

const APIS: &[&str] = &["maps", "sql"];
const GRANTS: &[&str] = &[
    "carto_dw resource carto.shared.demo_table", // 0
    "carto_dw pattern carto.roads.ROADS_*",      // 1
    "snow pattern carto.\"Public\".shops_*_raw", // 2
    "snow resource carto.public.shops",          // 3
    "carto_dw query SELECT id, name FROM shops", // 4
    "plain query SELECT  a -- b # c",            // 5
    "carto_dw named_source shops-by-city",       // 6
    "curated named_source curated-shops",        // 7
    "plain resource a.\"my table\"",             // 8
    "pg pattern public.*",                       // 9
    "plain pattern city.*.x_*",                  // 10
];

/// `api[/model] connection kind source`, the reason, the code, the grant, the message.
type Case = (&'static str, Reason, NearMissKind, Option<u32>, &'static str);

fn check(snapshot: &Snapshot, cases: &[Case]) {
    for &(requested, reason, kind, grant, message) in cases {
        let [api, connection, what] = requested.splitn(3, ' ').collect::<Vec<_>>()[..] else { panic!("{requested}") };
        let (api, operation) = match api.strip_suffix("/model") {
            Some(api) => (api, Operation::Model),
            None => (api, Operation::Query),
        };
        let request = Request::new(api, connection).secret(SECRET).operation(operation).source(source(what));
        let explanation = explained(snapshot, &request);
        assert_eq!(explanation.decision().reason(), Some(reason), "{requested}");
        let miss = explanation.near_misses().iter().find(|miss| miss.kind == kind && miss.message == message);
        let miss = miss.unwrap_or_else(|| panic!("{requested}: {kind} {message}\n{explanation}"));
        assert_eq!(miss.grant, grant, "{requested}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn denied_sources_report_their_near_misses() {
    use NearMissKind::*;
    use Reason::{ConnectionNotGranted, GrantKindNotAccepted, QueryNotAccepted, SourceMalformed, SourceNotGranted};
    let snapshot = snapshot(&TokenPlan { apis: APIS, grants: GRANTS, ..TokenPlan::default() });
    check(
        &snapshot,
        &[
            (
                "maps carto_dw resource carto.shared.demo_tabel",
                SourceNotGranted,
                SimilarName,
                Some(0),
                "`carto.shared.demo_tabel` differs by a transposition from granted `carto.shared.demo_table`",
            ),
            (
                "maps carto_dw resource cartoo.shared.demo_tables",
                SourceNotGranted,
                SimilarName,
                Some(0),
                "`cartoo.shared.demo_tables` differs by two edits from granted `carto.shared.demo_table`",
            ),
            (
                "maps carto_dw resource Carto.shared.demo_table",
                SourceNotGranted,
                LetterCase,
                Some(0),
                "`Carto.shared.demo_table` matches grant 0 (resource `carto.shared.demo_table`) except for letter case: this \
             connection's dialect is `bigquery`, which folds nothing",
            ),
            (
                "maps carto_dw resource carto.roads.roads_2024",
                SourceNotGranted,
                LetterCase,
                Some(1),
                "`carto.roads.roads_2024` matches grant 1 (pattern `carto.roads.ROADS_*`) except for letter case: this \
             connection's dialect is `bigquery`, which folds nothing",
            ),
            (
                "maps snow resource carto.public.shops_1_raw",
                SourceNotGranted,
                LetterCase,
                Some(2),
                "`carto.public.shops_1_raw` matches grant 2 (pattern `CARTO.\"Public\".SHOPS_*_RAW`) except for letter case: this \
             connection's dialect is `snowflake`, which folds bare names to upper case and leaves quoted ones as written",
            ),
            (
                "maps carto_dw resource shared.demo_table",
                SourceNotGranted,
                LeadingSegments,
                Some(0),
                "`shared.demo_table` lacks the leading segments of granted resource `carto.shared.demo_table`",
            ),
            (
                "maps snow resource db.carto.public.shops",
                SourceNotGranted,
                LeadingSegments,
                Some(3),
                "`db.carto.public.shops` has more leading segments than granted resource `CARTO.PUBLIC.SHOPS`",
            ),
            (
                "maps plain resource berlin.x_1",
                SourceNotGranted,
                LeadingSegments,
                Some(10),
                "`berlin.x_1` lacks the leading segments of granted pattern `city.*.x_*`",
            ),
            (
                "maps pg resource public.roads.primary",
                SourceNotGranted,
                StarSpansNoDot,
                Some(9),
                "pattern `public.*` has 2 segments, the name `public.roads.primary` has 3: `*` never spans a dot",
            ),
            (
                "maps plain resource city.berlin.y_1",
                SourceNotGranted,
                OneSegment,
                Some(10),
                "grant 10 (pattern `city.*.x_*`) matches `city.berlin.y_1` except for segment 3: `y_1` does not match `x_*`",
            ),
            (
                "maps plain resource ctiy.berlin.x_1",
                SourceNotGranted,
                OneSegment,
                Some(10),
                "grant 10 (pattern `city.*.x_*`) matches `ctiy.berlin.x_1` except for segment 1: `ctiy` differs by a \
             transposition from `city`",
            ),
            (
                "maps plain resource \"city.berlin.x_1\"",
                SourceNotGranted,
                QuotedDots,
                Some(10),
                "the dots inside the quotes of `\"city.berlin.x_1\"` do not separate segments; if they did, grant 10 (pattern \
             `city.*.x_*`) would cover it",
            ),
            (
                "maps plain resource carto.shared.demo_table",
                SourceNotGranted,
                OtherConnection,
                Some(0),
                "the same name is granted on connection `carto_dw`, by grant 0 (resource `carto.shared.demo_table`)",
            ),
            (
                "maps bricks resource carto.shared.demo_table",
                ConnectionNotGranted,
                OtherConnection,
                Some(0),
                "the same name is granted on connection `carto_dw`, by grant 0 (resource `carto.shared.demo_table`)",
            ),
            (
                "maps plain query SELECT id, name FROM shops",
                SourceNotGranted,
                OtherConnection,
                Some(4),
                "the same query is granted on connection `carto_dw`, by grant 4 (query `SELECT id, name FROM shops`)",
            ),
            (
                "sql carto_dw resource carto.shared.demo_table",
                GrantKindNotAccepted,
                KindNotConsidered,
                Some(0),
                "`carto.shared.demo_table` is granted by grant 0 (resource `carto.shared.demo_table`), but the `sql` API, \
             operation `query`, only takes queries, named sources and all sources",
            ),
            (
                "sql carto_dw resource carto.shared.other",
                SourceNotGranted,
                KindNotConsidered,
                None,
                "the `sql` API, operation `query`, only takes queries, named sources and all sources, no resources",
            ),
            (
                "maps carto_dw query select id, name from shops",
                SourceNotGranted,
                QueryLetterCase,
                Some(4),
                "the query differs in letter case only from grant 4 (`SELECT id, name FROM shops`)",
            ),
            (
                "maps plain query SELECT a -- b # c",
                SourceNotGranted,
                QueryWhiteSpace,
                Some(5),
                "the query differs in white space only from grant 5 (`SELECT  a -- b # c`)",
            ),
            (
                "maps carto_dw query SELECT id,name from shops",
                SourceNotGranted,
                QueryWhiteSpace,
                Some(4),
                "the query differs in white space and letter case only from grant 4 (`SELECT id, name FROM shops`)",
            ),
            (
                "maps carto_dw query SELECT id, name FROM shops LIMIT 10",
                SourceNotGranted,
                QueryTrailingText,
                Some(4),
                "the query continues with `LIMIT 10` after the text of grant 4 (`SELECT id, name FROM shops`)",
            ),
            (
                "maps carto_dw query SELECT id, name",
                SourceNotGranted,
                QueryTrailingText,
                Some(4),
                "the query lacks `FROM shops` at the end of grant 4 (`SELECT id, name FROM shops`)",
            ),
            (
                "maps carto_dw query SELECT id, nam FROM shops",
                SourceNotGranted,
                SimilarQuery,
                Some(4),
                "the query differs by a deletion from grant 4 (`SELECT id, name FROM shops`)",
            ),
            (
                "maps carto_dw named_source shops-by-ctiy",
                SourceNotGranted,
                SimilarNamedSource,
                Some(6),
                "named source `shops-by-ctiy` differs by a transposition from granted `shops-by-city`",
            ),
            (
                "maps carto_dw resource shops-by-city",
                SourceNotGranted,
                OtherKind,
                Some(6),
                "`shops-by-city` is requested as a resource, but grant 6 (named source `shops-by-city`) grants it as a named \
             source",
            ),
            (
                "maps carto_dw named_source carto.roads.ROADS_1",
                SourceMalformed,
                OtherKind,
                Some(1),
                "`carto.roads.ROADS_1` is requested as a named source, but grant 1 (pattern `carto.roads.ROADS_*`) grants it \
             as a resource",
            ),
            (
                "maps carto_dw resource SELECT id, name FROM shops",
                SourceMalformed,
                OtherKind,
                Some(4),
                "`SELECT id, name FROM shops` is requested as a resource, but grant 4 (query `SELECT id, name FROM shops`) \
             grants it as a query",
            ),
            (
                "maps plain resource a.my table",
                SourceMalformed,
                MalformedName,
                None,
                "`a.my table` is not a name, at byte 4: ` ` is not allowed in a bare identifier of dialect `generic`",
            ),
            (
                "maps plain resource a..b",
                SourceMalformed,
                MalformedName,
                None,
                "`a..b` is not a name, at byte 2: an identifier is empty",
            ),
            ("maps plain query  ;", SourceMalformed, MalformedQuery, None, EMPTY),
            (
                "maps plain named_source Shops",
                SourceMalformed,
                MalformedNamedSource,
                None,
                "`Shops` is not a named source: `S`, at byte 0, is not a lower-case letter, a digit, `-` or `_`",
            ),
            (
                "maps plain named_source ab",
                SourceMalformed,
                MalformedNamedSource,
                None,
                "`ab` is not a named source: it has 2 characters, not 3 to 51",
            ),
            (
                "sql curated query SELECT 1",
                QueryNotAccepted,
                NamedSourcesOnly,
                None,
                "connection `curated` accepts no query, whatever is granted: use a named source",
            ),
            (
                "maps carto-dw resource a.b",
                ConnectionNotGranted,
                SimilarConnection,
                None,
                "connection `carto-dw` differs by a substitution from granted `carto_dw`",
            ),
            (
                "maps CARTO_DW resource a.b",
                ConnectionNotGranted,
                ConnectionLetterCase,
                None,
                "connection `CARTO_DW` differs in letter case only from granted `carto_dw`",
            ),
            ("imports plain resource a.b", Reason::ApiNotAllowed, ApiNotListed, None, UNLISTED),
            (
                "Map plain resource a.b",
                Reason::ApiNotAllowed,
                SimilarApi,
                None,
                "`Map` is not an API of this policy, but similar to `maps`, which the token lists",
            ),
        ],
    );
}

const EMPTY: &str = "the query is empty: expected SQL text, found nothing but white space and semicolons";
const UNLISTED: &str = "the token does not list the API `imports`, it lists `maps` and `sql`";

#[test]
fn near_misses_suggest_a_fix() {
    let snapshot = snapshot(&TokenPlan { apis: APIS, grants: GRANTS, ..TokenPlan::default() });
    for (connection, what, want) in [
        (
            "plain",
            "resource a.my table",
            "between quotes it may: `a.\"my table\"`, which grant 8 (resource `a.\"my table\"`) covers",
        ),
        ("plain", "resource a..b.", "without the extra dot: `a.b`"),
        ("pg", "resource public.`roads`", "write `public.\"roads\"`, which grant 9 (pattern `public.*`) covers"),
        ("pg", "resource 'public.roads'", "write `public.roads`, which grant 9 (pattern `public.*`) covers"),
        ("pg", "resource public.roads;", "write `public.roads`, which grant 9 (pattern `public.*`) covers"),
        (
            "pg",
            "resource \u{201c}public\u{201d}.\u{201c}roads\u{201d}",
            "write `\"public\".\"roads\"`, which grant 9 (pattern `public.*`) covers",
        ),
        ("pg", "resource public.`roads", "dialect `postgres` quotes with double quotes"),
        (
            "carto_dw",
            "resource \"carto\".\"shared\".\"demo_table\"",
            "write ``carto`.`shared`.`demo_table``, which grant 0 (resource `carto.shared.demo_table`) covers",
        ),
        ("carto_dw", "resource `a.b", "close the quote"),
        ("carto_dw", "resource `a\\b`", "BigQuery's names have no escapes"),
        ("pg", "resource \"a.b", "a \" inside quotes is written twice"),
        ("plain", "named_source Shops", "named sources are lower-case: `shops`"),
        ("pg", "resource public.a.b", "`public.*.*` covers it"),
        ("curated", "query select 1", "the token is granted named source `curated-shops`, by grant 7"),
        ("plain", "resource \"city.b.x_\"", "quote each segment by itself, or none: `city.b.x_`"),
    ] {
        let explanation = explained(&snapshot, &Request::new("maps", connection).secret(SECRET).source(source(what)));
        let helps = explanation.near_misses().iter().filter_map(|miss| miss.help.as_deref());
        assert!(helps.into_iter().any(|help| help == want), "{what}: {want}\n{explanation}");
    }
}

/// A policy may repeat a token's secret, by mistake, in any of its texts.
#[test]
fn secret_repeated_in_the_policy_is_redacted() {
    let texts = ["resource carto.shared.S", "pattern carto.S.x_*", "query SELECT 'S' FROM t", "named_source S"];
    let written = |text: &str| text.replace('S', SECRET).replace(&format!("{SECRET}ELECT"), "SELECT");
    for text in texts.map(written) {
        for connection in ["carto_dw", "plain", "curated", "snow"] {
            let grant = format!("{connection} {text}");
            let entries = [format!("https://{SECRET}.carto.com/{SECRET}/*")];
            let referers: Vec<&str> = entries.iter().map(String::as_str).collect();
            let plan = TokenPlan { apis: APIS, grants: &[&grant], referers: &referers, expiry: None };
            let snapshot = snapshot(&plan);
            let page = format!("https://{SECRET}.carto.com/{SECRET}/map");
            for referer in [page.as_str(), &page.replace("/map", "x"), "https://a.carto.com/", "x"] {
                let requested = texts.map(written).map(|text| text.replace("pattern ", "resource "));
                for requested in requested.iter().flat_map(|text| [text.clone(), format!("{text}x")]) {
                    for connection in ["carto_dw", "plain", "curated", "snow", SECRET] {
                        let request = Request::new("maps", connection).secret(SECRET).referer(referer);
                        // Asserts that no text of the explanation has the secret.
                        explained(&snapshot, &request.source(source(&requested)));
                    }
                }
            }
        }
    }
}

/// A policy and a request may repeat the secret in another spelling.
#[test]
fn secret_in_another_spelling_is_hidden() {
    let policy_with = |secret: &str, id: &str, grant: &str| {
        let plan = TokenPlan { apis: APIS, grants: &[grant], referers: &["https://a.test/"], expiry: None };
        let policy = policy(&plan);
        let token = &policy.tokens()[0];
        let parts = TokenParts {
            id: id.into(),
            name: None,
            owner: None,
            digest: SecretDigest::of(secret),
            apis: token.apis(),
            grants: token.grants().into(),
            referers: token.referers().clone(),
            expiry: token.expiry(),
            created_at: None,
        };
        let connections = policy.connections().to_vec();
        let policy = Policy::new(connections, policy.apis().clone(), vec![parts.into()], Limits::default()).unwrap();
        Snapshot::compile(&policy, &Options::default()).unwrap()
    };
    for (secret, grant, requested, shown, why) in [
        (
            "eyJhbGciOi.eyJzdWIiOiIx.SflKxwRJSM",
            "snow resource a.eyJzdWIiOiIx",
            "resource b.x",
            "eyjzdwi",
            "a JWT segment",
        ),
        ("open sesame now", "plain query SELECT 'open  sesame now'", "query select 1", "sesame", "folded white space"),
        ("kL-mnoP-qRst", "pg resource a.KL_MNOP_QRST", "resource a.b", "mnop", "folded letters"),
        (r#"say"hi"there"#, r#"plain resource a."say""hi""there""#, "resource a.b", "there", "doubled quotes"),
        ("gr\u{fc}ner-tee", "snow resource a.\"GR\u{dc}NER-TEE\"", "resource a.b", "ner-tee", "letters beyond ASCII"),
        ("s3c", "plain resource a.s3c_table", "resource a.b", "s3c", "a short secret"),
        ("a", "plain resource roads.a", "resource b.a", "roads", "a secret of one letter"),
        ("pk-correct-horse", "plain resource a.b", "resource a.k-correct-horse", "correct", "all but a letter"),
    ] {
        let (connection, _) = grant.split_once(' ').unwrap();
        let snapshot = policy_with(secret, secret, grant);
        for (referer, number) in [("https://a.test/", 9), ("https://b.test/", 5)] {
            let page = format!("{referer}%70{secret}?x").replace(' ', "%20").replace('"', "%22");
            let request = Request::new("maps", connection).secret(secret).source(source(requested));
            let explanation = explain(&snapshot, &request.referer(&page), now());
            assert_eq!(explanation.checks()[number - 1].outcome, crate::explain::CheckOutcome::Failed, "{why}");
            let text = format!("{explanation}\n{}", serde_json::to_string(&explanation).unwrap()).to_lowercase();
            assert!(!text.contains(shown) && text.contains("[secret]"), "{why}: {text}");
            assert_eq!(explanation.token(), Some(secret), "programs get the id");
        }
    }
}

#[test]
fn denied_requests_report_near_misses_of_the_whole_request() {
    let expired = snapshot(&TokenPlan { apis: &["lds"], expiry: Some("2026-11-21T11:00:00Z"), ..TokenPlan::default() });
    let explanation = explained(&expired, &Request::new("lds", "").secret(SECRET));
    let [miss] = explanation.near_misses() else { panic!("{explanation}") };
    assert_eq!(miss.kind, NearMissKind::Expired);
    assert_eq!(miss.message, "the token expired at 2026-11-21T11:00:00Z, 1 day ago");

    let snapshot = snapshot(&TokenPlan { apis: APIS, grants: GRANTS, ..TokenPlan::default() });
    let request = Request::new("maps", "carto_dw").secret(SECRET);
    let none = explained(&snapshot, &request);
    assert_eq!(none.near_misses()[0].kind, NearMissKind::NoSource);

    let nearly = SECRET.strip_prefix('p').unwrap();
    for secret in [nearly, "PK-correct-horse-battery", ""] {
        assert_eq!(explained(&snapshot, &request.secret(secret)).near_misses(), [], "nothing about secrets");
    }

    let two = [Source::Resource("carto.shared.demo_table"), Source::Resource("carto.shared.demo_tables")];
    let explanation = explained(&snapshot, &request.sources(&two));
    assert_eq!((explanation.near_misses()[0].source, explanation.near_misses()[0].grant), (Some(1), Some(0)));
    assert!(explanation.checks()[8].detail.starts_with("source 1 of 2, no grant on"), "{explanation}");

    let shouted = SECRET.to_uppercase();
    for leaking in
        [format!("carto.shared.{SECRET}"), format!("carto.{SECRET}.ROADS_1"), format!("carto.roads.{shouted}")]
    {
        let explanation = explained(&snapshot, &request.source(Source::Resource(&leaking)));
        let text = explanation.to_string();
        assert!(text.contains("[secret]") && !text.to_lowercase().contains(SECRET), "{text}");
    }
    let host = format!("https://{SECRET}.carto.com/");
    let narrow = TokenPlan { apis: APIS, grants: GRANTS, referers: &["https://carto.com"], expiry: None };
    explained(&self::snapshot(&narrow), &request.referer(&host));
}

#[test]
fn every_code_is_tested() {
    let text = concat!(include_str!("near.rs"), include_str!("referers.rs"));
    for kind in NearMissKind::ALL {
        assert!(text.contains(&format!("{kind:?}")), "{kind}");
    }
}
