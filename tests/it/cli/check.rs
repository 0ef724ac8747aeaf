//! `check` with one request.

use super::util::{Dir, SECRET};

const ONE: &str = "check --policy policy.json --now 2026-11-22 --token-stdin --api";

#[test]
fn check_prints_the_decision_and_its_exit_code() {
    let dir = Dir::with_policy();
    let cases = [
        ("maps --connection dw --resource public.roads", 0, "allow, token `tok`, grant 0\n"),
        ("maps --connection dw --resource Public.Roads", 0, "allow, token `tok`, grant 0\n"),
        ("maps --connection dw --named-source daily --resource public.roads", 0, "allow, token `tok`, grants 2, 0\n"),
        ("maps --connection dw --resource public.roads --named-source daily", 0, "allow, token `tok`, grants 0, 2\n"),
        ("sql --connection dw --resource public.roads", 1, "deny: grant_kind_not_accepted (403)\n"),
        ("sql --operation model --connection dw --resource public.roads", 0, "allow, token `tok`, grant 0\n"),
        ("maps --connection dw --resource public.trees", 1, "deny: source_not_granted (403)\n"),
        ("maps --connection other --resource public.roads", 1, "deny: connection_not_granted (403)\n"),
        ("lds", 1, "deny: api_not_allowed (403)\n"),
        ("lds --now 2040-01-01T00:00:00Z", 1, "deny: token_expired (401)\n"),
    ];
    for (args, code, expected) in cases {
        let args = format!(
            "{} {args}",
            if args.contains("--now") { ONE.replace("--now 2026-11-22 ", "") } else { ONE.into() }
        );
        assert_eq!(dir.command(&args).stdin(SECRET).stdout(code), expected, "{args}");
    }
    let query = dir.command(&format!("{ONE} sql --connection dw --query")).arg(" select  1").stdin(SECRET);
    assert_eq!(query.stdout(1), "deny: source_not_granted (403)\n");
    let query = dir.command(&format!("{ONE} sql --connection dw --query")).arg(" SELECT   1;").stdin(SECRET);
    assert_eq!(query.stdout(0), "allow, token `tok`, grant 1\n");
}

#[test]
fn json_equals_the_answer_to_a_file_of_requests() {
    let dir = Dir::with_policy();
    let allow = dir.command(&format!("{ONE} maps --connection dw --resource public.roads --format json")).stdin(SECRET);
    assert_eq!(allow.stdout(0), "{\"decision\":\"allow\",\"token\":\"tok\",\"grants\":[0]}\n");
    let deny = dir.command(&format!("{ONE} lds --format json")).stdin("wrong");
    assert_eq!(deny.stdout(1), "{\"decision\":\"deny\",\"reason\":\"token_unknown\",\"status\":401}\n");
}

#[test]
fn explain_shows_every_check_and_the_same_decision() {
    let dir = Dir::with_policy();
    let args = format!("{ONE} maps --connection dw --resource public.road --explain");
    let text = dir.command(&args).stdin(SECRET).stdout(1);
    assert!(text.starts_with("deny: source_not_granted (403), token `tok`\n  ok   1. "), "{text}");
    assert!(text.contains("differs by a deletion from granted `public.roads`"), "{text}");
    let json = dir.command(&format!("{args} --format json")).stdin(SECRET).stdout(1);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["decision"], &json["reason"]), (&"deny".into(), &"source_not_granted".into()));
    assert_eq!(
        (json["checks"].as_array().unwrap().len(), &json["near_misses"][0]["code"]),
        (9, &"similar_name".into())
    );
    let allowed = dir.command(&format!("{ONE} maps --connection dw --resource public.roads --explain")).stdin(SECRET);
    assert!(allowed.stdout(0).starts_with("allow, token `tok`\n"));
}

#[test]
fn token_is_read_from_stdin_environment_or_argument() {
    let dir = Dir::with_policy();
    let rest = "--api lds";
    let secret = format!("{SECRET}-geo");
    let allowed = "allow, token `geo`\n";
    let check = |args: &str| dir.command(&format!("check --policy policy.json {args} {rest}"));
    assert_eq!(check("--token-stdin").stdin(format!("{secret}\r\n")).stdout(0), allowed);
    assert_eq!(check("--token-env TOKEN").env("TOKEN", &secret).stdout(0), allowed);
    assert_eq!(check(&format!("--token {secret}")).stdout(0), allowed);
    assert_eq!(check("--token=").stdout(1), "deny: token_missing (401)\n");
    assert_eq!(check("--token -x").stdout(1), "deny: token_unknown (401)\n");
    let unset = "error: cannot read the token from the environment variable `TOKEN`: not set\n\
                 help: set it in the shell with `read -rs TOKEN; export TOKEN`\n";
    assert_eq!(check("--token-env TOKEN").stderr(), unset);
    let long = check("--token-stdin").stdin(vec![b'x'; 1 << 17]).stderr();
    assert_eq!(long, "error: standard input has more than 65536 bytes: expected one token\n");
    assert!(check("").stderr().contains("<--token-stdin|--token-env <VAR>|--token <SECRET>|--token-id <ID>>"));
    assert!(check("--token-stdin --token x").stderr().contains("cannot be used with"));
    // A token in the wrong argument.
    assert!(check(&format!("--token-stdin {secret}")).stderr().starts_with("error: unexpected argument '…' found"));
    assert!(check(&format!("--token-stdin={secret}")).stderr().contains("unexpected value '…'"));
    let unnamed = "error: cannot read the token from the environment variable that `--token-env` names: not set\n\
         help: set it in the shell with `read -rs TOKEN; export TOKEN`\n";
    assert_eq!(check(&format!("--token-env {secret}")).stderr(), unnamed);
    assert!(dir.command(&format!("{secret} --token x")).stderr().contains("unrecognized subcommand '…'"));
}

#[test]
fn missing_and_wrong_arguments_are_named() {
    let dir = Dir::with_policy();
    let cases = [
        ("maps --resource a.b", "the connection is missing: give `--connection`"),
        ("maps --connection dw", "the source is missing: give `--resource`, `--query` or `--named-source`"),
        (
            "maps --connection dw --resource a.b --operation model",
            "`--operation` applies only to `--api sql`: leave it out",
        ),
        (
            "sql --connection dw --resource a.b --operation modle",
            "invalid value 'modle' for '--operation <OPERATION>': expected `query` or `model`\nhelp: write `query`\n\nFor more information, try '--help'.",
        ),
        ("lds --policy -", "`--policy -` and `--token-stdin` both read standard input: use `--token-env`"),
    ];
    for (args, expected) in cases {
        assert_eq!(
            dir.command(&format!("{ONE} {args}")).stdin(SECRET).stderr(),
            format!("error: {expected}\n"),
            "{args}"
        );
    }
    let twice = dir.command("check --policy - - --token x --api lds").stderr();
    assert_eq!(twice, "error: `-` is given more than once: standard input can be read only once\n");
    let now = dir.command("check --policy policy.json --token-stdin --api lds --now 22.11.2026").stdin(SECRET).stderr();
    assert!(now.contains("`22.11.2026` is not an instant: expected RFC 3339 such as `2026-11-22T12:00:00Z`"), "{now}");
}

#[test]
fn policy_is_read_from_files_stdin_or_environment() {
    let dir = Dir::with_policy()
        .file("connections.json", r#"{"connections": [{"name": "dw", "dialect": "snowflake"}], "tokens": []}"#)
        .file("tokens.jsonl", r#"{"id": "a", "token": "t", "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": "a.b"}]}"#);
    let rest = "--token t --api maps --connection dw --resource A.B";
    let allowed = "allow, token `a`, grant 0\n";
    for policy in ["--policy connections.json tokens.jsonl", "--policy connections.json -p tokens.jsonl"] {
        assert_eq!(dir.command(&format!("check {policy} {rest}")).stdout(0), allowed);
    }
    let denied = "deny: token_unknown (401)\n";
    assert_eq!(dir.command(&format!("check {rest}")).env("PORTCULLIS_POLICY", "policy.json").stdout(1), denied);
    assert_eq!(dir.command(&format!("check {rest} --policy -")).stdin(super::util::POLICY).stdout(1), denied);
    let missing = dir.command(&format!("check {rest} --policy no.json neither.json")).stderr();
    assert!(missing.starts_with("error: cannot read `no.json`: "), "{missing}");
    assert!(missing.contains("\nerror: cannot read `neither.json`: "), "{missing}");
}

#[test]
fn policy_with_errors_loads_only_with_skip_invalid() {
    let dir = Dir::new().file(
        "policy.json",
        r#"[{"id": "geo", "token": "s3cr3t-of-the-test", "allowed_apis": ["lds"]},
            {"id": "bad", "token": "s3cr3t-of-the-test-2", "allowed_apis": ["mapz"]}]"#,
    );
    let check =
        |args: &str| dir.command(&format!("check --policy policy.json --token-stdin --api lds {args}")).stdin(SECRET);
    let refused = check("").stderr();
    assert!(refused.contains("error[api_unknown]: unknown API `mapz`"), "{refused}");
    assert!(refused.ends_with(
        "error: the policy has 1 error and was not loaded\nhelp: `--skip-invalid` leaves out the tokens with errors\n"
    ));
    let skipped = check("--skip-invalid").run();
    assert_eq!((skipped.code, skipped.stdout.as_str()), (0, "allow, token `geo`\n"));
    assert!(skipped.stderr.ends_with("note: left out 1 token with 1 error\n"), "{}", skipped.stderr);
}

#[test]
fn color_option_and_no_color_control_colors() {
    let dir = Dir::with_policy();
    let check = |args: &str| dir.command(&format!("{ONE} lds {args}")).stdin(format!("{SECRET}-geo"));
    assert_eq!(check("").stdout(0), "allow, token `geo`\n");
    assert_eq!(check("--color always").stdout(0), "\u{1b}[1;32mallow\u{1b}[0m, token `geo`\n");
    assert_eq!(check("--color never").stdout(0), "allow, token `geo`\n");
    assert_eq!(check("").env("NO_COLOR", "1").stdout(0), "allow, token `geo`\n");
}
