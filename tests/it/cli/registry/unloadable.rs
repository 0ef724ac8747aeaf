//! Registries with tokens that no command writes: after an edit by hand.

use super::Dir;
use crate::registry::raw::Raw;

/// Edits of the token `map`, each with a part of the error.
const EDITS: [(&str, &str); 5] = [
    ("UPDATE grants SET source = 'table*', type = 'pattern'", "token `ID`: "),
    ("UPDATE tokens SET allowed_apis = '[\"mpas\"]'", "token `ID`: unknown API `mpas`"),
    ("UPDATE tokens SET referers = '[\"not a url\"]'", "token `ID`: "),
    ("UPDATE tokens SET expiration_date = 'soon'", "token `ID`: "),
    ("UPDATE tokens SET allowed_apis = 'no json'", "the registry's table `tokens` holds a row that cannot be read"),
];

#[test]
fn token_that_does_not_load_is_named_by_its_id() {
    let lines = regex::Regex::new(r"registry\.db:\d+").unwrap();
    for (edit, expected) in EDITS {
        let dir = Dir::with_registry();
        let create = "credentials create token --name map --connection dw --source a.b --apis maps --format json";
        let created: serde_json::Value = serde_json::from_str(&dir.ana(create).run().stdout).unwrap();
        dir.ana("credentials create token --name other --apis lds").run();
        let id = created["id"].as_str().unwrap();
        Raw::open(&dir.path("registry.db")).run(&format!("{edit} WHERE {}", selection(edit, id))).unwrap();
        let expected = expected.replace("ID", id);
        for args in ["inspect", "validate", "audit lint", "check --requests -"] {
            let ran = dir.command(&format!("{args} --db sqlite:registry.db")).run();
            let shown = format!("{}{}", ran.stdout, ran.stderr);
            assert!(ran.code != 0 && shown.contains(&expected), "{edit}: {args}: {shown}");
            assert!(!lines.is_match(&shown), "{args}: a line of a text that nobody has: {shown}");
        }
        // The token can be deleted, whatever is wrong with it.
        if !edit.contains("no json") && !edit.contains("soon") {
            dir.ana(&format!("credentials delete token {id}")).stdout(0);
            assert!(dir.command("inspect --db sqlite:registry.db").stdout(0).starts_with("tokens        1\n"));
        }
    }
}

fn selection(edit: &str, id: &str) -> String {
    if edit.contains("grants") { format!("token = '{id}'") } else { format!("id = '{id}'") }
}

#[test]
fn findings_about_a_registry_name_tokens_and_no_lines() {
    let dir = Dir::with_registry();
    let create = "credentials create token --name map --connection dw --source * --yes --apis maps \
                  --referers http://a.example/map --format json";
    let created: serde_json::Value = serde_json::from_str(&dir.ana(create).run().stdout).unwrap();
    let token = format!("token `{}`: ", created["id"].as_str().unwrap());
    let lint =
        |format: &str| dir.command(&format!("audit lint --db sqlite:registry.db --format {format}")).run().stdout;
    // Findings of loading and of the lint.
    for code in ["referer_full_path", "all_sources_with_referers"] {
        for format in ["text", "table", "json", "csv", "sarif"] {
            assert!(lint(format).contains(code), "{format}: {}", lint(format));
        }
    }
    let lines = regex::Regex::new(r"registry\.db:\d+").unwrap();
    for format in ["text", "table"] {
        assert!(!lines.is_match(&lint(format)), "{}", lint(format));
    }
    assert!(lint("text").contains(&token), "{}", lint("text"));
    let findings: serde_json::Value = serde_json::from_str(&lint("json")).unwrap();
    for finding in findings["findings"].as_array().unwrap() {
        assert_eq!((&finding["line"], &finding["column"]), (&0.into(), &0.into()), "{finding}");
        assert!(finding["message"].as_str().unwrap().starts_with(&token), "{finding}");
    }
    let log: serde_json::Value = serde_json::from_str(&lint("sarif")).unwrap();
    for result in log["runs"][0]["results"].as_array().unwrap() {
        let location = &result["locations"][0]["physicalLocation"];
        assert_eq!(location["artifactLocation"]["uri"], "registry.db");
        assert!(location.get("region").is_none() && result.get("fixes").is_none(), "{result}");
    }
}
