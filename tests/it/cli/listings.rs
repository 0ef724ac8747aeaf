//! Catalogs as warehouses and tools list them.

use serde::Deserialize;
use serde_json::Value;

use super::util::{Dir, data};

#[derive(Deserialize)]
struct Case {
    why: String,
    connection: String,
    listing: String,
    #[serde(default)]
    options: String,
    names: Option<u64>,
    exposed: Option<u64>,
    error: Option<String>,
    /// A part of the notes.
    note: Option<String>,
}

#[test]
fn listings_are_read_or_refused() {
    let cases: Vec<Case> = serde_json::from_str(&data("listings/cases.json")).unwrap();
    assert!(cases.len() >= 40);
    for Case { why, connection, listing, options, names, exposed, error, note } in cases {
        let dir = Dir::new().file("policy.json", data("listings/policy.json")).file("listing", listing);
        let command = "audit exposure --policy policy.json --catalog listing --quiet --format json";
        let ran = dir.command(&format!("{command} --connection {connection} {options}")).run();
        if let Some(error) = error {
            assert_eq!(ran.code, 2, "{why}: {} {}", ran.stdout, ran.stderr);
            assert!(ran.stderr.contains(&error), "{why}: {}", ran.stderr);
            continue;
        }
        assert_eq!(ran.code, 0, "{why}: {}", ran.stderr);
        assert!(note.is_none_or(|note| ran.stderr.contains(&note)), "{why}: {}", ran.stderr);
        let output: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((output["names"].as_u64(), output["exposed"].as_u64()), (names, exposed), "{why}: {}", ran.stdout);
    }
}

/// A row that was not read may have the name of a grant.
#[test]
fn incomplete_catalogs_lead_to_no_advice_about_names() {
    let rows = "table_catalog,table_schema,table_name\nOTHER,PUBLIC,X\nSALES,PUBLIC\n";
    let dir = Dir::new().file("policy.json", data("listings/policy.json")).file("tables.csv", rows);
    let command = "audit lint --policy policy.json --catalog tables.csv --catalog-connection sf --quiet --format csv";
    let ran = dir.command(command).run();
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(!ran.stdout.contains("pattern_matches_nothing"), "{}", ran.stdout);
    let dir = dir.file("tables.csv", rows.replace("SALES,PUBLIC\n", ""));
    assert!(dir.command(command).run().stdout.contains("pattern_matches_nothing"));
}

/// No grant could cover a name of another connection, so such a catalog shows nothing.
#[test]
fn catalogs_without_a_name_of_the_policy_are_refused() {
    let policy = data("listings/policy.json");
    let dir = Dir::new().file("policy.json", policy).file("names.csv", "connection,name\nSF,SALES.PUBLIC.ORDERS\n");
    let error = "error: `names.csv` has no name that counts: expected names on ";
    for (command, connections) in [
        ("exposure --policy policy.json", "`sf`, `bq`, `rs`, `ora`, `dbx`, …"),
        ("exposure --policy policy.json --connection sf", "`sf`"),
        ("lint --policy policy.json", "`bq`, `dbx`, `ora`, `pg`, `rs`, …"),
        ("forecast --policy policy.json", "`bq`, `dbx`, `ora`, `pg`, `rs`, …"),
        ("report --policy policy.json --report out.html", "`bq`, `dbx`, `ora`, `pg`, `rs`, …"),
        ("diff policy.json policy.json", "`bq`, `dbx`, `ora`, `pg`, `rs`, …"),
    ] {
        let found = dir.command(&format!("audit {command} --quiet --catalog names.csv")).stderr();
        assert_eq!(found, format!("{error}{connections}, found names on `SF`\n"), "{command}");
    }
    assert!(!dir.path("out.html").exists());
}
