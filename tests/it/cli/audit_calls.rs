//! Calls in granted queries that may read more: every audit reports the same ones.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::util::Dir;

/// Queries with calls, by connection: the SQL, the call that audits report, and the reason.
const QUERIES: [(&str, &str, &str, &str); 9] = [
    ("bq", "EXECUTE IMMEDIATE @statement", "EXECUTE IMMEDIATE", "a parameter is run as a query"),
    ("bq", "CALL db.hr.dump_pay()", "CALL db.hr.dump_pay", "a procedure"),
    ("bq", "SELECT * FROM db.hr.pay_tvf(1)", "db.hr.pay_tvf()", "a table function"),
    ("bq", "SELECT * FROM EXTERNAL_QUERY('c', 'SELECT 1')", "EXTERNAL_QUERY()", "another database"),
    (
        "pg",
        "SELECT query_to_xml('SELECT * FROM ' || $1, true, false, '')",
        "query_to_xml()",
        "a function that runs text",
    ),
    ("pg", "SELECT hr.all_pay()", "hr.all_pay()", "a function in a schema"),
    ("pg", "SELECT * FROM geo.roads, dblink('x', 'SELECT 1') AS t(i int)", "dblink()", "a call beside a table"),
    ("sf", "SELECT * FROM IDENTIFIER($t)", "IDENTIFIER($t)", "a table that is known at run time"),
    ("sf", "SELECT * FROM TABLE(db.hr.report(1))", "db.hr.report()", "a table function in Snowflake"),
];

const CATALOG: &str = "connection,name\nbq,db.hr.pay\npg,hr.pay\npg,geo.roads\nsf,db.hr.pay\n";

/// A policy with these queries, by token `a`, and one with other grants.
fn dir() -> Dir {
    let grant = |(connection, sql, ..): (&str, &str, &str, &str)| json!({"connection_name": connection, "source": sql, "type": "query"});
    let policy = |grants: Vec<Value>| {
        json!({"version": 1,
            "connections": [{"name": "bq", "dialect": "bigquery"}, {"name": "pg", "dialect": "postgres"}, {"name": "sf", "dialect": "snowflake"}],
            "tokens": [
                {"id": "a", "token": "s3cret-a-long-enough-0001", "allowed_apis": ["sql"], "grants": grants, "expiration_date": "2040-01-01"},
                {"id": "b", "token": "s3cret-b-long-enough-0001", "allowed_apis": ["maps"], "grants": [{"connection_name": "pg", "source": "geo.roads"}], "expiration_date": "2040-01-01"}]})
        .to_string()
    };
    let none = vec![json!({"connection_name": "pg", "source": "SELECT * FROM geo.roads"})];
    let dir = Dir::new().file("calls.json", policy(QUERIES.map(grant).into())).file("none.json", policy(none));
    dir.file("catalog.csv", CATALOG)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The expected calls, each after its connection.
fn expected() -> BTreeSet<String> {
    QUERIES.iter().map(|(connection, _, call, _)| format!("{connection}: {call}")).collect()
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned())
}

#[test]
fn exposure_diff_and_report_have_the_same_calls() {
    let dir = dir();
    let exposure = "audit exposure --policy calls.json --catalog catalog.csv --quiet";
    let output = json(&dir.command(&format!("{exposure} --format json")).run().stdout);
    let of = |call: &Value| format!("{}: {}", call["connection"].as_str().unwrap(), call["calls"].as_str().unwrap());
    assert_eq!(output["calls"].as_array().unwrap().iter().map(of).collect::<BTreeSet<_>>(), expected());
    let csv = dir.command(&format!("{exposure} --format csv")).run().stdout;
    assert_eq!(csv.lines().filter(|line| line.starts_with("call,")).count(), QUERIES.len(), "{csv}");
    assert!(csv.contains("call,,pg,,query_to_xml(),,,1,,\n"), "{csv}");

    for (old, new, side, sign) in [("none", "calls", "gained", '+'), ("calls", "none", "lost", '-')] {
        let diff = format!("audit diff {old}.json {new}.json --catalog catalog.csv --quiet");
        let output = json(&dir.command(&format!("{diff} --format json")).run().stdout);
        assert_eq!(texts(&output["tokens"][0]["names"][side]["calls"]).collect::<BTreeSet<_>>(), expected());
        let text = dir.command(&diff).run().stdout;
        let csv = dir.command(&format!("{diff} --format csv")).run().stdout;
        for call in expected() {
            assert!(text.contains(&format!("  {sign} call that may read more names: {call}\n")), "{text}");
            assert!(csv.contains(&format!("a,{sign},call that may read more names: {call},\n")), "{csv}");
        }
        assert_eq!(text.contains("1 token may have gained more names"), sign == '+', "{text}");
    }

    for catalog in ["", " --catalog catalog.csv --quiet"] {
        dir.command(&format!("audit report --policy calls.json --report out.html{catalog}")).run();
        let page = std::fs::read_to_string(dir.path("out.html")).unwrap();
        for (connection, _, call, why) in QUERIES {
            assert!(
                page.contains(&format!("<td>{connection}</td><td><code>{call}</code></td><td>1</td>")),
                "{why}: {page}"
            );
        }
    }
}

#[test]
fn who_can_lists_tokens_that_may_read_through_calls() {
    let dir = dir();
    for (connection, sql, call, why) in QUERIES {
        let name = if connection == "pg" { "hr.pay" } else { "db.hr.pay" };
        let command =
            format!("audit who-can --policy calls.json --connection {connection} --resource {name} --now 2026-11-24");
        let output = json(&dir.command(&format!("{command} --format json")).run().stdout);
        let row = &output.as_array().unwrap().iter().find(|row| row["token"] == "a").unwrap_or_else(|| panic!("{why}"));
        assert_eq!((&row["through_queries"], &row["may_read"]), (&json!(true), &json!(true)), "{why}: {row}");
        let grants = row["grants"].as_array().unwrap();
        let grant = grants.iter().find(|grant| grant["source"] == sql).unwrap_or_else(|| panic!("{why}: {row}"));
        assert_eq!(grant["calls"], json!([call]), "{why}");
        let ran = dir.command(&command).run();
        assert_eq!(ran.code, 0);
        let end = "access: 0 tokens, and 1 more token may read it through queries\n";
        assert!(ran.stdout.ends_with(end) && ran.stdout.contains("query, which may read it"), "{}", ran.stdout);
        let csv = dir.command(&format!("{command} --format csv")).run().stdout;
        assert!(csv.contains(&format!(",maybe,{call}\n")), "{why}: {csv}");
    }
    // A query that names the table certainly reads it, whatever else it calls.
    let read = "audit who-can --policy calls.json --connection pg --resource geo.roads --now 2026-11-24 --format json";
    let output = json(&dir.command(read).stdout(0));
    let rows: Vec<_> = output.as_array().unwrap().iter().map(|row| (&row["token"], &row["may_read"])).collect();
    assert_eq!(rows, [(&json!("b"), &Value::Null), (&json!("a"), &Value::Null)]);
    // Without calls there is no such row and no such key.
    let none = "audit who-can --policy none.json --connection pg --resource hr.pay --now 2026-11-24 --format json";
    assert_eq!(json(&dir.command(none).run().stdout), json!([]));
}

#[test]
fn token_leaked_lists_calls_of_each_query() {
    let dir = dir();
    let command = "audit who-can --policy calls.json --token-leaked a --now 2026-11-24";
    let output = json(&dir.command(&format!("{command} --format json")).stdout(0));
    let grants = output["grants"].as_array().unwrap();
    for ((_, sql, call, why), grant) in QUERIES.iter().zip(grants) {
        assert_eq!((&grant["source"], &grant["calls"]), (&json!(sql), &json!([call])), "{why}");
    }
    let text = dir.command(command).stdout(0);
    assert!(text.contains("may read more: query_to_xml()\n"), "{text}");
    assert!(text.contains("geo.roads; may read more: dblink()\n") && !text.contains("no table"), "{text}");
    let csv = dir.command(&format!("{command} --format csv")).stdout(0);
    assert!(csv.lines().next().unwrap().ends_with(",example,calls") && csv.contains(",EXECUTE IMMEDIATE\n"), "{csv}");
}

/// A query that is not understood may read any table: an empty answer would say that it does not.
#[test]
fn who_can_lists_tokens_whose_queries_have_unknown_reads() {
    const POLICY: &str = r#"{"connections": [{"name": "pg", "dialect": "postgres"}, {"name": "other", "dialect": "postgres"}],
        "tokens": [{"id": "a", "token": "s3cret-a-long-enough-0001", "allowed_apis": ["sql"], "grants": [
            {"connection_name": "pg", "source": "select * frm hr.pay", "type": "query"},
            {"connection_name": "other", "source": "ids"}]}]}"#;
    let dir = Dir::new().file("policy.json", POLICY);
    for (connection, kind) in [("pg", "query"), ("other", "named_source")] {
        let command = format!("audit who-can --policy policy.json --connection {connection} --resource hr.pay");
        let output = json(&dir.command(&format!("{command} --format json")).run().stdout);
        let row = &output.as_array().unwrap()[0];
        assert_eq!((&row["token"], &row["may_read"]), (&json!("a"), &json!(true)), "{row}");
        assert_eq!((&row["grants"][0]["kind"], &row["grants"][0]["calls"]), (&json!(kind), &Value::Null), "{row}");
        let text = dir.command(&command).run().stdout;
        assert!(text.ends_with("access: 0 tokens, and 1 more token may read it through queries\n"), "{text}");
        let csv = dir.command(&format!("{command} --format csv")).run().stdout;
        assert!(csv.contains(",maybe,"), "{csv}");
    }
}

#[test]
fn diff_notes_queries_with_unknown_reads() {
    let broken = r#"[{"id": "a", "token": "s3cret-a-long-enough-0001", "allowed_apis": ["sql"], "grants": [{"connection_name": "pg", "source": "select * frm hr.pay"}]}]"#;
    let dir = dir().file("broken.json", broken);
    let ran = dir.command("audit diff none.json broken.json --catalog catalog.csv --quiet").run();
    assert!(
        ran.stderr.contains("note: unknown reads: `select * frm hr.pay` of a grants[0]: column 10"),
        "{}",
        ran.stderr
    );
}
