//! Cases as data, each through one `check`.

use serde_json::{Value, json};

use super::{LowerOptions, Lowered, Named, Problem, lower};
use crate::definition::read;
use portcullis::base::{Step, is_control};
use portcullis::model::{GrantKind, Limits, Operation, Referers, SourceType};
use portcullis::name::Dialect;

/// Lowers documents named `0.json`, `1.json`, …
fn lowered(texts: &[&str], options: &LowerOptions) -> Lowered {
    let names: Vec<String> = (0..texts.len()).map(|at| format!("{at}.json")).collect();
    let documents: Vec<_> = texts.iter().map(|text| read(text).unwrap()).collect();
    let all: Vec<_> = names.iter().zip(&documents).map(|(name, document)| Named { name, document }).collect();
    lower(&all, options)
}

/// Returns `[document:path code, …]` of all problems.
fn check(texts: &[&str], want: &[&str], why: &str) -> Lowered {
    let lowered = lowered(texts, &LowerOptions::default());
    let found: Vec<String> = lowered
        .problems
        .iter()
        .map(|problem| match problem.document {
            0 => format!("{} {}", problem.path, problem.code),
            document => format!("{document}:{} {}", problem.path, problem.code),
        })
        .collect();
    assert_eq!(found, want, "{why}: {texts:#?}\n{:#?}", lowered.problems);
    assert_eq!(lowered.policy.is_some(), want.is_empty(), "{why}");
    for problem in &lowered.problems {
        for text in [&problem.message, &problem.help] {
            assert!(!text.is_empty() && !text.ends_with('.') && !text.contains('\n'), "{problem}");
        }
    }
    lowered
}

/// A token with these additional fields; for `lds` unless they name APIs.
fn token(fields: &str) -> String {
    let apis = if fields.contains("allowed_apis") { "" } else { r#", "allowed_apis": ["lds"]"# };
    let secret = if fields.contains("\"token") { "" } else { r#", "token": "s""# };
    let id = if fields.contains("\"id\"") { "" } else { r#", "id": "a""# };
    let given = format!("{fields}{apis}{secret}{id}");
    format!("{{{}}}", given.trim_start_matches(", "))
}

#[test]
fn tokens_with_problems_are_rejected() {
    let d = "2ed45968de9caa56ca8ad382fb9de62dc4a915c7ed24ede8bfe66823b70b3aed";
    for (fields, want, why) in [
        ("", &[][..], "valid"),
        (r#""referers": []"#, &[], "any request"),
        (r#""allowed_apis": ["lds", "lds"]"#, &[], "twice is once"),
        (r#""allowed_apis": ["imports"], "grants": [{"connection_name": "c", "source": "a.b"}]"#, &[], "alone"),
        (r#""id": """#, &["tokens[0].id id_empty"], "an id"),
        (r#""token": """#, &["tokens[0].token secret_empty"], "a secret"),
        (r#""token_sha256": """#, &["tokens[0].token_sha256 digest_malformed"], "a digest"),
        (&format!(r#""token_sha256": "{d}0""#), &["tokens[0].token_sha256 digest_malformed"], "64 digits"),
        (&format!(r#""token_sha256": "{d}""#), &[], "64 digits"),
        (&format!(r#""token": "s", "token_sha256": "{d}""#), &["tokens[0].token_sha256 secret_twice"], "both"),
        (r#""token": 1"#, &["tokens[0].token wrong_type"], "not missing as well"),
        (
            r#""tokn": "x", "token_": 1"#,
            &["tokens[0].tokn unknown_field", "tokens[0].token_ unknown_field"],
            "one mistake",
        ),
        (r#""allowed_apis": []"#, &["tokens[0].allowed_apis apis_empty"], "N8.1"),
        (r#""allowed_apis": [1]"#, &["tokens[0].allowed_apis[0] wrong_type"], "not empty as well"),
        (r#""allowed_apis": null"#, &["tokens[0].allowed_apis wrong_type"], "not empty as well"),
        (r#""allowed_apis": ["lds", "sqll"]"#, &["tokens[0].allowed_apis[1] api_unknown"], "no grants asked for"),
        (
            r#""allowed_apis": ["imports", "lds"], "grants": [{"connection_name": "c", "source": "a.b"}]"#,
            &["tokens[0].allowed_apis imports_not_alone"],
            "N8.2",
        ),
        (r#""allowed_apis": ["maps"]"#, &["tokens[0] grants_empty"], "N8.6, without the field"),
        (r#""allowed_apis": ["maps"], "grants": []"#, &["tokens[0].grants grants_empty"], "N8.6"),
        (r#""allowed_apis": ["maps"], "grant": []"#, &["tokens[0].grant unknown_field"], "one mistake"),
        (r#""allowed_apis": ["maps"], "grants": {}"#, &["tokens[0].grants wrong_type"], "one mistake"),
        (r#""allowed_apis": ["maps"], "grants": [1]"#, &["tokens[0].grants[0] wrong_type"], "one mistake"),
        (
            r#""referers": ["", "https://a.com/", 1, "https://u@b.com/"]"#,
            &[
                "tokens[0].referers[2] wrong_type",
                "tokens[0].referers[0] referer_malformed",
                "tokens[0].referers[3] referer_malformed",
            ],
            "each entry",
        ),
        (r#""referers": null"#, &["tokens[0].referers wrong_type"], "never no restriction"),
        (r#""expiration_date": "2030-01-01", "created_at": "2020-01-01T00:00:00Z""#, &[], "a date, an instant"),
        (r#""expiration_date": null, "created_at": null"#, &[], "none"),
        (
            r#""expiration_date": "7d", "created_at": "1y""#,
            &["tokens[0].expiration_date expiry_malformed", "tokens[0].created_at created_at_malformed"],
            "spans",
        ),
        (r#""expiration_date": """#, &["tokens[0].expiration_date expiry_malformed"], "empty"),
    ] {
        check(&[&format!("[{}]", token(fields))], want, why);
    }
}

#[test]
fn grants_with_problems_are_rejected() {
    for (grant, want, why) in [
        (r#""connection_name": "c", "source": "a.b""#, &[][..], "valid"),
        (r#""connection_name": "c", "type": "all""#, &[], "no source"),
        (r#""connection_name": "c", "source": "*", "type": "all""#, &[], "all"),
        (
            r#""connection_name": "", "source": "a..b""#,
            &[".connection_name connection_empty", ".source source_unclear"],
            "both",
        ),
        (
            r#""connection_name": 1, "source": "a b""#,
            &[".connection_name wrong_type", ".source source_unclear"],
            "both",
        ),
        (r#""connection_name": "c""#, &[" missing_field"], "never everything"),
        (r#""connection_name": "c", "type": "resource""#, &[" missing_field"], "once"),
        (r#""connection_name": "c", "sourc": "a.b""#, &[".sourc unknown_field"], "once"),
        (r#""connection_name": "c", "source": null"#, &[".source wrong_type"], "once"),
        (r#""connection_name": "c", "source": "a.b", "type": "tables""#, &[".type type_unknown"], "near"),
        (r#""connection_name": "c", "source": "", "type": 1"#, &[".type wrong_type"], "the kind is not known"),
        (r#""connection_name": "c", "source": """#, &[".source source_empty"], "empty"),
        (r#""connection_name": "c", "source": "table*""#, &[".source source_unclear"], "no dot"),
        (r#""connection_name": "c", "source": "a.**""#, &[".source pattern_malformed"], "adjacent"),
        (r#""connection_name": "c", "source": "*", "type": "pattern""#, &[".source pattern_malformed"], "all"),
        (r#""connection_name": "c", "source": "a.b", "type": "pattern""#, &[".source pattern_malformed"], "no star"),
        (r#""connection_name": "c", "source": "a.*", "type": "table""#, &[".source resource_malformed"], "a star"),
        (r#""connection_name": "c", "source": "a", "type": "raster""#, &[".source resource_malformed"], "one segment"),
        (r#""connection_name": "c", "source": " ; ", "type": "query""#, &[".source query_malformed"], "empty"),
        (
            r#""connection_name": "c", "source": "A_b", "type": "named_source""#,
            &[".source named_source_malformed"],
            "upper",
        ),
        (r#""connection_name": "c", "source": "a.b", "type": "all""#, &[".source all_with_source"], "not all"),
        (
            r#""connection_name": "bq", "source": "\"a\".b", "type": "resource""#,
            &[".source resource_malformed"],
            "dialect",
        ),
        (r#""connection_name": "bq", "source": "`a`.b", "type": "resource""#, &[], "dialect"),
        (r#""connection_name": "other", "source": "\"a\".b""#, &[], "generic"),
    ] {
        let text = format!(
            r#"{{"connections": [{{"name": "bq", "dialect": "bigquery"}}],
                "tokens": [{{"id": "a", "token": "s", "allowed_apis": ["maps"], "grants": [{{{grant}}}]}}]}}"#
        );
        let want: Vec<String> = want.iter().map(|want| format!("tokens[0].grants[0]{want}")).collect();
        check(&[&text], &want.iter().map(String::as_str).collect::<Vec<_>>(), why);
    }
}

#[test]
fn problems_outside_tokens_are_reported() {
    for (text, want, why) in [
        (r#"{"version": 1, "tokens": []}"#, &[][..], "valid"),
        (r#"{"version": 2, "tokens": []}"#, &["version version_unknown"], "version"),
        (r#"{"version": "2", "tokens": []}"#, &["version wrong_type"], "version"),
        (r#"{"token": []}"#, &["token unknown_field"], "near"),
        (
            r#"{"connections": [{"name": ""}, {"name": "a"}, {"name": "a", "dialect": "mysql"}], "tokens": []}"#,
            &[
                "connections[0].name connection_empty",
                "connections[2].dialect dialect_unknown",
                "connections[2].name duplicate_connection",
            ],
            "connections",
        ),
        (
            r#"{"apis": [{"name": "", "accepts": ["all"]}, {"name": "sql", "accepts": ["all"]}, {"name": "a", "accepts": []},
            {"name": "a", "accepts": ["table", 1, "querys"]}], "tokens": []}"#,
            &[
                "apis[3].accepts[1] wrong_type",
                "apis[0].name api_empty",
                "apis[1].name duplicate_api",
                "apis[2].accepts accepts_empty",
                "apis[3].accepts[0] kind_unknown",
                "apis[3].accepts[2] kind_unknown",
            ],
            "apis",
        ),
        (
            r#"{"apis": [{"name": "a", "accepts": ["x"]}],
             "tokens": [{"id": "a", "token": "s", "allowed_apis": ["a"], "grants": [{"connection_name": "c", "source": "a.b"}]}]}"#,
            &["apis[0].accepts[0] kind_unknown"],
            "the token is not to blame",
        ),
        (
            r#"{"apis": 7, "tokens": [{"id": "a", "token": "s", "allowed_apis": ["a"]}]}"#,
            &["apis wrong_type"],
            "nor here",
        ),
        (
            r#"{"connections": [{"name": "c", "dialect": "bigqery"}, 1],
             "tokens": [{"id": "a", "token": "s", "allowed_apis": ["maps"],
                         "grants": [{"connection_name": "c", "source": "\"x\".b"}, {"connection_name": "d", "source": "`a`.b"},
                                    {"connection_name": "c", "source": "a..b"}]}]}"#,
            &[
                "connections[1] wrong_type",
                "connections[0].dialect dialect_unknown",
                "tokens[0].grants[2].source source_unclear",
            ],
            "a dialect that is not known accepts what any accepts",
        ),
    ] {
        check(&[text], want, why);
    }
    let apis: Vec<String> = (0..61).map(|at| format!(r#"{{"name": "x{at}", "accepts": ["all"]}}"#)).collect();
    let text = format!(r#"{{"apis": [{}], "tokens": []}}"#, apis.join(","));
    check(&[&text], &["apis[60] too_many_apis"], "64 in all");
}

#[test]
fn duplicates_are_reported() {
    let token = |fields: &str| format!(r#"{{"allowed_apis": ["lds"], {fields}}}"#);
    let a = token(r#""id": "a", "token": "s3cret-one", "name": "n", "owner": "o""#);
    let digest = r#""token_sha256": "2ED45968de9caa56ca8ad382fb9de62dc4a915c7ed24ede8bfe66823b70b3aed""#;
    for (second, want, message) in [
        (r#""id": "a", "token": "x""#, &["tokens[1].id duplicate_id"][..], "id `a` is taken by `tokens[0]`"),
        (
            r#""id": "b", "token": "s3cret-one""#,
            &["tokens[1].token duplicate_secret"],
            "the secret is taken by `tokens[0]`",
        ),
        (
            &format!(r#""id": "b", {digest}"#),
            &["tokens[1].token_sha256 duplicate_secret"],
            "the secret is taken by `tokens[0]`",
        ),
        (
            r#""id": "b", "token": "x", "name": "n", "owner": "o""#,
            &["tokens[1].name duplicate_name"],
            "name `n` of `o` is taken by `tokens[0]`",
        ),
        (r#""id": "b", "token": "x", "name": "n", "owner": "p""#, &[], ""),
        (r#""id": "b", "token": "x", "name": "n""#, &[], ""),
    ] {
        let second = token(second);
        let lowered = check(&[&format!("[{a}, {second}]")], want, "in one document");
        let says = |lowered: &Lowered| lowered.problems.first().map(|found| found.message.clone()).unwrap_or_default();
        assert_eq!(says(&lowered), message);
        let want: Vec<String> = want.iter().map(|want| format!("1:{}", want.replace("[1]", "[0]"))).collect();
        let lowered = check(&[&a, &second], &want.iter().map(String::as_str).collect::<Vec<_>>(), "in two documents");
        let message = if message.is_empty() { String::new() } else { format!("{message} of `0.json`") };
        assert_eq!(says(&lowered), message);
    }
    let nobodys = [
        token(r#""id": "a", "token": "s-a", "name": "n""#),
        token(r#""id": "b", "token": "s-b", "name": "n", "owner": null"#),
    ];
    check(&[&nobodys[0], &nobodys[1]], &["1:tokens[0].name duplicate_name"], "tokens without an owner are of one");
}

#[test]
fn several_documents_are_one_policy() {
    let first = r#"{"tokens": [{"id": "a", "token": "s-a", "allowed_apis": ["tiles"],
        "grants": [{"connection_name": "new", "source": "a.b"}, {"connection_name": "dw", "source": "\"x.y\".b"}]}]}"#;
    let second = r#"{"connections": [{"name": "dw", "dialect": "snowflake", "named_sources_only": true}],
        "apis": [{"name": "tiles", "accepts": ["resource"]}],
        "tokens": [{"id": "b", "token_sha256": "2ed45968de9caa56ca8ad382fb9de62dc4a915c7ed24ede8bfe66823b70b3aed",
            "allowed_apis": ["lds"], "referers": ["https://carto.com/*"], "name": "n", "owner": "o", "expiration_date": "2030-01-01"}]}"#;
    let lowered = check(&[first, second], &[], "valid");
    let policy = lowered.policy.unwrap();
    let connections: Vec<_> =
        policy.connections().iter().map(|c| (c.name(), c.dialect(), c.named_sources_only())).collect();
    assert_eq!(connections, [("dw", Dialect::Snowflake, true), ("new", Dialect::Generic, false)]);
    let tiles = policy.apis().get(policy.apis().find("tiles").unwrap()).unwrap();
    assert_eq!(tiles.considers(Operation::Query).iter().collect::<Vec<_>>(), [GrantKind::Resource]);
    let [a, b] = policy.tokens() else { panic!("two tokens") };
    assert_eq!((a.id(), a.grants()[0].connection().index(), a.grants()[1].connection().index()), ("a", 1, 0));
    assert_eq!((b.id(), b.name(), b.owner()), ("b", Some("n"), Some("o")));
    assert!(b.expiry().is_expired("2030-01-01".parse().unwrap()));
    assert!(matches!(b.referers(), Referers::Only(set) if set.len() == 1) && *a.referers() == Referers::Any);
    assert_eq!(
        lowered.origins.iter().map(|origin| (origin.document, origin.token)).collect::<Vec<_>>(),
        [(0, 0), (1, 0)]
    );
    let twice = [
        "1:connections[0].name duplicate_connection",
        "1:apis[0].name duplicate_api",
        "1:tokens[0].id duplicate_id",
        "1:tokens[0].token_sha256 duplicate_secret",
        "1:tokens[0].name duplicate_name",
    ];
    check(&[second, second], &twice, "twice the same");
}

#[test]
fn skip_invalid_leaves_out_only_invalid_tokens() {
    let skip = LowerOptions { skip_invalid: true, ..LowerOptions::default() };
    let good = r#"{"id": "a", "token": "s-a", "allowed_apis": ["lds"]}"#;
    for (text, ids, problems, why) in [
        (format!("[{good}, 7]"), Some(&["a"][..]), 1, "not an object"),
        (
            format!(
                r#"[{{"id": "b", "token": "s-b", "allowed_apis": ["maps"], "grants": [{{"connection_name": "gone", "source": "a.b"}}],
            "referers": ["x"]}}, {good}]"#
            ),
            Some(&["a"]),
            1,
            "a bad referer",
        ),
        (
            format!(r#"[{{"id": "b", "token": "s-b", "allowed_apis": ["lds"], "referrers": []}}, {good}]"#),
            Some(&["a"]),
            1,
            "a typo",
        ),
        (format!("[{good}, {good}]"), Some(&["a"]), 2, "the later one of two"),
        (format!("{good}\n{{\n{good}"), Some(&["a"]), 3, "a line that is not JSON, and a duplicate"),
        (format!(r#"{{"tokens": [{good}], "apiz": []}}"#), None, 1, "not a token's"),
        (format!(r#"{{"tokens": [{good}], "version": 3}}"#), None, 1, "not a token's"),
        (format!(r#"{{"tokens": [{good}], "connections": [{{"name": ""}}]}}"#), None, 1, "not a token's"),
        (r#"{"tokens": 7}"#.to_owned(), None, 1, "not a token's"),
    ] {
        let lowered = lowered(&[&text], &skip);
        let found =
            lowered.policy.as_ref().map(|policy| policy.tokens().iter().map(super::Token::id).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), ids, "{why}");
        assert_eq!(lowered.problems.len(), problems, "{why}: {:#?}", lowered.problems);
        assert!(lowered.policy.is_none_or(|policy| policy.connections().is_empty()), "{why}");
    }
}

#[test]
fn limits_are_kept() {
    let options = LowerOptions { limits: Limits { query_bytes: 10 }, ..LowerOptions::default() };
    let text = r#"[{"id": "a", "token": "s", "allowed_apis": ["sql"], "grants": [{"connection_name": "c", "source": "select  1234"}]}]"#;
    assert_eq!(lowered(&[text], &options).problems[0].code, "query_malformed");
    assert_eq!(lowered(&["[]"], &options).policy.unwrap().limits().query_bytes, 10);
}

#[test]
fn messages_name_a_fix() {
    let says = |fields: &str| {
        let lowered = lowered(&[&format!("[{}]", token(fields))], &LowerOptions::default());
        lowered.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let grant = |source: &str| {
        format!(r#""allowed_apis": ["maps"], "grants": [{{"connection_name": "c", "source": {source}}}]"#)
    };
    for (fields, want) in [
        (grant(r#""table*""#), "a pattern needs at least one dot: write `schema.table*`; all sources are written `*`"),
        (grant(r#""Demo""#), "a resource needs its full path: write `schema.Demo`; a resource is a dotted path"),
        (grant(r#""ALL""#), "nor a query; all sources are written `*`; a resource is"),
        (grant(r#""a.b.c ""#), "nor a query; write `a.b.c`"),
        (grant(r#""a.b.%""#), "nor a query; write `a.b.*`"),
        (grant(r#""a.b.c, a.b.d""#), "nor a query; write a grant for each source: `a.b.c`, `a.b.d`"),
        (grant(r#""a..b""#), "nor a query; as a path: an identifier is empty; write an identifier before"),
        (grant(r#""x\ny.z""#), "`x\\ny.z` is neither"),
        (r#""allowed_apis": ["sqll"]"#.to_owned(), "unknown API `sqll`; did you mean `sql`?"),
        (r#""allowed_apis": ["geo"]"#.to_owned(), "unknown API `geo`; write one of `maps`, `sql`, `imports`, `lds`"),
        (
            r#""referers": ["carto.com"]"#.to_owned(),
            "`carto.com` is not an absolute URL; write the scheme too: `https://carto.com`",
        ),
        (
            r#""expiration_date": "7d""#.to_owned(),
            "`7d` is not an instant; a span is counted from the creation of a token",
        ),
        (r#""referrers": []"#.to_owned(), "tokens[0].referrers: unknown field `referrers`; did you mean `referers`?"),
        (r#""zzz": []"#.to_owned(), "the fields here are `id`, `name`, `owner`"),
    ] {
        let found = says(&fields);
        assert!(found.contains(want), "{found}");
    }
}

/// The texts in backticks that a help proposes for what a document holds.
fn suggestions(help: &str) -> impl Iterator<Item = &str> {
    let starts = [
        "write `",
        "write one such as `",
        "write a URL such as `",
        "write an absolute URL such as `",
        "write the scheme too: `",
        "write `http` or `https`: `",
        "the scheme too: a URL such as `",
        "as an entry of its own: `",
        "leave out what is around the URL: `",
        "regular expressions are not supported: write `",
        "as an entry of its own, such as `",
        "did you mean `",
    ];
    let proposed = starts.into_iter().flat_map(|start| help.split(start).skip(1));
    proposed.filter_map(|rest| rest.split('`').next()).filter(|text| !matches!(*text, "http" | "https"))
}

/// Returns the document with `suggestion` for the value, or the key, that has the problem.
fn corrected(document: &Value, problem: &Problem, suggestion: &str) -> Value {
    let mut corrected = match document {
        Value::Array(_) => json!({ "tokens": document }),
        document => document.clone(),
    };
    let (last, around) = problem.path.steps().split_last().unwrap();
    let around = around.iter().fold(&mut corrected, |value, step| match step {
        Step::Key(key) => &mut value[&**key],
        Step::Index(index) => &mut value[*index],
    });
    match (last, problem.code) {
        (Step::Key(key), "unknown_field") => {
            let value = around.as_object_mut().unwrap().remove(&**key).unwrap();
            let before = around.as_object_mut().unwrap().insert(suggestion.to_owned(), value);
            assert_eq!(before, None, "{problem}: the field is given already");
        }
        (Step::Key(key), "version_unknown") => around[&**key] = suggestion.parse::<u64>().unwrap().into(),
        (Step::Key(key), _) => around[&**key] = suggestion.into(),
        (Step::Index(index), _) => around[*index] = suggestion.into(),
    }
    corrected
}

/// Applies each suggestion for a problem of `text`, and checks that the problem is gone; returns their number.
fn check_suggestions(text: &str) -> usize {
    let Ok(document) = read(text) else { return 0 };
    let named = Named { name: "a.json", document: &document };
    let Ok(value) = serde_json::from_str::<Value>(text) else { return 0 };
    let mut checked = 0;
    for problem in lower(&[named], &LowerOptions::default()).problems {
        // These suggest an object, a field or a type that has no value yet.
        if matches!(problem.code, "missing_field" | "wrong_type" | "grants_empty" | "secret_missing" | "json_syntax") {
            continue;
        }
        for suggestion in suggestions(&problem.help) {
            // Advice about the type of a source, not its text.
            if SourceType::from_name(suggestion).is_some() || suggestion == "*" {
                continue;
            }
            assert!(!suggestion.contains("://*."), "{problem}: anybody may register a host below it");
            let corrected = corrected(&value, &problem, suggestion).to_string();
            let document = read(&corrected).unwrap();
            let left = lower(&[Named { name: "a.json", document: &document }], &LowerOptions::default()).problems;
            let same = left.iter().find(|left| left.path == problem.path);
            assert!(same.is_none(), "{problem}: `{suggestion}` leaves {same:?}");
            checked += 1;
        }
    }
    checked
}

#[test]
fn every_suggestion_is_valid_input() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/invalid");
    let files = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let checked: usize = files.map(|text| check_suggestions(&text)).sum();
    assert!(checked >= 25, "{checked}");

    let long = "x".repeat(100);
    let sources = [
        "a.b:*",
        "a.b:c",
        "a:*",
        "a:b",
        "table*",
        "*x",
        "`a*",
        "\"a",
        "a b*",
        "é*",
        "$*",
        "#",
        "**",
        "A",
        "a\u{7}*",
        "Demo",
        "a-",
        "_",
        "*:*",
        "x:y:*",
        "p:d.*t",
        "a\nb",
        "a.b:c*d",
        "a.my table",
        "a.my table*",
        "a b*.c*",
        "a.Zürich",
        "a.x;y.z",
        "a.**.b***",
        "**.a",
        "a.b@c",
        "a.b.c ",
        "a.b .c\n",
        "a.b.%",
        "[a].[b].[c]",
        "[a].[my table]",
        "`a`.`b`.`c`",
        "\"a\".\"b\".\"c\"",
        "a.b.c;",
        "a.b.{c,d}",
        "'a.b.*'",
        "ALL",
        &long,
        &format!("{long}*"),
    ];
    for dialect in Dialect::ALL {
        for source in sources {
            for kind in ["", "resource", "pattern"] {
                let kind = if kind.is_empty() { String::new() } else { format!(r#", "type": "{kind}""#) };
                let source = serde_json::to_string(source).unwrap();
                let text = format!(
                    r#"{{"connections": [{{"name": "c", "dialect": "{dialect}"}}], "tokens": [{{"id": "a", "token": "s",
                        "allowed_apis": ["maps"], "grants": [{{"connection_name": "c", "source": {source}{kind}}}]}}]}}"#
                );
                check_suggestions(&text);
            }
        }
    }
}

#[test]
fn statements_and_impossible_names_get_no_help_to_quote_them() {
    let help = |dialect: Dialect, source: &str, kind: &str| {
        let source = serde_json::to_string(source).unwrap();
        let text = format!(
            r#"{{"connections": [{{"name": "c", "dialect": "{dialect}"}}], "tokens": [{{"id": "a", "token": "s",
                "allowed_apis": ["sql"], "grants": [{{"connection_name": "c", "source": {source}{kind}}}]}}]}}"#
        );
        let document = read(&text).unwrap();
        let problems = lower(&[Named { name: "a.json", document: &document }], &LowerOptions::default()).problems;
        problems.first().map(|problem| problem.help.clone().into_owned())
    };
    for dialect in Dialect::ALL {
        for source in ["insert into a.b select 1", "DELETE FROM a.b", "update a.b set c = 1", "(drop\ntable a.b)"] {
            let found = help(dialect, source, "").unwrap();
            assert!(found.starts_with("write the type `query` to grant this text: "), "{dialect} {source}: {found}");
            assert_eq!(help(dialect, source, r#", "type": "query""#), None, "{dialect} {source}");
        }
        for source in ["a.b\0c", "a.b c\u{7}"] {
            let found = help(dialect, source, r#", "type": "resource""#).unwrap();
            assert_eq!(found, "remove the character: no identifier holds it", "{dialect} {source:?}");
        }
        let found = help(dialect, "a.b\\c", "").unwrap();
        assert_eq!(found.starts_with("remove the character"), dialect == Dialect::BigQuery, "{dialect}: {found}");
    }
}

#[test]
fn every_suggested_referer_is_valid_input() {
    let long = "x".repeat(100);
    let referers = [
        "carto.com",
        "carto com",
        "*.carto.com",
        "ca*rto.com",
        "a:b",
        "http:",
        "//x",
        "[",
        "https://u:p@ca*rto.com/",
        "https://u:p@carto.com/#x",
        "https://carto.com/#x",
        "https://ca*r.com/#x",
        "https://*./#x",
        "é.com",
        &long,
        &format!("https://carto.com/{long}#x"),
        "x\ty",
        "localhost:3000",
        "127.0.0.1:3000",
        "carto.com:8080/x",
        "*",
        "*/*",
        "*://x/*",
        "*://*.carto.com/*",
        "://carto.com",
        ".carto.com",
        "https://.carto.com/x",
        "https://a..carto.com/",
        "ftp://carto.com/a",
        "ftp://*/",
        "file:///a",
        "carto.com, b.com",
        "https://a.com,https://b.com",
        "https://a.com,https://*",
        "https://a.com,https://u:p@b.com",
        "https://https://a.com",
        "u:p@carto.com",
        "https://*",
        "www.carto.com",
        "//www.carto.com/a",
        "ftp://www.carto.com/a",
        "https://.a.carto.com/x?y",
        "https://a.carto.com/,https://b.carto.com/",
        "*.co.uk",
        "http:*.co.uk",
        ".co.uk",
        "https://.co.uk/",
        "https://u:p@*.co.uk/",
        "https://*.co.uk/#x",
        "https://*.co.uk,https://*.github.io",
        "ftp://*.co.uk",
        "(https://a.com)",
        "(https://a.com).",
        "<https://a.com>",
        "\"https://a.com\"",
        "'https://a.com'",
        "\u{2018}https://a.com\u{2019}",
        "\u{201c}https://a.com\u{201d}",
        "[https://a.com]",
        "{https://a.com}",
        "<a.com>",
        r"^https://x\.com/.*$",
        "https?://x.com/.*",
        r"/x\.com/",
        r"^https://(a|b)\.x\.com/.*$",
    ];
    let mut checked = 0;
    for referer in referers {
        let referer = serde_json::to_string(referer).unwrap();
        let text = format!(r#"[{{"id": "a", "token": "s", "allowed_apis": ["lds"], "referers": [{referer}]}}]"#);
        checked += check_suggestions(&text);
    }
    assert!(checked >= 39, "{checked}");
}

#[test]
fn misspelt_fields_are_never_taken_for_one_that_is_given() {
    let problems = |fields: &str| {
        let text = format!(r#"[{{"id": "a", "token": "s", "allowed_apis": ["lds"], {fields}}}]"#);
        check_suggestions(&text);
        lowered(&[&text], &LowerOptions::default()).problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let [given] = &*problems(r#""referers": [], "referrers": []"#) else { panic!("one problem") };
    assert!(given.contains("unknown field `referrers`; the fields here are `id`"), "{given}");
    let [before] = &*problems(r#""referrers": [], "referers": []"#) else { panic!("one problem") };
    assert_eq!(before, given, "the order does not count");
    let [first, second] = &*problems(r#""referrers": [], "refererrs": []"#) else { panic!("two problems") };
    assert!(first.ends_with("did you mean `referers`?") && second.contains("the fields here are"), "{first} {second}");
}

#[test]
fn control_characters_are_rejected_with_the_text_without_them() {
    for (what, text) in [
        ("id", r#"[{"id": "a\n", "token": "s", "allowed_apis": ["lds"]}]"#),
        ("name", r#"[{"id": "a", "name": "a\u0000", "token": "s", "allowed_apis": ["lds"]}]"#),
        ("owner", r#"[{"id": "a", "owner": "\u001ba", "token": "s", "allowed_apis": ["lds"]}]"#),
        ("connection", r#"{"connections": [{"name": "\u0085a"}], "tokens": []}"#),
        ("API", r#"{"apis": [{"name": "a\u007f", "accepts": ["all"]}], "tokens": []}"#),
        ("id", r#"[{"id": "a\u2028", "token": "s", "allowed_apis": ["lds"]}]"#),
        ("name", r#"[{"id": "a", "name": "\u2029a", "token": "s", "allowed_apis": ["lds"]}]"#),
        ("owner", r#"[{"id": "a", "owner": "a\u2028", "token": "s", "allowed_apis": ["lds"]}]"#),
        ("connection", r#"{"connections": [{"name": "\u2028a"}], "tokens": []}"#),
        ("API", r#"{"apis": [{"name": "a\u2029", "accepts": ["all"]}], "tokens": []}"#),
    ] {
        let [problem] = &*lowered(&[text], &LowerOptions::default()).problems else { panic!("{text}") };
        assert_eq!((problem.code, &*problem.help), ("control_character", "write `a`"), "{text}");
        assert!(problem.message.starts_with(&format!("{what} `")), "{problem}");
        assert!(!problem.to_string().contains(is_control), "{problem:?}");
        assert_eq!(check_suggestions(text), 1);
    }
    let bidi = r#"[{"id": "a\u202e", "token": "s", "allowed_apis": ["lds"]}]"#;
    assert!(
        lowered(&[bidi], &LowerOptions::default()).policy.is_some(),
        "`audit lint` reports other hidden characters"
    );
}
