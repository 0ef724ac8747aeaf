//! `audit who-can` and `audit diff`.

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
fn who_can_lists_readers_with_their_grants() {
    let dir = dir();
    let command = "audit who-can --policy policy.json --connection dw --resource DB.Sales.orders --now 2026-11-24";
    let text = dir.command(command).stdout(0);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("map    ana    pattern  db.sales.*  maps sql (model)  https://a.test/"), "{text}");
    assert!(lines[2].starts_with("all    -      all      *           sql"), "{text}");
    assert_eq!(lines[3], "access: 2 tokens");
    let output = json(&dir.command(&format!("{command} --format json")).stdout(0));
    assert_eq!(output[0]["grants"][0]["source"], "db.sales.*");
    assert_eq!(output[1]["expires"], Value::Null);
    assert_eq!(dir.command(&format!("{command} --format csv")).stdout(0).lines().count(), 3);
    dir.command("compile --policy policy.json -o policy.pcls").stdout(0);
    let compiled = command.replace("policy.json", "policy.pcls");
    assert_eq!(dir.command(&compiled).stdout(0).lines().count(), 4);
    let query = dir
        .command("audit who-can --policy policy.json --connection dw --now 2026-11-24")
        .arg("--query")
        .arg("select  1;");
    assert!(query.stdout(0).ends_with("access: 2 tokens\n"));
}

#[test]
fn token_leaked_shows_apis_referers_and_sources() {
    let dir = dir();
    let text = dir.command("audit who-can --policy policy.json --token-leaked map --now 2026-11-24").stdout(0);
    assert!(
        text.contains("APIs: maps, sql\nreferers: https://a.test/ (anyone with the secret can send them)\n"),
        "{text}"
    );
    assert!(text.contains("dw          pattern  db.sales.*  maps sql\n"), "{text}");
    let output =
        dir.command("audit who-can --policy policy.json --token-leaked old --now 2026-11-24 --format json").stdout(0);
    assert_eq!(json(&output)["expired"], true);
}

#[test]
fn who_can_rejects_unknown_and_malformed_arguments() {
    let dir = dir();
    let cases = [
        ("--connection dv --resource a.b", "the policy has no connection `dv`: it has `dw`"),
        ("--connection dw --resource a..b", "`a..b` is not a valid name on `dw`: an identifier is empty"),
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
fn fail_on_widening_exits_1_with_an_allowed_request() {
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
    let output = json(&dir.command("audit diff policy.json wider.json --format json --since 2026-11-24").stdout(0));
    assert_eq!(
        (&output["widened"], &output["tokens"][0]["gains"][0]["witness"]["source"]),
        (&true.into(), &"db.a.a".into())
    );

    let run = dir.command("audit diff policy.json narrower.json --fail-on-widening --since 2026-11-24").run();
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains("  - API sql\n  - pattern db.sales.* on dw, under maps\n"), "{}", run.stdout);
    let csv = dir.command("audit diff policy.json narrower.json --format csv --since 2026-11-24").stdout(0);
    assert!(csv.contains("map,-,API sql,"), "{csv}");
}

const THROUGH: &str = r#"{"connections": [{"name": "dw", "dialect": "postgres"}, {"name": "n", "dialect": "postgres", "named_sources_only": true}], "tokens": [
    {"id": "own", "token": "demo-a", "allowed_apis": ["maps"], "grants": [{"connection_name": "dw", "source": "db.sales.*"},
        {"connection_name": "dw", "source": "select * from db.sales.orders"}]},
    {"id": "query", "token": "demo-b", "allowed_apis": ["sql"], "grants": [{"connection_name": "dw", "source": "with o as (select * from sales.Orders) select * from o"}]},
    {"id": "source", "token": "demo-c", "allowed_apis": ["sql"], "grants": [{"connection_name": "dw", "source": "orders-open"}, {"connection_name": "dw", "source": "select * frm t"}]},
    {"id": "nobody", "token": "demo-d", "allowed_apis": ["maps"], "grants": [{"connection_name": "n", "source": "select * from db.sales.orders"}]},
    {"id": "old", "token": "demo-e", "allowed_apis": ["maps"], "expiration_date": "2020-01-01", "grants": [{"connection_name": "dw", "source": "select * from db.sales.orders"}]}
]}"#;

#[test]
fn who_can_separates_readers_through_queries() {
    let sources = "{\"name\": \"orders-open\", \"sql\": \"SELECT * FROM db.sales.orders WHERE open\"}\n";
    let dir = Dir::new().file("p.json", THROUGH).file("s.jsonl", sources);
    let command = "audit who-can --policy p.json --connection dw --resource db.sales.orders --now 2026-11-24";
    let run = dir.command(command).run();
    for row in [["query, which reads it", "with o as"], ["query, which may read it", "select * frm t"]] {
        assert!(run.stdout.lines().any(|line| row.iter().all(|cell| line.contains(cell))), "{}", run.stdout);
    }
    // The SQL of one token's named source is not known.
    let end = "access: 1 token, and 1 more token only through queries, and 1 more token may read it through queries\n";
    assert!(run.stdout.ends_with(end), "{}", run.stdout);
    assert!(run.stderr.contains("`orders-open` of source grants[0]: its SQL is not known"), "{}", run.stderr);
    assert!(run.stderr.contains("`select * frm t` of source grants[1]: column 14: "), "{}", run.stderr);
    let output = json(&dir.command(&format!("{command} --named-sources s.jsonl --format json")).run().stdout);
    let rows: Vec<_> = output
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["token"].as_str().unwrap(), row["through_queries"] == true))
        .collect();
    assert_eq!(rows, [("own", false), ("own", true), ("query", true), ("source", true)]);
    // A row with a query that certainly reads the table also has one that only may.
    let may_read = [&output[3]["grants"][0]["may_read"], &output[3]["grants"][1]["may_read"]];
    assert_eq!(may_read, [&Value::Null, &Value::Bool(true)]);
    // `--query` lists only the tokens that can run the query.
    let query = dir
        .command("audit who-can --policy p.json --connection dw --now 2026-11-24")
        .arg("--query")
        .arg("select * from db.sales.orders");
    assert!(query.stdout(0).ends_with("access: 1 token\n"));

    let leaked = "audit who-can --policy p.json --token-leaked source --named-sources s.jsonl --now 2026-11-24";
    let text = dir.command(leaked).stdout(0);
    assert!(text.contains("dw          named source  orders-open     sql   db.sales.orders\n"), "{text}");
    assert!(text.contains("unknown: line 1, column 14: "), "{text}");
    let output = json(&dir.command(&format!("{leaked} --format json")).stdout(0));
    assert_eq!(output["grants"][0]["reads"][0], "db.sales.orders");
    assert!(output["grants"][1]["not_followed"].as_str().unwrap().starts_with("line 1, column 14: "));
}

#[test]
fn diff_counts_gained_and_lost_catalog_names() {
    let catalog = "connection,name\ndw,db.sales.orders\ndw,db.hr.pay\ndw,DB.hr.people\ndw,db..x\n";
    let dir = dir()
        .file("new.json", POLICY.replace("db.sales.*", "db.hr.*").replace("select 1", "select * from db.sales.orders"))
        .file("catalog.csv", catalog);
    let command = "audit diff policy.json new.json --catalog catalog.csv --since 2026-11-24";
    let run = dir.command(command).run();
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (2, "note: `catalog.csv`, line 5: `db..x` is no name: an identifier is empty\n")
    );
    let names = "  + 2 names of the catalog\n      + dw: db.hr.pay\n      + dw: DB.hr.people\n";
    assert!(run.stdout.contains(names) && !run.stdout.contains("- dw: db.sales.orders"), "{}", run.stdout);
    let end = "catalog: 3 names; 1 token gained names, 0 tokens lost names\n";
    assert!(run.stdout.ends_with(end), "{}", run.stdout);
    let back = dir
        .command("audit diff new.json policy.json --catalog catalog.csv --since 2026-11-24 --format json")
        .run()
        .stdout;
    let output = json(&back);
    assert_eq!(
        (&output["tokens"][0]["names"]["gained"]["names"], &output["tokens"][0]["names"]["lost"]["names"]),
        (&0.into(), &2.into())
    );
    let csv = dir.command(&format!("{command} --format csv")).run().stdout;
    assert!(csv.contains("map,+,2 names of the catalog,\"dw: db.hr.pay, dw: DB.hr.people\"\n"), "{csv}");
}
