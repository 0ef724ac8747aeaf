//! What a catalog's names expose, as an auditor sees it.

use serde_json::{Value, json};

use super::util::Dir;

const POLICY: &str = r#"{"connections": [{"name": "dw", "dialect": "snowflake"}], "tokens": [
    {"id": "a", "token": "demo-a", "allowed_apis": ["maps"], "grants": [
        {"connection_name": "dw", "source": "db.s.*"}, {"connection_name": "dw", "source": "db.s.roads"}]},
    {"id": "b", "token": "demo-b", "allowed_apis": ["sql"], "grants": [{"connection_name": "dw", "source": "select 1"}, {"connection_name": "dw", "source": "db.*.x"}]},
    {"id": "old", "token": "demo-c", "allowed_apis": ["maps"], "expiration_date": "2020-01-01", "grants": [{"connection_name": "dw", "source": "*"}]}
]}"#;
const CATALOG: &str = "TABLE_CATALOG,TABLE_SCHEMA,TABLE_NAME\nDB,S,ROADS\nDB,S,lower\nDB,T,X\nDB,T,Y\nDB,S\n";

#[test]
fn exposure_is_told_by_token_and_source_and_what_none_exposes() {
    let dir = Dir::new().file("policy.json", POLICY).file("catalog.csv", CATALOG);
    let ask = "audit exposure --policy policy.json --catalog catalog.csv --catalog-connection dw --now 2026-11-24";
    let run = dir.command(&format!("{ask} --format json")).run();
    assert_eq!(run.code, 0);
    assert!(run.stderr.contains("`catalog.csv`, line 6: 2 columns, where the heading has 3"), "{}", run.stderr);
    let told: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (&told["names"], &told["exposed"], &told["expired_tokens"], &told["queries"]),
        (&json!(4), &json!(3), &json!(1), &json!(1))
    );
    assert_eq!(told["unexposed"], json!([{"connection": "dw", "name": "DB.T.Y"}]));
    assert_eq!(
        told["tokens"],
        json!([{"token": "a", "names": 2, "share": 0.5}, {"token": "b", "names": 1, "share": 0.25}])
    );
    assert_eq!(told["sources"][0]["source"], "DB.S.*");
    assert_eq!(told["sources"][0]["names"], 2);
    let text = dir.command(ask).run().stdout;
    assert!(text.starts_with("4 names: 3 exposed, 1 not\n"), "{text}");
    assert!(text.contains("not counted: 1 grant of a query\n"), "{text}");
    assert_eq!(dir.command(&format!("{ask} --format csv --token a")).run().stdout.lines().count(), 4);
    assert!(dir.command(&format!("{ask} --token nobody")).stderr().contains("the policy has no token `nobody`"));
    assert!(dir.command("audit exposure --policy policy.json").stderr().contains("the catalog is missing"));
}

#[test]
fn a_catalog_that_breaks_off_is_told_with_what_was_read() {
    let dir = Dir::new().file("policy.json", POLICY);
    let run = dir.command("audit exposure --policy policy.json --catalog -").stdin("id\n1\n").run();
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("the heading has no column `name`"), "{}", run.stderr);
    assert!(run.stdout.starts_with("0 names: 0 exposed, 0 not\n"), "{}", run.stdout);
}
