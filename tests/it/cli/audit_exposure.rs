//! What a catalog's names expose, as an auditor sees it.

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
fn exposure_is_told_by_token_and_source_and_what_none_exposes() {
    let broken = format!("{CATALOG}DB,S\n");
    let dir = Dir::new().file("policy.json", POLICY).file("catalog.csv", CATALOG).file("broken.csv", &broken);
    let ask = "audit exposure --policy policy.json --catalog catalog.csv --connection dw --quiet";
    let told: Value = serde_json::from_str(&dir.command(&format!("{ask} --format json")).run().stdout).unwrap();
    assert_eq!((&told["names"], &told["exposed"]), (&json!(4), &json!(3)));
    assert_eq!(told["connections"][0]["not_exposed_examples"], json!(["DB.T.Y"]));
    let counts: Vec<_> =
        told["tokens"].as_array().unwrap().iter().map(|row| (row["id"].as_str().unwrap(), &row["names"])).collect();
    assert_eq!(counts, [("a", &json!(2)), ("b", &json!(1)), ("old", &json!(4))]);
    let text = dir.command(ask).run();
    assert_eq!(text.code, 0);
    assert!(text.stdout.contains("old       4      expired"), "{}", text.stdout);
    assert!(text.stdout.contains("\n3 of 4 names exposed (75.00 %)\n"), "{}", text.stdout);
    assert!(dir.command(&format!("{ask} --token nobody")).stderr().contains("the policy has no token `nobody`"));

    let run = dir.command("audit exposure --policy policy.json --catalog broken.csv --connection dw").run();
    assert_eq!(run.code, 2, "not all of it was read");
    assert!(run.stderr.contains("line 6: 2 columns, where the heading has 3"), "{}", run.stderr);
    assert!(run.stdout.contains("3 of 4 names exposed"), "{}", run.stdout);
}

#[test]
fn a_catalog_without_names_is_refused() {
    let dir = Dir::new().file("policy.json", POLICY);
    let run = dir.command("audit exposure --policy policy.json --catalog -").stdin("id\n1\n").run();
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("the heading has no column `name`"), "{}", run.stderr);
}

#[test]
#[cfg(not(feature = "parquet"))]
fn a_build_without_parquet_says_how_to_get_it() {
    let dir = Dir::new().file("policy.json", POLICY).file("tables.parquet", "PAR1...PAR1");
    for command in ["exposure", "lint"] {
        let run = dir.command(&format!("audit {command} --policy policy.json --catalog tables.parquet")).run();
        assert_eq!(run.code, 2);
        assert!(run.stderr.contains("install portcullis with `--features parquet`"), "{}", run.stderr);
    }
}

#[test]
#[cfg(unix)]
fn an_interrupt_tells_what_is_known_so_far() {
    let dir = Dir::new().file("policy.json", POLICY);
    for (what, known) in [("exposure --connection dw", " names exposed (100.00 %)"), ("lint", "warnings")] {
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
        // More than pipes and buffers hold: so it reads.
        (0..30).for_each(|_| stdin.write_all(rows.as_bytes()).unwrap());
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        // There is always more to read, until it has stopped.
        while stdin.write_all(rows.as_bytes()).is_ok() {}
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(2), "{what}: {stdout}{stderr}");
        assert!(stdout.contains(known), "{what}: {stdout}{stderr}");
        assert!(stderr.contains("stopped") || stderr.contains("was interrupted after"), "{what}: {stderr}");
    }
}
