//! `validate`.

use super::util::{Dir, POLICY, SECRET};

const VALID: &str = r#"[{"id": "a", "token_sha256": "ea0d1b5e4b5e7f9f3bbf1d1a6a5a4c93ab2ce24a42c8d8b1ee1f3f0d6f0b6a11", "allowed_apis": ["lds"]}]"#;

#[test]
fn validate_prints_results_and_exit_codes() {
    let dir = Dir::new().file("good.json", VALID).file("bad.json", "[{}]").file("warned.json", POLICY);
    assert_eq!(dir.command("validate good.json").stdout(0), "good.json: valid, 0 errors, 0 warnings\n");
    assert!(dir.command("validate good.json bad.json").stdout(1).contains("bad.json: invalid, "));
    let warned = dir.command("validate warned.json").stdout(0);
    assert!(warned.ends_with("warned.json: valid, 0 errors, 2 warnings\n"), "{warned}");
    let denied = dir.command("validate warned.json --deny-warnings").stdout(1);
    assert!(denied.ends_with("warned.json: invalid, 0 errors, 2 warnings\n"), "{denied}");
    let unreadable = dir.command("validate none.json bad.json").run();
    assert_eq!(unreadable.code, 2);
    assert!(unreadable.stderr.starts_with("error: cannot read `none.json`: "), "{}", unreadable.stderr);
    assert!(unreadable.stdout.ends_with(" warnings\n"), "the other files are validated");
    assert_eq!(dir.command("validate -").stdin(VALID).stdout(0), "<stdin>: valid, 0 errors, 0 warnings\n");
    let twice = "error: `-` is given more than once: standard input can be read only once\n";
    assert_eq!(dir.command("validate - -").stderr(), twice);
    assert!(dir.command("validate").stderr().contains("<FILE>..."));
}

#[test]
fn wrong_text_is_underlined() {
    let dir = Dir::new().file(
        "p.json",
        "[\n  {\n    \"id\": \"a\",\n    \"token\": \"s3cr3t-of-the-test\", \"allowed_apis\": [\"mapz\"]\n  }\n]\n",
    );
    let stdout = dir.command("validate p.json").stdout(1);
    let expected = r#"  x error[api_unknown]: unknown API `mapz`
   ,-[p.json:4:53]
 3 |     "id": "a",
 4 |     "token": "******************", "allowed_apis": ["mapz"]
   :                                                     ^^^|^^
   :                                                        `-- tokens[0].allowed_apis[0]
 5 |   }
   `----
  help: did you mean `maps`?
"#;
    assert!(stdout.contains(expected), "{stdout}");
    let painted = dir.command("validate p.json --color always").stdout(1);
    assert!(painted.contains("\u{1b}[") && painted.contains('╭'), "{painted}");
    assert!(!stdout.contains('\u{1b}') && stdout.is_ascii(), "{stdout}");
}

#[test]
fn long_line_is_cut_around_the_error() {
    let tokens: Vec<_> =
        (0..2000).map(|id| format!(r#"{{"id":"t{id}","token":"{SECRET}{id}","allowed_apis":["lds"]}}"#)).collect();
    let text = format!("[{}]", tokens.join(",")).replace(
        r#""t1000","token":"s3cr3t-of-the-test1000","allowed_apis":["lds"]"#,
        r#""t1000","token":"s3cr3t-of-the-test1000","allowed_apis":["ldz"]"#,
    );
    let stdout = Dir::new().file("p.json", text).command("validate p.json").stdout(1);
    let error = stdout.split("error[api_unknown]").nth(1).unwrap();
    assert!(error.contains("\"allowed_apis\":[\"ldz\"]") && error.lines().all(|line| line.len() < 250), "{error}");
}

#[test]
fn secrets_in_wrong_fields_are_masked() {
    let cases = [
        format!(r#"[{{"id": "a", "tokn": "{SECRET}", "allowed_apis": ["lds"]}}]"#),
        format!(r#"[{{"id": "a", "token": ["{SECRET}"], "allowed_apis": ["lds"]}}]"#),
        format!(r#"[{{"id": "a", "token_sha256": "{SECRET}", "allowed_apis": ["lds"]}}]"#),
        format!(r#"[{{"id": "a", "token" "{SECRET}"}}]"#),
        format!(r#"[{{"id": "a", "token": "{SECRET}]"#),
        format!(r#"["{SECRET}"]"#),
        format!(r#"{{"tokens": "{SECRET}"}}"#),
        format!(r#"[{{"id": "a", "token": "b", "referers": ["https://user:{SECRET}@example.com/"]}}]"#),
        format!("TOKEN={SECRET}\n"),
        SECRET.to_owned(),
    ];
    for text in cases {
        let dir = Dir::new().file("p.json", &text);
        // Every run looks for the secret.
        assert!(dir.command("validate p.json").stdout(1).contains("p.json: invalid"), "{text}");
        assert!(dir.command("validate --format json p.json").stdout(1).contains("\"valid\":false"), "{text}");
        assert!(dir.command("inspect --policy p.json").stderr().contains("and was not loaded"), "{text}");
    }
}

#[test]
fn json_has_one_object_for_each_file() {
    let dir = Dir::new().file("good.json", VALID).file("bad.json", r#"{"tokens": [], "apiz": []}"#);
    let ran = dir.command("validate --format json good.json bad.json none.json").run();
    assert_eq!(ran.code, 2);
    let [good, bad, none] = ran.stdout.lines().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(good, r#"{"file":"good.json","valid":true,"errors":0,"warnings":0,"diagnostics":[]}"#);
    assert_eq!(
        bad,
        r#"{"file":"bad.json","valid":false,"errors":1,"warnings":0,"diagnostics":[{"severity":"error","code":"unknown_field","path":"apiz","line":1,"column":16,"message":"unknown field `apiz`","help":"did you mean `apis`?"}]}"#
    );
    assert!(
        none.starts_with(
            r#"{"file":"none.json","valid":false,"errors":1,"warnings":0,"diagnostics":[{"severity":"error","code":"unreadable","#
        )
    );
}

#[test]
fn together_checks_files_as_one_policy() {
    let token = |id: &str| format!(r#"[{{"id": "{id}", "token": "{SECRET}-{id}", "allowed_apis": ["lds"]}}]"#);
    let dir = Dir::new().file("a.json", token("same")).file("b.json", token("same"));
    dir.command("validate a.json b.json").stdout(0);
    let together = dir.command("validate --together a.json b.json").stdout(1);
    assert!(together.contains("a.json: valid, ") && together.contains("b.json: invalid, "), "{together}");
}

#[test]
fn skip_invalid_accepts_errors_of_tokens() {
    let text = format!(r#"[{{"id": "a", "token": "{SECRET}", "allowed_apis": ["lds"]}}, {{"id": "b"}}]"#);
    let dir = Dir::new().file("p.json", text).file("worse.json", r#"{"tokens": [], "apiz": []}"#);
    let stdout = dir.command("validate --skip-invalid p.json").stdout(0);
    assert!(stdout.ends_with(", 1 token left out\n") && stdout.contains("p.json: valid, "), "{stdout}");
    dir.command("validate --skip-invalid worse.json").stdout(1);
}

#[test]
fn ten_thousand_errors_are_printed_quickly() {
    let tokens: Vec<_> = (0..10_000)
        .map(|id| format!(r#"{{"id":"t{id}","token":"{SECRET}{id}","allowed_apis":["lds"],"grantz":[]}}"#))
        .collect();
    let start = std::time::Instant::now();
    for separator in [",", ",\n"] {
        let dir = Dir::new().file("p.json", format!("[{}]", tokens.join(separator)));
        let stdout = dir.command("validate --max-errors 10000 p.json").stdout(1);
        assert_eq!(stdout.matches("error[unknown_field]").count(), 10_000);
        assert!(stdout.ends_with("invalid, 10,000 errors, 0 warnings\n"), "{stdout}");
    }
    // A quadratic rendering takes minutes; a debug build on a busy machine takes less than this.
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}

#[test]
fn passwords_in_urls_are_not_printed() {
    for (referer, source) in [
        ("ftp://user:hunter2@h/", "a.b"),
        ("user:hunter2@h/", "a.b"),
        ("//user:hunter2@h/", "a.b"),
        ("hunter2@h/", "a.b"),
        ("https://user:hunter2@h/#x", "a.b"),
        ("https://h/", "postgres://u:hunter2@h/db"),
    ] {
        let document = format!(
            r#"[{{"id": "a", "token": "s3cret", "allowed_apis": ["maps"], "referers": ["{referer}"],
                "grants": [{{"connection_name": "dw", "source": "{source}"}}]}}]"#
        );
        let dir = Dir::new().file("p.json", document);
        for format in ["text", "json"] {
            let shown = dir.command(&format!("validate p.json --format {format}")).stdout(1);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
