//! Cases as data, and properties of any text.

use proptest::prelude::*;

use super::{Diagnostic, Input, LoadOptions, Severity, load, policy, read_files, tokens};
use portcullis::model::Policy;

const SECRET: &str = "hunter2-hunter2";

/// A document with every field and no error.
const FULL: &str = r#"{
  "version": 1,
  "connections": [{"name": "dw", "dialect": "bigquery", "named_sources_only": true}],
  "apis": [{"name": "tiles", "accepts": ["resource", "all"]}],
  "tokens": [
    {
      "id": "tok_1", "name": "N", "owner": "é\u00e9", "token": "s3cret\n", "allowed_apis": ["maps", "tiles"],
      "grants": [
        {"connection_name": "dw", "source": "a.b*.c", "type": "pattern"},
        {"connection_name": "c", "source": "select 1"},
        {"connection_name": "dw", "type": "all"}
      ],
      "referers": ["https://carto.com/"], "expiration_date": "2030-01-01", "created_at": null
    },
    {"id": "tok_2", "token_sha256": "2ed45968de9caa56ca8ad382fb9de62dc4a915c7ed24ede8bfe66823b70b3aed",
     "allowed_apis": ["lds"], "name": null, "owner": null, "expiration_date": null}
  ]
}"#;

fn everything() -> LoadOptions {
    LoadOptions { warnings: true, now: Some("2026-11-22".parse().unwrap()), ..LoadOptions::default() }
}

fn brief(found: &Diagnostic) -> String {
    format!("{} {}", found.path, found.code)
}

/// Returns the warnings of a token for `maps` with these fields, in a document with the connections `bq` and `pg`.
fn warnings(fields: &str) -> Vec<String> {
    let digest = r#""token_sha256": "2ed45968de9caa56ca8ad382fb9de62dc4a915c7ed24ede8bfe66823b70b3aed""#;
    let digest = if fields.contains("\"token\"") { "" } else { digest };
    let id = if digest.is_empty() { r#""id": "a""# } else { r#""id": "a","# };
    let text = format!(
        r#"{{"connections": [{{"name": "bq", "dialect": "bigquery"}}, {{"name": "pg", "dialect": "postgres"}}],
            "tokens": [{{{id} {digest}, {fields}}}]}}"#
    );
    let loaded = load(&[Input::new("a.json", text)], &everything());
    assert_eq!(loaded.errors().count(), 0, "{:#?}", loaded.diagnostics);
    assert!(loaded.policy.is_some());
    loaded
        .warnings()
        .map(brief)
        .map(|brief| brief.strip_prefix("tokens[0]").map(str::to_owned).unwrap_or(brief))
        .collect()
}

#[test]
fn every_warning_has_its_position() {
    let grant = |connection: &str, source: &str| {
        format!(r#""allowed_apis": ["maps"], "grants": [{{"connection_name": "{connection}", "source": "{source}"}}]"#)
    };
    let lds = |fields: &str| format!(r#""allowed_apis": ["lds"], {fields}"#);
    let source = ".grants[0].source ";
    for (fields, want, why) in [
        (grant("bq", "a.b.c"), vec![], "nothing"),
        (grant("bq", "a.b.c_*"), vec![], "nothing"),
        (grant("pg", "a.b"), vec![], "Postgres may leave out the database"),
        (grant("bq", "a.b"), vec![format!("{source}pattern_too_shallow")], "a resource"),
        (grant("bq", "a.b*"), vec![format!("{source}pattern_too_shallow")], "a pattern, its last segment"),
        (grant("bq", "a.*.c"), vec![format!("{source}wildcard_before_second_dot")], "second segment"),
        (grant("pg", "a*.c"), vec![format!("{source}wildcard_before_second_dot")], "first segment of two"),
        (grant("pg", "a.*"), vec![], "the last segment of two"),
        (grant("bq", "*") + r#", "referers": ["https://a.com"], "expiration_date": "2030-01-01""#,
            vec![format!("{source}all_sources_with_referers")], "public"),
        (r#""allowed_apis": ["maps"], "grants": [{"connection_name": "bq", "type": "all"}], "expiration_date": "2030-01-01",
            "referers": ["https://a.com"]"#.to_owned(), vec![".grants[0] all_sources_with_referers".to_owned()], "public, no source"),
        (grant("bq", "*"), vec![], "not public"),
        (grant("bq", "select 1").replace("maps", "imports"), vec![".grants[0] grant_unused_by_apis".to_owned()], "N8.3"),
        (grant("bq", "a.b.c").replace("maps", "sql"), vec![], "`sql` models"),
        (grant("bq", "a.b.c").replace("maps", "lds"), vec![".grants[0] grant_unused_by_apis".to_owned()], "`lds` needs none"),
        (lds(r#""token": "x""#).replace("\"lds\"]", "\"lds\"], \"name\": null"), vec![".token plain_secret".to_owned()], "a secret"),
        (lds(r#""expiration_date": "2026-11-22""#), vec![".expiration_date expired".to_owned()], "N9.1"),
        (lds(r#""expiration_date": "2026-11-22T00:00:00.1Z""#), vec![], "not yet"),
        (lds(r#""referers": ["https://b.com/", "https://a.com/x", "https://a.com/x/*", "http://a.com"], "expiration_date": "2030-01-01""#),
            vec![".referers[1] referer_full_path".to_owned(), ".referers[2] referer_full_path".to_owned(), ".referers[3] referer_http".to_owned()],
            "each entry, as it is written"),
        (lds(r#""referers": ["http://localhost:80", "http://*.localhost", "http://x.localhost/", "http://127.1.2.3", "http://[::1]:8080",
            "http://localhost.com"], "expiration_date": "2030-01-01""#), vec![".referers[5] referer_http".to_owned()], "local"),
        (lds(r#""referers": ["https://a.com"]"#), vec![" public_token_never_expires".to_owned()], "no field"),
        (lds(r#""referers": ["https://a.com"], "expiration_date": null"#),
            vec![".expiration_date public_token_never_expires".to_owned()], "null"),
        (lds(r#""referers": []"#), vec![], "not public"),
    ] {
        let fields = if fields.contains("\"token\"") { format!(r#""owner": null, {fields}"#) } else { fields };
        assert_eq!(warnings(fields.strip_prefix(", ").unwrap_or(&fields)), want, "{why}: {fields}");
    }
}

#[test]
fn undeclared_connections_beside_declared_ones_are_reported() {
    let document = |connections: &str, connection: &str| {
        format!(
            r#"{{"connections": {connections}, "tokens": [{{"id": "a", "expiration_date": "2030-01-01",
                "token_sha256": "2ed45968de9caa56ca8ad382fb9de62dc4a915c7ed24ede8bfe66823b70b3aed",
                "allowed_apis": ["maps"], "grants": [{{"connection_name": "{connection}", "source": "a.b.c"}}]}}]}}"#
        )
    };
    let found = |texts: &[&str]| {
        let inputs: Vec<Input> = texts.iter().map(|text| Input::new("a.json", *text)).collect();
        let loaded = load(&inputs, &everything());
        assert!(loaded.policy.is_some(), "{:?}", loaded.diagnostics);
        loaded.diagnostics.iter().map(|found| format!("{}; {}", brief(found), found.help)).collect::<Vec<_>>()
    };
    let declared = r#"[{"name": "carto_dw", "dialect": "bigquery"}, {"name": "pg"}]"#;
    let at = "tokens[0].grants[0].connection_name connection_undeclared; ";
    for (connections, connection, want, why) in [
        (declared, "carto_dw", None, "declared"),
        (declared, "carto-dw", Some("did you mean `carto_dw`?"), "misspelt"),
        (declared, "CARTO_DW", Some("did you mean `carto_dw`?"), "in other letters"),
        (declared, "snow", Some("declare it in `connections`, or write one of `carto_dw`, `pg`"), "unlike any"),
        ("[]", "snow", None, "no document declares connections"),
    ] {
        let want: Vec<String> = want.into_iter().map(|help| format!("{at}{help}")).collect();
        assert_eq!(found(&[&document(connections, connection)]), want, "{why}");
    }
    let other = r#"{"connections": [{"name": "snow"}], "tokens": []}"#;
    assert_eq!(found(&[&document("[]", "snow"), other]), [""; 0], "another document declares it");
    assert_eq!(found(&[&document("[]", "snwo"), other]), [format!("{at}did you mean `snow`?")]);
}

#[test]
fn policies_without_tokens_are_reported() {
    let token = r#"{"id": "a", "token": "s", "allowed_apis": ["lds"]}"#;
    let found = |texts: &[&str]| {
        let inputs: Vec<Input> = texts.iter().map(|text| Input::new("a.json", *text)).collect();
        load(&inputs, &everything()).diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let message = "warning[no_tokens]: the policy has no tokens: it denies every request (tokens)";
    assert_eq!(found(&["{\"version\": 1,\n \"tokens\": []}"]), [format!("a.json:2:12: {message}")]);
    assert_eq!(found(&["[]"]), [format!("a.json:1:1: {message}")]);
    assert_eq!(found(&["[]", r#"{"tokens": []}"#]), [format!("a.json:1:12: {message}")], "once");
    let lds = "a.json:1:14: warning[plain_secret]: the document holds the secret itself (tokens[0].token)";
    assert_eq!(found(&["[]", &format!("[{token}]")]), [lds], "one document has tokens");
    let invalid = found(&[r#"[{"id": ""}]"#]);
    assert!(!invalid.is_empty() && !invalid.iter().any(|found| found.contains("no_tokens")), "{invalid:?}");
}

#[test]
fn warnings_are_optional_and_also_given_with_errors() {
    let text =
        r#"[{"id": "a", "token": "s", "allowed_apis": ["lds"]}, {"id": "b", "token": "", "allowed_apis": ["lds"]}]"#;
    let found = |options: &LoadOptions| {
        load(&[Input::new("a", text)], options).diagnostics.iter().map(brief).collect::<Vec<_>>()
    };
    assert_eq!(found(&LoadOptions::default()), ["tokens[1].token secret_empty"]);
    assert_eq!(found(&everything()), ["tokens[0].token plain_secret", "tokens[1].token secret_empty"]);
}

#[test]
fn diagnostics_have_line_and_column() {
    for (text, want, why) in [
        ("{\n \"token\": []}", &["a:2:2: error[unknown_field]: unknown field `token` (token)"][..], "the key"),
        ("{\n \"tokens\": [,]}", &["a:2:13: error[json_syntax]: expected a JSON value"], "syntax"),
        (
            "",
            &[
                "a:1:1: error[json_syntax]: expected an object with `tokens`, a list of tokens, or one token a line, found nothing",
            ],
            "empty",
        ),
        ("\n{\"version\": 1}", &["a:2:1: error[missing_field]: field `tokens` is missing"], "the object"),
        (
            "[{\"id\": \"é\", \"token\": \"\", \"allowed_apis\": [\"maps\"]}]",
            &[
                "a:1:2: error[grants_empty]: the token has no grants (tokens[0])",
                "a:1:14: error[secret_empty]: the secret is empty (tokens[0].token)",
            ],
            "a missing field at its object, a secret at its key",
        ),
        (
            "{\"id\": \"a\", \"token\": \"s-a\", \"allowed_apis\": [\"lds\"]}\n\n{\"id\": 7, \"token\": \"\", \"allowed_apis\": [\"lds\"],\n",
            &["a:3:48: error[json_syntax]: the JSON is cut off in a value (tokens[1])"],
            "JSON Lines",
        ),
        (
            "[\n{\"id\": \"\\u0061\", \"token\": \"s-a\", \"allowed_apis\": [\"lds\"]},\n {\"allowed_apis\": [\"lds\"], \"token\": \"b\", \"id\": \"a\"}]",
            &["a:3:48: error[duplicate_id]: id `a` is taken by `tokens[0]` (tokens[1].id)"],
            "the later one",
        ),
    ] {
        let loaded = load(&[Input::new("a", text)], &LoadOptions::default());
        assert_eq!(loaded.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>(), want, "{why}");
    }
}

#[test]
fn several_inputs_are_one_policy() {
    let token = |id: &str| format!(r#"{{"id": "{id}", "token": "s-{id}", "allowed_apis": ["lds"]}}"#);
    let input = |name: &str, text: &str| Input::new(name, text);
    let loaded = load(&[input("a", &token("a")), input("b", &token("b"))], &LoadOptions::default());
    assert_eq!(loaded.policy.unwrap().tokens().len(), 2);

    let inputs = [input("a", &token("a")), input("b", "{"), input("c", &token("a"))];
    for skip_invalid in [false, true] {
        let loaded = load(&inputs, &LoadOptions { skip_invalid, ..everything() });
        assert!(loaded.policy.is_none(), "an input that cannot be read");
        assert_eq!(
            loaded.errors().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "b:1:2: error[json_syntax]: the JSON is cut off in an object",
                "c:1:8: error[duplicate_id]: id `a` is taken by `tokens[0]` of `a` (tokens[0].id)",
                "c:1:13: error[duplicate_secret]: the secret is taken by `tokens[0]` of `a` (tokens[0].token)",
            ]
        );
    }
    let inputs = [input("a", &token("a")), input("c", &token("a"))];
    let loaded = load(&inputs, &LoadOptions { skip_invalid: true, ..LoadOptions::default() });
    assert_eq!((loaded.policy.unwrap().tokens().len(), loaded.skipped, loaded.diagnostics.len()), (1, 1, 2));
    assert_eq!(load(&[], &LoadOptions::default()).policy.unwrap().tokens().len(), 0);
}

/// A document that is found not to be JSON when its tokens are parsed has one problem, like one that is not JSON from the
/// start. The problems of the other documents are those that they have beside its readable part.
#[test]
fn late_errors_of_json_reject_a_document() {
    let token = |id: &str| format!(r#"{{"id": "{id}", "token": "s-{id}", "allowed_apis": ["lds"]}}"#);
    let late = format!(r#"[{}, {{"id": "\ud800"}}, {}, {{"id": 1e999}}]"#, token("a"), token("b"));
    let early = format!("[{}, {{\"id\" 1}}]", token("a"));
    let inputs = |broken: &str| {
        let grant = r#""grants": [{"connection_name": "c", "source": "`a.b`.c"}]"#;
        let last = format!(r#"{{"id": "a", "token": "c", "allowed_apis": ["tiles"], {grant}}}"#);
        [Input::new("broken", broken), Input::new("a", token("a")), Input::new("last", last)]
    };
    for skip_invalid in [false, true] {
        let options = LoadOptions { skip_invalid, ..everything() };
        let [late, early] = [&late, &early].map(|broken| load(&inputs(broken), &options));
        assert!(late.policy.is_none() && early.policy.is_none());
        let shown = |loaded: &super::Loaded| loaded.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (late, early) = (shown(&late), shown(&early));
        assert_eq!(late[0], "broken:1:70: error[json_syntax]: an escape is half of a surrogate pair");
        assert_eq!(early.len(), 2, "{early:#?}");
        let beside = [
            "a:1:8: error[duplicate_id]: id `a` is taken by `tokens[0]` of `broken` (tokens[0].id)",
            "a:1:13: error[duplicate_secret]: the secret is taken by `tokens[0]` of `broken` (tokens[0].token)",
            "last:1:8: error[duplicate_id]: id `a` is taken by `tokens[0]` of `broken` (tokens[0].id)",
            "last:1:44: error[api_unknown]: unknown API `tiles` (tokens[0].allowed_apis[0])",
        ];
        assert_eq!(late[1..], beside);
    }
}

/// Returns `[code, …]` of the problems of `text`, added to `known`.
fn check_tokens(text: &str, known: &Policy, want: &[&str]) -> Option<Policy> {
    let added = tokens(text, known);
    let errors: Vec<&str> =
        added.as_ref().err().iter().flat_map(|error| error.diagnostics()).map(|found| found.code).collect();
    assert_eq!(errors, want, "{text}\n{added:?}");
    added.ok()
}

#[test]
fn tokens_are_added_to_a_policy() {
    let known = policy(FULL).unwrap();
    let before: Vec<_> = known.connections().to_vec();
    assert_eq!(before.len(), 2, "one declared, one not");
    let token = |fields: &str| format!(r#"{{"id": "new", "token": "s-new", {fields}}}"#);
    let on = |connection: &str, source: &str| {
        let grant = format!(r#"{{"connection_name": "{connection}", "source": "{source}"}}"#);
        token(&format!(r#""allowed_apis": ["tiles"], "grants": [{grant}]"#))
    };
    for known in [&known, &known.without_tokens()] {
        for (text, connections, why) in [
            (token(r#""allowed_apis": ["lds"]"#), 2, "no grant"),
            (on("dw", "`a.b`.c"), 2, "the dialect that the policy declares"),
            (on("c", "\\\"a\\\".c"), 2, "undeclared there: generic"),
            (on("d", "\\\"a\\\".c"), 3, "known to nobody"),
            (format!("[{}]", on("dw", "a.b")), 2, "a list"),
            (format!(r#"{{"tokens": [{}]}}"#, on("dw", "a.b")), 2, "an object"),
            (
                format!(
                    r#"{{"connections": [{{"name": "c"}}, {{"name": "dw", "dialect": "bigquery", "named_sources_only": true}}],
                        "tokens": [{}], "apis": [{{"name": "tiles", "accepts": ["all", "resource"]}}]}}"#,
                    on("dw", "a.b")
                ),
                2,
                "declared as it is there",
            ),
            (
                r#"{"id": "tok_1", "token": "s3cret\n", "allowed_apis": ["lds"]}"#.to_owned(),
                2,
                "other tokens play no part",
            ),
        ] {
            let added = check_tokens(&text, known, &[]).unwrap();
            assert_eq!(added.tokens().len(), 1, "{why}");
            assert_eq!(added.connections().len(), connections, "{why}");
            assert_eq!(added.connections()[..2], before, "{why}");
            assert_eq!((added.apis(), added.limits()), (known.apis(), known.limits()), "{why}");
            for grant in added.tokens()[0].grants() {
                assert!(added.connection(grant.connection()).is_some(), "{why}");
            }
        }
        for (text, want) in [
            (on("dw", "\\\"a\\\".c"), &["source_unclear"][..]),
            (on("dw", "a.b").replace("tiles", "tile"), &["api_unknown"]),
            ("[".to_owned(), &["json_syntax"]),
            (r#"[{"id": "\ud800"}]"#.to_owned(), &["json_syntax"]),
            (r#"{"tokens": [], "connections": [{"name": "dw"}]}"#.to_owned(), &["connection_changed"]),
            (
                r#"{"tokens": [], "connections": [{"name": "dw", "dialect": "bigquery"}]}"#.to_owned(),
                &["connection_changed"],
            ),
            (r#"{"tokens": [], "connections": [{"name": "other"}]}"#.to_owned(), &["connection_changed"]),
            (r#"{"tokens": [], "connections": [{"name": "dw", "dialect": "x"}]}"#.to_owned(), &["dialect_unknown"]),
            (r#"{"tokens": [], "connections": [{"name": "c"}, {"name": "c"}]}"#.to_owned(), &["duplicate_connection"]),
            (r#"{"tokens": [], "apis": [{"name": "tiles", "accepts": ["all"]}]}"#.to_owned(), &["api_changed"]),
            (r#"{"tokens": [], "apis": [{"name": "tile", "accepts": ["all"]}]}"#.to_owned(), &["api_changed"]),
            (r#"{"tokens": [], "apis": [{"name": "tiles", "accepts": ["x"]}]}"#.to_owned(), &["kind_unknown"]),
            (r#"{"tokens": [], "apis": [{"name": "maps", "accepts": ["all"]}]}"#.to_owned(), &["duplicate_api"]),
        ] {
            check_tokens(&text, known, want);
        }
    }
    assert_eq!(
        tokens(r#"{"tokens": [], "connections": [{"name": "dw"}]}"#, &known).unwrap_err().to_string(),
        "<text>:1:32: error[connection_changed]: connection `dw` is declared otherwise in the policy (connections[0]); \
         leave it out: only the whole policy can declare connections and APIs, or change them"
    );
}

#[test]
fn tokens_are_read_under_the_limits_of_the_policy() {
    let limits = portcullis::model::Limits { query_bytes: 10 };
    let options = LoadOptions { limits, ..LoadOptions::default() };
    let known = load(&[Input::new("a", "[]")], &options).policy.unwrap();
    let text = r#"{"id": "a", "token": "s", "allowed_apis": ["sql"], "grants": [{"connection_name": "c", "source": "select  1234"}]}"#;
    check_tokens(text, &known, &["query_malformed"]);
    check_tokens(text, &Policy::default(), &[]);
}

#[test]
fn diagnostics_serialize_as_json() {
    let loaded = load(&[Input::new("a", r#"{"tokens": [], "apiz": 1}"#)], &LoadOptions::default());
    assert_eq!(
        serde_json::to_string(&loaded.diagnostics).unwrap(),
        r#"[{"severity":"error","code":"unknown_field","path":"apiz","line":1,"column":16,"message":"unknown field `apiz`","help":"did you mean `apis`?"}]"#
    );
}

#[test]
fn unreadable_files_are_listed() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("good.json"), "[]").unwrap();
    std::fs::write(path("latin1.json"), b"[\"\xe9\"]").unwrap();
    let inputs = read_files(&[path("good.json")]).unwrap();
    assert!(inputs[0].name().ends_with("good.json") && inputs[0].text() == "[]");
    let errors = read_files(&[path("good.json"), path("latin1.json"), path("none.json")]).unwrap_err();
    assert_eq!(errors.len(), 2);
    assert!(errors[0].to_string().contains("latin1.json`: it is not UTF-8 at byte 2; help: convert it"));
    assert!(errors[1].file.ends_with("none.json"));
    assert_eq!(Input::from_reader("<stdin>", &b"{}"[..]).unwrap().text(), "{}");
}

/// Returns everything that is displayed for `text`.
#[expect(clippy::format_push_string, clippy::string_slice, reason = "a test may be slow, and may panic")]
fn shown(text: &str) -> String {
    let input = Input::new("a", text);
    let mut shown = format!("{input:?}{}", input.redacted());
    for skip_invalid in [false, true] {
        let loaded = load(std::slice::from_ref(&input), &LoadOptions { skip_invalid, ..everything() });
        for found in &loaded.diagnostics {
            shown += &format!("{found}{found:?}{}{}\n", found.help, serde_json::to_string(found).unwrap());
            shown += found.span.clone().map_or("", |span| &text[span]);
        }
        shown += &format!("{:?}", loaded.policy);
        shown += &loaded.into_policy().err().map_or_else(String::new, |error| format!("{error}{error:?}"));
    }
    shown
}

#[test]
fn secrets_are_never_displayed() {
    let wrong =
        "\"allowed_apis\": [7, \"x\"], \"grants\": [7, {\"source\": \"*x\"}], \"referers\": [\"y\"], \"zzz\": 1";
    for value in [
        format!("\"{SECRET}\""),
        format!("[\"{SECRET}\"]"),
        format!("{{\"x\": \"{SECRET}\"}}"),
        format!("[{{\"x\": [\"{SECRET}\"]}}, 7]"),
        format!("\"\\\"{SECRET}\""),
    ] {
        for text in [
            format!("[{{\"id\": \"a\", \"token\": {value}, {wrong}}}, {{\"token\": {value}, \"token\": {value}}}]"),
            format!("[{{\"id\": \"a\", \"token_sha256\": {value}, \"token\": {value}, {wrong}}}]"),
            format!("[{{\"id\": \"a\", \"token_sha256\": {value}}}, {{\"token_sha256\": {value}}}]"),
            format!("{{\"id\": 1, \"token\": {value}}}\n{{\"token\": {value}, }}\n{{\"token\": {value}"),
            format!(
                "{{\"tokens\": [{{\"token\": {value}, \"id\": \"a\", \"allowed_apis\": [\"lds\"]}}], \"token\": {value}}}"
            ),
            format!("[{{\"token\": {value} \"id\": 1}}]"),
        ] {
            let shown = shown(&text);
            assert!(!shown.contains("hunter2"), "{text}\n{shown}");
        }
    }
}

/// Checks that loading terminates, and that all diagnostics are inside the text, in order.
fn survives(text: &str, name: &str) {
    for skip_invalid in [false, true] {
        let input = Input::new(name, text);
        let redacted = input.redacted();
        assert_eq!(redacted.len(), text.len());
        let loaded = load(&[input], &LoadOptions { skip_invalid, ..everything() });
        assert!(loaded.policy.is_some() || loaded.errors().count() > 0, "{text}");
        assert!(skip_invalid || loaded.policy.is_none() || loaded.errors().count() == 0, "{text}");
        for found in &loaded.diagnostics {
            let span = found.span.clone().unwrap();
            assert!(text.get(span).is_some(), "{found}");
            assert!(!found.to_string().contains('\n') && !found.help.contains('\n') && !found.help.is_empty());
        }
        let positions: Vec<_> = loaded.diagnostics.iter().map(|found| (found.line, found.column)).collect();
        assert!(positions.is_sorted());
    }
}

#[test]
fn a_document_with_every_field_loads() {
    let loaded = load(&[Input::new("a", FULL)], &everything());
    assert_eq!(loaded.errors().count(), 0, "{:?}", loaded.diagnostics);
    assert_eq!(loaded.diagnostics.iter().filter(|found| found.severity == Severity::Warning).count(), 5);
    assert_eq!(policy(FULL).unwrap().tokens().len(), 2);
}

proptest! {
    #[test]
    fn mutated(edits in proptest::collection::vec((0..FULL.len(), "[\\[\\]{},:\"\\\\a0*.\n]?"), 1..4)) {
        let mut text = FULL.to_owned();
        for (at, new) in edits {
            let at = text.floor_char_boundary(at);
            let end = text.ceil_char_boundary(at + 1);
            text.replace_range(at..end, &new);
        }
        survives(&text, "a");
    }

    #[test]
    fn values_swapped(picks in proptest::collection::vec((0..200_usize, 0..8_usize), 1..6)) {
        let mut value: serde_json::Value = serde_json::from_str(FULL).unwrap();
        for (at, new) in picks {
            let mut count = 0;
            let new = ["null", "7", "\"\"", "\"*\"", "[]", "{}", "\"\\u0000\\n\"", "[\"a..b\"]"][new];
            replace(&mut value, at, &mut count, &serde_json::from_str(new).unwrap());
        }
        survives(&serde_json::to_string_pretty(&value).unwrap(), "a\nb");
    }

    #[test]
    fn any_text(text in any::<String>()) {
        survives(&text, "a");
        survives(&format!("{{\"token\": {text}"), "a");
        survives(&format!("{{\"tokens\": [{{\"{text}\": 1}}]}}"), "a");
    }
}

/// Replaces value number `at` by `new`.
fn replace(value: &mut serde_json::Value, at: usize, count: &mut usize, new: &serde_json::Value) {
    *count += 1;
    if *count == at {
        *value = new.clone();
    } else if let Some(list) = value.as_array_mut() {
        for value in list {
            replace(value, at, count, new);
        }
    } else if let Some(map) = value.as_object_mut() {
        for value in map.values_mut() {
            replace(value, at, count, new);
        }
    }
}

/// The limit of kept errors changes neither the count nor the policy.
#[test]
fn the_limit_of_errors_changes_neither_their_number_nor_the_policy() {
    let good = r#"{"id": "a", "token": "s3cret", "allowed_apis": ["lds"]}"#;
    let list = |items: &[&str]| format!("[{}]", items.join(","));
    let many = |item: &str, count: usize| vec![item; count].join(",");
    let in_token = |field: &str, items: String| {
        format!(r#"[{good}, {{"id": "b", "token": "s3cret-2", "allowed_apis": ["maps"], "{field}": [{items}]}}]"#)
    };
    // Each with the number of its errors, and of the tokens that are left out.
    let cases = [
        (list(&[good]), 0, 0),
        (list(&[good, "7", "{}", r#"{"id": "a", "token": "s3cret", "allowed_apis": ["x"], "y": 1}"#]), 8, 3),
        (list(&[good, &many("7", 3_000)]), 3_000, 3_000),
        (in_token("grants", many("7", 2_500)), 2_500, 1),
        (in_token("grants", many("{}", 2_500)), 5_000, 1),
        (
            in_token("grants", format!("{},{}", many("{}", 900), many(r#"{"x": 1, "source": []}"#, 900))),
            900 * 2 + 900 * 3,
            1,
        ),
        // And one more for the missing grants.
        (in_token("referers", many("\"x\"", 2_500)), 2_501, 1),
        (format!("{good}\n{}", "{\"id\": 1,}\n".repeat(500)), 500, 500),
    ];
    for (text, errors, left_out) in cases {
        let inputs = [Input::new("a.json", text.clone())];
        let [all, some, one, none] = [usize::MAX, 100, 1, 0].map(|max_errors| {
            let options = LoadOptions { skip_invalid: true, max_errors, ..LoadOptions::default() };
            (max_errors, load(&inputs, &options))
        });
        let shown: String = text.chars().take(120).collect();
        for (max, loaded) in [&all, &some, &one, &none] {
            assert_eq!(loaded.count().errors, errors, "{shown}");
            assert_eq!(loaded.skipped, left_out, "{shown}");
            assert!(loaded.errors().count() <= *max, "{shown}");
            assert_eq!(format!("{:?}", loaded.policy), format!("{:?}", all.1.policy), "{shown}");
            assert!(loaded.errors().all(|error| all.1.diagnostics.contains(error)), "{shown}");
        }
        assert_eq!(some.1.errors().count(), errors.min(100), "{shown}");
        // Without `skip_invalid`, any error rejects it, kept or not.
        for max_errors in [0, 100] {
            let loaded = load(&inputs, &LoadOptions { max_errors, ..LoadOptions::default() });
            assert_eq!((loaded.policy.is_some(), loaded.count().errors), (errors == 0, errors), "{shown}");
        }
    }
}

#[test]
fn an_error_outside_tokens_rejects_a_document_although_it_is_not_kept() {
    let wrong = vec!["7"; 200].join(",");
    for outside in [r#""apiz": []"#, r#""version": 2"#, r#""connections": [7]"#] {
        let text = format!(r#"{{"tokens": [{wrong}], {outside}}}"#);
        for max_errors in [0, 1, 100, usize::MAX] {
            let options = LoadOptions { skip_invalid: true, max_errors, ..LoadOptions::default() };
            let loaded = load(&[Input::new("a.json", text.clone())], &options);
            assert_eq!((loaded.policy.is_none(), loaded.count().errors, loaded.skipped), (true, 201, 0), "{outside}");
        }
    }
}

#[test]
fn a_load_error_counts_the_errors_that_it_does_not_list() {
    let text = format!("[{}]", vec!["7"; 250].join(","));
    let error = policy(text).unwrap_err();
    assert_eq!((error.diagnostics().len(), error.count()), (100, 250));
    assert!(error.to_string().ends_with("\nand 150 more, 250 in total"), "{error}");
}

#[test]
fn warnings_are_counted_beyond_their_limit() {
    let token = |at: usize| format!(r#"{{"id": "t{at}", "token": "s3cret-{at}", "allowed_apis": ["lds"]}}"#);
    let text = format!("[{}]", (0..300).map(token).collect::<Vec<_>>().join(","));
    for (max_warnings, kept) in [(0, 0), (7, 7), (usize::MAX, 300)] {
        let options = LoadOptions { warnings: true, max_warnings, ..LoadOptions::default() };
        let loaded = load(&[Input::new("a.json", text.clone())], &options);
        assert_eq!((loaded.count().warnings, loaded.warnings().count()), (300, kept));
    }
}

#[test]
fn an_input_with_too_many_errors_is_rejected_before_its_end() {
    let text = format!(r#"[{{"id": "a", "token": "s3cret", "allowed_apis": ["lds"]}}{}]"#, ",7".repeat(1_000));
    for (max_counted, count) in [(1, 1), (999, 999), (1_000, 1_000), (1_001, 1_000)] {
        let options = LoadOptions { skip_invalid: true, max_counted, ..LoadOptions::default() };
        let loaded = load(&[Input::new("a.json", text.clone())], &options);
        assert_eq!((loaded.count().errors, loaded.policy.is_some()), (count, max_counted >= 1_000), "{max_counted}");
    }
}

#[test]
fn fixes_of_names_in_typographic_quotes_are_names_of_their_kind() {
    let load = |dialect: &str, source: &str| {
        let source = serde_json::to_string(source).unwrap();
        let text = format!(
            r#"{{"connections": [{{"name": "c", "dialect": "{dialect}"}}], "tokens": [{{"id": "a", "token": "s3cret",
                "allowed_apis": ["maps"], "grants": [{{"connection_name": "c", "source": {source}}}]}}]}}"#
        );
        load(&[Input::new("a.json", text)], &everything())
    };
    let kind = |loaded: &super::Loaded| loaded.policy.as_ref().unwrap().tokens()[0].grants()[0].source().kind();
    for (dialect, source, fix) in [
        ("postgres", "“a”.“b”.c", "\"a\".\"b\".c"),
        ("postgres", "‘a.b.c’", "a.b.c"),
        ("postgres", "a.b.‘c_*’", "a.b.c_*"),
        ("oracle", "«A».«B»", "\"A\".\"B\""),
        ("bigquery", "“a.b.c”", "a.b.c"),
        ("bigquery", "a.“b”.c_*", "a.`b`.c_*"),
        ("databricks", "a.b.c\u{201d}", "a.b.c"),
        ("snowflake", "a.b.\"“c”\"", "A.B.\"c\""),
    ] {
        let loaded = load(dialect, source);
        let found = loaded.warnings().find(|found| found.code == "typographic_quotes");
        let help = &found.unwrap_or_else(|| panic!("{source}: {:?}", loaded.diagnostics)).help;
        assert_eq!(*help, format!("write `{fix}`"), "{source}");
        let fixed = load(dialect, fix);
        assert_eq!(kind(&fixed), kind(&loaded), "{source}");
        assert!(fixed.warnings().all(|found| found.code != "typographic_quotes"), "{fix}");
    }
    for source in ["\"l’eau\".b.c", "a.b.c", "a.b.\"x“y\""] {
        assert!(load("postgres", source).warnings().all(|found| found.code != "typographic_quotes"), "{source}");
    }
}

/// Loads one grant of `source` on connection `c` of this dialect.
fn load_source(dialect: &str, source: &str) -> super::Loaded {
    let source = serde_json::to_string(source).unwrap();
    let text = format!(
        r#"{{"connections": [{{"name": "c", "dialect": "{dialect}"}}], "tokens": [{{"id": "a", "token": "s3cret",
            "allowed_apis": ["maps"], "grants": [{{"connection_name": "c", "source": {source}}}]}}]}}"#
    );
    load(&[Input::new("a.json", text)], &everything())
}

#[test]
fn leftovers_in_quotes_are_reported_with_a_valid_source() {
    for (dialect, source, help) in [
        ("bigquery", "`a.b.c;`", "write `a.b.c`"),
        ("bigquery", "`a.b.c, a.b.d`", "write a grant for each source: `a.b.c`, `a.b.d`"),
        ("bigquery", "`a.b.{c,d}`", "write a grant for each source: `a.b.c`, `a.b.d`"),
        ("bigquery", "`\"a\".\"b\".\"c\"`", "write `a.b.c`"),
        ("bigquery", "`[a].[b].[c]`", "write `a.b.c`"),
        ("bigquery", "`a.b.c `", "write `a.b.c`"),
        ("bigquery", "` a.b.c`", "write `a.b.c`"),
        ("bigquery", "`a.b.%`", "write `a.b.*`"),
        ("bigquery", "`a.b.c_%`", "write `a.b.c_*`"),
        ("bigquery", "a.b.`c\u{a0}`", "write `a.b.c`"),
        ("postgres", "a.\"%\"", "write `a.*`"),
        ("postgres", "a.\"b \"", "write `a.b`"),
        ("databricks", "a.b.`c;`", "write `a.b.c`"),
        ("generic", "all", "all sources are written `*`"),
    ] {
        let loaded = load_source(dialect, source);
        let found = loaded.warnings().find(|found| found.code == "name_unlikely");
        let found = found.unwrap_or_else(|| panic!("{source}: {:?}", loaded.diagnostics));
        assert_eq!(found.help, help, "{dialect} {source}");
        for fix in found.help.split('`').skip(1).step_by(2) {
            let fixed = load_source(dialect, fix);
            assert!(fixed.policy.is_some() && fixed.warnings().all(|found| found.code != "name_unlikely"), "{fix}");
        }
    }
    for (dialect, source) in [
        ("postgres", "a.\"50%\""),
        ("postgres", "a.\"x y\""),
        ("postgres", "a.\"x;y\""),
        ("snowflake", "\"a.b\".c.\"d \""),
        ("bigquery", "`a.b.c d`"),
        ("bigquery", "`a.b.c`"),
        ("bigquery", "a.b.*"),
        ("generic", "all-roads"),
    ] {
        let loaded = load_source(dialect, source);
        assert!(loaded.policy.is_some(), "{source}: {:?}", loaded.diagnostics);
        assert!(loaded.warnings().all(|found| found.code != "name_unlikely"), "{source}: {:?}", loaded.diagnostics);
    }
}

#[test]
fn names_deeper_than_the_dialect_permits_are_reported() {
    for (dialect, source, is_deep) in [
        ("bigquery", "a.b.c", false),
        ("bigquery", "a.b.c.d", false),
        ("bigquery", "example.com:a.b.INFORMATION_SCHEMA.TABLES", false),
        ("bigquery", "`a.b.c.d.e`", true),
        ("bigquery", "a.b.c.d.e", true),
        ("bigquery", "a.b.c.d.*", true),
        ("bigquery", "a.*.c.d.e", false),
        ("bigquery", "a.b.c.d.e.f", true),
        ("databricks", "a.b.c.d", false),
        ("databricks", "a.b.c.d.e", true),
        ("snowflake", "a.b.c.d", true),
        ("postgres", "a.b.c.*", true),
        ("generic", "a.b.c.d.e.f", false),
    ] {
        let loaded = load_source(dialect, source);
        assert!(loaded.policy.is_some(), "{source}: {:?}", loaded.diagnostics);
        let found = loaded.warnings().any(|found| found.code == "pattern_too_deep");
        assert_eq!(found, is_deep, "{dialect} {source}");
    }
}

#[test]
fn blanks_and_invisible_characters_of_ids_and_names_are_reported() {
    let found = |fields: &str, declared: &str, connection: &str| {
        let text = format!(
            r#"{{"connections": [{{"name": "{declared}"}}], "tokens": [{{{fields}, "token": "s3cret",
                "allowed_apis": ["maps"], "grants": [{{"connection_name": "{connection}", "source": "a.b"}}]}}]}}"#
        );
        let loaded = load(&[Input::new("a.json", text)], &everything());
        assert!(loaded.policy.is_some(), "{:?}", loaded.diagnostics);
        let is_meant = |code: &str| {
            matches!(code, "blanks_around" | "bidi_character" | "invisible_character" | "connection_undeclared")
        };
        let found = loaded.warnings().filter(|found| is_meant(found.code));
        found.map(|found| format!("{}; {}", brief(found), found.help)).collect::<Vec<_>>()
    };
    let id = r#""id": "a""#;
    for (fields, declared, connection, want) in [
        (id, "c", "c", &[][..]),
        (r#""id": "a ""#, "c", "c", &["tokens[0].id blanks_around; write `a`"]),
        (r#""id": "a\u00a0""#, "c", "c", &["tokens[0].id blanks_around; write `a`"]),
        (r#""id": " ""#, "c", "c", &["tokens[0].id blanks_around; write it without blanks around it"]),
        (r#""id": "a\u200bb""#, "c", "c", &["tokens[0].id invisible_character; write `ab`"]),
        (r#""id": "a", "name": "\u202emoc""#, "c", "c", &["tokens[0].name bidi_character; write `moc`"]),
        (r#""id": "a", "owner": "a\u2060na""#, "c", "c", &["tokens[0].owner invisible_character; write `ana`"]),
        (r#""id": "a", "name": "❤\ufe0f""#, "c", "c", &[]),
        (id, " c", " c", &["connections[0].name blanks_around; write `c`"]),
        (id, r"c\u2060d", r"c\u2060d", &["connections[0].name invisible_character; write `cd`"]),
        (
            id,
            "carto ",
            "carto",
            &[
                "connections[0].name blanks_around; write `carto`",
                "tokens[0].grants[0].connection_name connection_undeclared; declare the connection as `carto`, without \
                 blanks around it",
            ],
        ),
        (
            id,
            "carto ",
            "carta",
            &[
                "connections[0].name blanks_around; write `carto`",
                "tokens[0].grants[0].connection_name connection_undeclared; did you mean `carto`?",
            ],
        ),
        (
            id,
            "carto",
            "carto ",
            &[
                "tokens[0].grants[0].connection_name blanks_around; write `carto`",
                "tokens[0].grants[0].connection_name connection_undeclared; did you mean `carto`?",
            ],
        ),
    ] {
        assert_eq!(found(fields, declared, connection), want, "{fields} {declared:?} {connection:?}");
    }
}

#[test]
fn what_other_programs_write_into_a_policy_is_named() {
    let token = r#"{"id": "a", "token": "s3cret", "allowed_apis": ["maps"], "grants": [{"source": "a.b"}]}"#;
    let declared = r#""connections": [{"name": "pg"}]"#;
    for (text, help) in [
        ("{\n<<<<<<< HEAD\n\"tokens\": []\n=======\n}".to_owned(), "resolve the conflict of the merge"),
        ("{\"tokens\": []\n>>>>>>> other\n}".to_owned(), "resolve the conflict of the merge"),
        ("{\n  // tokens\n  \"tokens\": []}".to_owned(), "remove the comments"),
        ("{\"tokens\": [] // none\n}".to_owned(), "remove the comments"),
        ("{\"tokens\": [], /* none */ }".to_owned(), "remove the comments"),
        ("{\"tokens\": []}\0\0".to_owned(), "remove the NUL bytes: `tr -d '\\0'`"),
        (
            format!(r#"{{"data": [{token}]}}"#),
            "if the tokens are under `data`, convert the file: `jq '{tokens: .data}' FILE`",
        ),
        (r#"{"tokens": "ENC[x]", "sops": {"mac": "ENC[y]"}}"#.to_owned(), "decrypt it with `sops -d FILE`"),
        ("{}".to_owned(), "add `\"tokens\"`, a list of tokens: `portcullis init` writes"),
        (r#"{"tokens": null}"#.to_owned(), "write a list of tokens: `portcullis init` writes"),
        (format!(r#"{{{declared}, "tokens": [{token}]}}"#), "add `\"connection_name\": \"pg\"`"),
        (format!("[{token}]"), "add `\"connection_name\": \"dw\"`"),
        (
            format!(r#"{{{declared}, "tokens": [{{"id": "a", "token": "s3cret", "allowed_apis": ["maps"]}}]}}"#),
            "such as `{\"connection_name\": \"pg\", \"source\": \"schema.table\"}`",
        ),
    ] {
        let loaded = load(&[Input::new("a.json", text.clone())], &LoadOptions::default());
        assert!(loaded.policy.is_none(), "{text}");
        let helps: Vec<_> = loaded.errors().map(|found| found.help.clone()).collect();
        assert!(helps.iter().any(|found| found.contains(help)), "{text}: {helps:?}");
        assert!(helps.iter().all(|found| !found.contains("\"tokens\": []")), "{text}: {helps:?}");
    }
}
