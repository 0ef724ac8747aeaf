//! Who can, and what changes, as an auditor sees it.

use serde_json::Value;

use super::util::Dir;

const POLICY: &str = r#"{"connections": [{"name": "dw", "dialect": "postgres"}], "tokens": [
    {"id": "map", "token": "demo-a", "owner": "ana", "allowed_apis": ["maps", "sql"], "referers": ["https://a.test/"],
     "expiration_date": "2031-01-01", "grants": [{"connection_name": "dw", "source": "db.sales.*"}, {"connection_name": "dw", "source": "select 1"}]},
    {"id": "all", "token": "demo-b", "allowed_apis": ["sql"], "grants": [{"connection_name": "dw", "source": "*"}]},
    {"id": "old", "token": "demo-c", "allowed_apis": ["maps"], "expiration_date": "2020-01-01", "grants": [{"connection_name": "dw", "source": "db.sales.orders"}]}
]}"#;

fn dir() -> Dir {
    Dir::new().file("policy.json", POLICY)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn who_can_read_a_table_is_told_with_the_way() {
    let dir = dir();
    let ask = "audit who-can --policy policy.json --connection dw --resource DB.Sales.orders --now 2026-11-24";
    let text = dir.command(ask).stdout(0);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("map    ana    db.sales.*  maps sql (model)  https://a.test/"), "{text}");
    assert!(lines[2].starts_with("all    -      *           sql"), "{text}");
    assert_eq!(lines[3], "2 tokens can");
    let told = json(&dir.command(&format!("{ask} --format json")).stdout(0));
    assert_eq!(told[0]["grants"][0]["source"], "db.sales.*");
    assert_eq!(told[1]["expires"], Value::Null);
    assert_eq!(dir.command(&format!("{ask} --format csv")).stdout(0).lines().count(), 3);
    dir.command("compile --policy policy.json -o policy.pcls").stdout(0);
    let compiled = ask.replace("policy.json", "policy.pcls");
    assert_eq!(dir.command(&compiled).stdout(0).lines().count(), 4);
    let query = dir
        .command("audit who-can --policy policy.json --connection dw --now 2026-11-24")
        .arg("--query")
        .arg("select  1;");
    assert!(query.stdout(0).ends_with("2 tokens can\n"));
}

#[test]
fn what_a_leaked_token_can_do_is_told() {
    let dir = dir();
    let text = dir.command("audit who-can --policy policy.json --token-leaked map --now 2026-11-24").stdout(0);
    assert!(
        text.contains("APIs: maps, sql\nreferers: https://a.test/, which whoever has the secret can claim\n"),
        "{text}"
    );
    assert!(text.contains("dw          pattern  db.sales.*  maps sql\n"), "{text}");
    let told =
        dir.command("audit who-can --policy policy.json --token-leaked old --now 2026-11-24 --format json").stdout(0);
    assert_eq!(json(&told)["expired"], true);
}

#[test]
fn what_cannot_be_asked_is_told() {
    let dir = dir();
    let cases = [
        ("--connection dv --resource a.b", "the policy has no connection `dv`: it has `dw`"),
        ("--connection dw --resource a..b", "`a..b` is no name on `dw`: an identifier is empty"),
        ("--connection dw", "the source is missing: give `--resource`, `--query` or `--named-source`"),
        ("--token-leaked nobody", "the policy has no token `nobody`"),
        ("--connection dw --named-source A", "named source"),
    ];
    for (arguments, expected) in cases {
        let run = dir.command(&format!("audit who-can --policy policy.json {arguments}")).run();
        assert_eq!(run.code, 2, "{arguments}");
        assert!(run.stderr.contains(expected), "{arguments}: {}", run.stderr);
    }
}

#[test]
fn a_wider_policy_fails_with_the_request_that_it_allows() {
    let dir = dir()
        .file("wider.json", POLICY.replace("db.sales.*", "db.*.*").replace("\"demo-c\"", "\"demo-d\""))
        .file("narrower.json", POLICY.replace("db.sales.*", "db.sales.o*").replace("\"maps\", \"sql\"", "\"maps\""));
    let run = dir.command("audit diff policy.json wider.json --fail-on-widening --since 2026-11-24").run();
    assert_eq!(run.code, 1);
    assert!(
        run.stdout.starts_with("~ token map\n  + pattern db.*.* on dw, under maps, sql\n      now allowed: "),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.ends_with("0 added, 0 removed, 1 changed, 2 tokens unchanged; 1 gain, 0 losses\n"),
        "{}",
        run.stdout
    );
    assert!(run.stderr.contains("newly allowed: token `map`, api `maps`, resource `db.a.a` on `dw`"), "{}", run.stderr);
    let told = json(&dir.command("audit diff policy.json wider.json --format json --since 2026-11-24").stdout(0));
    assert_eq!(
        (&told["widened"], &told["tokens"][0]["gains"][0]["witness"]["source"]),
        (&true.into(), &"db.a.a".into())
    );

    let run = dir.command("audit diff policy.json narrower.json --fail-on-widening --since 2026-11-24").run();
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("  - API sql\n  - pattern db.sales.* on dw, under maps\n"), "{}", run.stdout);
    let csv = dir.command("audit diff policy.json narrower.json --format csv --since 2026-11-24").stdout(0);
    assert!(csv.contains("map,-,API sql,"), "{csv}");
}
