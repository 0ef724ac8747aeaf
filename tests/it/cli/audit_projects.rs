//! Names with a colon after the project, as `bq ls` prints them.

use super::util::Dir;

const POLICY: &str = r#"{"version": 1, "connections": [{"name": "bq", "dialect": "bigquery"}], "tokens": [
    {"id": "a", "token": "s3cret-a-long-enough-0001", "allowed_apis": ["sql"], "expiration_date": "2040-01-01",
     "grants": [{"connection_name": "bq", "source": "p.ds.people"}]}]}"#;

#[test]
fn catalog_reads_a_colon_after_the_project_as_a_dot() {
    let exposed = |name: &str| {
        let dir = Dir::new().file("policy.json", POLICY).file("catalog.csv", format!("connection,name\nbq,{name}\n"));
        dir.command("audit exposure --policy policy.json --catalog catalog.csv").run().stdout
    };
    let expected = exposed("p.ds.people");
    assert!(expected.contains("1 of 1"), "{expected}");
    assert_eq!(exposed("p:ds.people"), expected);
    assert_ne!(exposed("q:ds.people"), expected);
}

#[test]
fn who_can_refuses_a_colon_after_the_project() {
    let dir = Dir::new().file("policy.json", POLICY);
    let command = "audit who-can --policy policy.json --connection bq --resource p:ds.people";
    let error = dir.command(command).stderr();
    assert!(error.ends_with("found a colon in `p:ds.people`\nhelp: write `p.ds.people`\n"), "{error}");
}
