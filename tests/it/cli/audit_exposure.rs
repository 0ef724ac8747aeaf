//! `audit exposure` and `audit forecast`, and the catalogs of all audit commands.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::util::Dir;

const POLICY: &str = r#"{"connections": [{"name": "dw", "dialect": "snowflake"}], "tokens": [
    {"id": "a", "token": "demo-a", "allowed_apis": ["maps"], "grants": [
        {"connection_name": "dw", "source": "db.s.*"}, {"connection_name": "dw", "source": "db.s.roads"}]},
    {"id": "b", "token": "demo-b", "allowed_apis": ["sql"], "grants": [{"connection_name": "dw", "source": "select 1"}, {"connection_name": "dw", "source": "db.*.x"}]},
    {"id": "old", "token": "demo-c", "allowed_apis": ["maps"], "expiration_date": "2020-01-01", "grants": [{"connection_name": "dw", "source": "*"}]}
]}"#;
const CATALOG: &str = "TABLE_CATALOG,TABLE_SCHEMA,TABLE_NAME\nDB,S,ROADS\nDB,S,lower\nDB,T,X\nDB,T,Y\n";

#[test]
fn exposure_counts_tokens_sources_and_unexposed_names() {
    let broken = format!("{CATALOG}DB,S\n");
    let dir = Dir::new().file("policy.json", POLICY).file("catalog.csv", CATALOG).file("broken.csv", &broken);
    let command = "audit exposure --policy policy.json --catalog catalog.csv --connection dw --quiet";
    let output: Value = serde_json::from_str(&dir.command(&format!("{command} --format json")).run().stdout).unwrap();
    assert_eq!((&output["names"], &output["exposed"]), (&json!(4), &json!(3)));
    assert_eq!(output["connections"][0]["not_exposed_examples"], json!(["DB.T.Y"]));
    let counts: Vec<_> =
        output["tokens"].as_array().unwrap().iter().map(|row| (row["id"].as_str().unwrap(), &row["names"])).collect();
    assert_eq!(counts, [("a", &json!(2)), ("b", &json!(1)), ("old", &json!(4))]);
    let text = dir.command(command).run();
    assert_eq!(text.code, 0);
    assert!(text.stdout.contains("old       4      expired"), "{}", text.stdout);
    assert!(text.stdout.contains("\n3 of 4 names exposed (75.00 %)\n"), "{}", text.stdout);
    assert!(dir.command(&format!("{command} --token nobody")).stderr().contains("the policy has no token `nobody`"));

    let run = dir.command("audit exposure --policy policy.json --catalog broken.csv --connection dw").run();
    assert_eq!(run.code, 2, "the catalog was not read completely");
    assert!(run.stderr.contains("line 6: 2 columns, where the heading has 3"), "{}", run.stderr);
    assert!(run.stdout.contains("3 of 4 names exposed"), "{}", run.stdout);
}

#[test]
fn catalog_without_name_column_is_rejected() {
    let dir = Dir::new().file("policy.json", POLICY);
    let run = dir.command("audit exposure --policy policy.json --catalog -").stdin("id\n1\n").run();
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("expected the column `name`"), "{}", run.stderr);
}

/// Every command that reads a catalog, with its option for the connection of the names.
const COMMANDS: [(&str, &str); 6] = [
    ("exposure --policy policy.json", "--connection"),
    ("lint --policy policy.json --allow plain_secret --fail-on error", "--catalog-connection"),
    ("forecast --policy policy.json", "--catalog-connection"),
    ("report --policy policy.json --report out.html", "--catalog-connection"),
    ("suggest --policy policy.json --log log.jsonl", "--catalog-connection"),
    ("diff policy.json policy.json --fail-on-widening", "--catalog-connection"),
];

const LOG: &str = r#"{"log":1,"time":"2026-11-24T00:00:00Z","token_id":"a","api":"maps","connection":"dw","sources":[{"resource":"db.s.roads"}],"decision":"allow","grants":[1],"ns":1}"#;

#[test]
fn incomplete_catalogs_exit_with_2() {
    let dir = Dir::new()
        .file("policy.json", POLICY)
        .file("log.jsonl", LOG)
        .file("whole.csv", "connection,name\ndw,db.s.a\n")
        .file("short.csv", "connection,name\ndw,db.s.a\ndw\n")
        .file("malformed.csv", "connection,name\ndw,db.s.a\ndw,db..a\n")
        .file("nobodys.csv", "connection,name\ndw,db.s.a\n,db.s.b\n")
        .file("unnamed.csv", "name\ndb.s.a\ndb.s.b\n");
    for (command, option) in COMMANDS {
        let audit = |catalog: &str| dir.command(&format!("audit {command} --quiet --catalog {catalog}")).run();
        for (catalog, code, output) in [
            ("whole.csv", 0, String::new()),
            ("short.csv", 2, "line 3: 1 column, where the heading has 2".to_owned()),
            ("malformed.csv", 2, "db..a".to_owned()),
            (
                "nobodys.csv",
                2,
                format!("line 3: no connection: the catalog needs the column `connection`, or `{option}`"),
            ),
            (
                "unnamed.csv",
                2,
                format!("error: `unnamed.csv` has no connection in any row: name the connection with `{option} NAME`"),
            ),
        ] {
            let run = audit(catalog);
            assert_eq!(run.code, code, "{command}, {catalog}: {}", run.stderr);
            assert!(run.stderr.contains(&output), "{command}, {catalog}: {}", run.stderr);
        }
        assert_eq!(audit(&format!("unnamed.csv {option} dw")).code, 0, "{command}");
    }
}

const QUERIES: &str = r#"{"connections": [{"name": "dw", "dialect": "snowflake"}, {"name": "bq", "dialect": "bigquery"}], "tokens": [
    {"id": "map", "token": "demo-a", "allowed_apis": ["maps"], "grants": [
        {"connection_name": "dw", "source": "db.sales.*"},
        {"connection_name": "bq", "source": "select * from `p.geo.regions` r join `p.geo.cities_*` c using (id)"}]},
    {"id": "report", "token": "demo-b", "allowed_apis": ["sql"], "grants": [
        {"connection_name": "dw", "source": "select * from db.hr.people join sales.orders using (id)"},
        {"connection_name": "dw", "source": "select * frm db.hr.pay"},
        {"connection_name": "dw", "source": "select carto.h3(x) from db.hr.gone"},
        {"connection_name": "dw", "source": "open-orders"}]},
    {"id": "writer", "token": "demo-c", "allowed_apis": ["imports"], "grants": [{"connection_name": "dw", "source": "db.up.*"}]}
]}"#;
const TABLES: &str = "connection,name\ndw,db.sales.orders\ndw,db.hr.people\ndw,db.hr.pay\ndw,db2.sales.orders\nbq,p.geo.regions\nbq,p.geo.cities_2024\nbq,p.geo.rivers\n";

#[test]
fn exposure_separates_queries_and_lists_unknown_reads() {
    let sources = "{\"name\": \"open-orders\", \"connection\": \"dw\", \"sql\": \"SELECT * FROM db.hr.pay\"}\n";
    let dir = Dir::new()
        .file("p.json", QUERIES)
        .file("c.csv", TABLES)
        .file("s.jsonl", sources)
        .file("bad.jsonl", "{\"name\": 7}\n");
    let audit = |more: &str| dir.command(&format!("audit exposure --policy p.json --catalog c.csv --quiet {more}"));
    let output: Value = serde_json::from_str(&audit("--format json").run().stdout).unwrap();
    let counts: Vec<_> =
        output["tokens"].as_array().unwrap().iter().map(|row| (&row["names"], &row["through_queries"])).collect();
    assert_eq!(counts, [(&json!(1), &json!(2)), (&json!(0), &json!(3)), (&json!(0), &json!(0))]);
    assert_eq!((&output["exposed"], &output["through_queries"]), (&json!(1), &json!(4)));
    assert_eq!(output["tokens"][0]["query_examples"], json!(["p.geo.cities_2024", "p.geo.regions"]));
    assert_eq!(output["tokens"][1]["grants"][0]["reads"], json!(["DB.HR.PEOPLE", "SALES.ORDERS"]));
    assert_eq!(output["connections"][0]["not_exposed_examples"], json!(["db.hr.pay"]));
    let unfollowed = &output["not_followed"];
    assert_eq!(unfollowed[0]["granted"], json!([{"token": "report", "grant": 1}]));
    assert_eq!(
        (&unfollowed[0]["column"], &unfollowed[0]["why"]),
        (&json!(10), &json!("expected end of statement, found frm"))
    );
    assert_eq!((&unfollowed[1]["kind"], &unfollowed[2]), (&json!("named_source"), &Value::Null));
    assert_eq!(output["not_in_catalog"], json!([{"connection": "dw", "table": "DB.HR.GONE", "queries": 1}]));
    assert_eq!(output["calls"], json!([{"connection": "dw", "calls": "carto.h3()", "queries": 1}]));

    let text = audit("").run();
    assert_eq!(text.code, 0);
    for line in [
        "\n1 of 7 names exposed (14.29 %), and 4 more through queries (57.14 %)\n",
        "dw: select * frm db.hr.pay  column 10: expected end of statement, found frm",
        "\n1 table that queries read but the catalog does not have: dw: DB.HR.GONE (1 query)\n",
        "\nCalls in queries that may read more: dw: carto.h3() (1 query)\n",
    ] {
        assert!(text.stdout.contains(line), "{line}: {}", text.stdout);
    }
    let csv = audit("--format csv --token report").run().stdout;
    assert!(csv.contains("not_followed,report grants[3],dw,named_source,open-orders,,,,,"), "{csv}");
    assert!(!csv.contains("p.geo.regions"), "{csv}");

    // With the SQL of the named source, every name of `dw` is exposed.
    let output: Value =
        serde_json::from_str(&audit("--named-sources s.jsonl --connection dw --format json").run().stdout).unwrap();
    assert_eq!((&output["connections"][0]["not_exposed"], &output["connections"][1]), (&json!(0), &Value::Null));
    assert_eq!(output["not_followed"][1], Value::Null);
    let broken = audit("--named-sources bad.jsonl").stderr();
    assert!(broken.contains("line 1: expected a string, found a number"), "{broken}");
}

#[test]
fn named_sources_of_a_registry_are_followed() {
    use portcullis_registry::{Actor, Location, NewToken, Registry};

    let dir = Dir::new().file("c.csv", "connection,name\ndw,db.hr.pay\ndw,db.hr.people\n");
    let mut registry = Registry::open(&Location::file(dir.path("r.db")), true).unwrap();
    let ana = Actor::new("ana", "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
    registry.add_connection(&ana, "dw", "postgres", None, false).unwrap();
    registry.create_named_source(&ana, "pay-slips", "SELECT * FROM db.hr.pay", None).unwrap();
    let grant = ("dw".to_owned(), "pay-slips".to_owned());
    let token =
        NewToken { name: Some("a".into()), apis: vec!["sql".into()], grants: vec![grant], ..NewToken::default() };
    let id = registry.create_token(&ana, &token).unwrap().token.id;
    let output = dir.command("audit exposure --db sqlite:r.db --catalog c.csv --quiet --format json").run().stdout;
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        (&output["exposed"], &output["through_queries"], &output["not_followed"]),
        (&json!(0), &json!(1), &json!([]))
    );
    let who = dir.command("audit who-can --db sqlite:r.db --connection dw --resource db.hr.pay --format csv").stdout(0);
    assert!(who.lines().nth(1).unwrap().starts_with(&id) && who.ends_with(",yes,\n"), "{who}");
}

#[test]
fn forecast_lists_new_names_of_each_pattern() {
    let dir = Dir::new().file("policy.json", POLICY).file("catalog.csv", CATALOG);
    let audit = |more: &str| dir.command(&format!("audit forecast --policy policy.json {more}"));
    let output = audit("--catalog catalog.csv --catalog-connection dw --count 2").stdout(0);
    let lines: Vec<Vec<&str>> = output.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[1..5],
        [
            vec!["dw:", "DB.S.*", "DB.S.A", "1", "exists"],
            vec!["DB.S.B", "1", "exists"],
            vec!["dw:", "DB.*.X", "DB.S.X", "2", "exists"],
            vec!["DB.A.X", "1", "-"],
        ],
        "{output}"
    );
    assert!(output.ends_with("2 patterns, 4 names, each decided\n"), "{output}");
    let output: Value = serde_json::from_str(&audit("--token a --format json --count 1").stdout(0)).unwrap();
    assert_eq!(
        (&output[0]["pattern"], &output[0]["names"][0]["name"], &output[1]),
        (&json!("DB.S.*"), &json!("DB.S.A"), &Value::Null)
    );
    assert!(
        output[0]["names"][0]["example"]
            .as_str()
            .unwrap()
            .starts_with("token `a`, api `maps`, resource `DB.S.A` on `dw`")
    );
    let csv = audit("--connection dw --format csv --now 2019-01-01").stdout(0);
    assert!(csv.contains("dw,*,1,A.A.A,no,1,"), "{csv}");
    assert!(audit("--token nobody").stderr().contains("the policy has no token `nobody`"));
    assert!(audit("--connection dv").stderr().contains("the policy has no connection `dv`"));
}

#[test]
#[cfg(not(feature = "parquet"))]
fn build_without_parquet_names_the_feature() {
    let dir = Dir::new().file("policy.json", POLICY).file("tables.parquet", "PAR1...PAR1");
    for command in ["exposure", "lint"] {
        let run = dir.command(&format!("audit {command} --policy policy.json --catalog tables.parquet")).run();
        assert_eq!(run.code, 2);
        assert!(run.stderr.contains("install portcullis with `--features parquet`"), "{}", run.stderr);
    }
}

#[test]
#[cfg(unix)]
fn interrupt_prints_the_results_so_far() {
    let dir = Dir::new().file("policy.json", POLICY);
    for (what, known) in
        [("exposure --connection dw", " names exposed (100.00 %)"), ("lint", "warnings"), ("forecast", "each decided")]
    {
        let mut child = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(format!("audit {what} --policy policy.json --catalog -").split(' '))
            .current_dir(dir.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let rows = "dw,DB.S.T\n".repeat(10_000);
        stdin.write_all(b"connection,name\n").unwrap();
        // More than the pipe and the buffers hold: the command must have read some rows.
        (0..6).for_each(|_| stdin.write_all(rows.as_bytes()).unwrap());
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        // Writes rows until the command has stopped.
        while stdin.write_all(rows.as_bytes()).is_ok() {}
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(2), "{what}: {stdout}{stderr}");
        assert!(stdout.contains(known), "{what}: {stdout}{stderr}");
        assert!(
            stderr.contains("interrupted: the results") || stderr.contains("was interrupted after"),
            "{what}: {stderr}"
        );
    }
}
