//! `import --from carto`: listings of CARTO's Tokens API.

use serde_json::{Value, json};

use super::Dir;

/// A token of a listing, with fields that a registry does not have.
pub(super) fn token(id: &str, more: &Value) -> Value {
    let mut token = json!({
        "id": id,
        "name": format!("name of {id}"),
        "token": format!("eyJhbGciOi.{id}"),
        "account_id": "ac_1",
        "grants": [
            {"connection_name": "carto_dw", "source": "carto.shared.roads", "connection_id": "c1"},
            {"connection_name": "carto_dw", "resource": "carto.shared.CARTO_*"}
        ],
        "allowed_apis": ["maps", "sql"],
        "referers": ["https://www.example.com/"],
        "expiration_date": null,
        "created_at": "2026-01-02T03:04:05.678Z"
    });
    for (name, value) in more.as_object().unwrap() {
        token[name] = value.clone();
    }
    token
}

#[test]
fn listing_is_imported_and_decides() {
    for envelope in ["tokens", "data", "items", "results", ""] {
        let tokens =
            json!([token("tk_a", &json!({})), token("tk_b", &json!({"referers": [], "expirationDate": "2040-01-01"}))]);
        let listing = if envelope.is_empty() { tokens } else { json!({envelope: tokens, "total": 2, "page": 1}) };
        let dir = Dir::new().file("listing.json", listing.to_string());
        let ran = dir.ana("import --from carto listing.json").run();
        assert_eq!(
            (ran.code, &*ran.stdout),
            (0, "imported 2 tokens, 1 connection, 0 APIs; 0 already existed\n"),
            "{}",
            ran.stderr
        );
        let ignored =
            "note: ignored fields that a registry does not have: `account_id` (2), `grants[].connection_id` (2)\n";
        assert!(ran.stderr.starts_with(ignored), "{}", ran.stderr);
        for (id, referer, resource, code) in [
            ("tk_a", "https://www.example.com/", "carto.shared.roads", 0),
            ("tk_a", "https://www.example.com/", "carto.shared.CARTO_x", 0),
            ("tk_a", "https://other.example.com/", "carto.shared.roads", 1),
            ("tk_b", "https://other.example.com/", "carto.shared.roads", 0),
            ("tk_b", "https://other.example.com/", "carto.shared.rivers", 1),
        ] {
            let check = "check --db sqlite:registry.db --token-env TOKEN --api maps --connection carto_dw --resource";
            let check = dir.command(check).arg(resource).arg("--referer").arg(referer);
            let ran = check.env("TOKEN", &format!("eyJhbGciOi.{id}")).run();
            assert_eq!(ran.code, code, "{id} {referer} {resource}: {}{}", ran.stdout, ran.stderr);
        }
        // A second import changes nothing.
        let again = dir.ana("import --from carto listing.json").run();
        assert_eq!(again.stdout, "imported 0 tokens, 0 connections, 0 APIs; 2 already existed\n", "{}", again.stderr);
    }
}

#[test]
fn tokens_without_a_secret_need_new_ones() {
    for absent in [
        json!(null),
        json!(""),
        json!("eyJh****"),
        json!("eyJh…"),
        json!("eyTOK..."),
        json!("[REDACTED]"),
        json!("••••"),
    ] {
        let listing = json!([token("tk_a", &json!({"token": absent})), token("tk_b", &json!({}))]);
        let dir = Dir::new().file("listing.json", listing.to_string());
        let error = dir.ana("import --from carto listing.json").stderr();
        assert!(error.contains("`listing.json` has no secret of these tokens: `tk_a`; "), "{error}");
        assert!(
            error.contains("nothing was imported\nhelp: add each secret as `token`, or use `--new-secrets`"),
            "{error}"
        );
        assert!(!dir.path("registry.db").exists());
        let ran = dir.ana("import --from carto --new-secrets --format json listing.json").run();
        let imported: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(imported["tokens"], json!(["tk_a", "tk_b"]));
        let secrets = imported["secrets"].as_object().unwrap();
        assert_eq!(secrets.keys().collect::<Vec<_>>(), ["tk_a"], "the other one keeps its secret");
        let check = "check --db sqlite:registry.db --token-env TOKEN --api maps --connection carto_dw --resource carto.shared.roads";
        let check = dir.command(check).arg("--referer").arg("https://www.example.com/");
        assert_eq!(check.env("TOKEN", secrets["tk_a"].as_str().unwrap()).run().code, 0);
    }
}

#[test]
fn restrictions_of_a_listing_are_never_lost() {
    for (more, expected) in [
        (json!({"revoked": true}), "note: left out tokens that are not active: `tk_a`\n"),
        (json!({"enabled": false}), "note: left out tokens that are not active: `tk_a`\n"),
        (json!({"status": "INACTIVE"}), "note: left out tokens that are not active: `tk_a`\n"),
        (json!({"grants": null}), "token `tk_a`: "),
        (json!({"grants": "*"}), "token `tk_a`: "),
        (json!({"grants": [{"connection_name": "carto_dw"}]}), "token `tk_a`: "),
        (
            json!({"grants": ["carto_dw"]}),
            "token `tk_a` has a grant that is not an object\nhelp: write a grant such as `{",
        ),
        (json!({"allowed_apis": null}), "token `tk_a`: "),
        (json!({"allowed_apis": ["tiles"]}), "token `tk_a`: unknown API `tiles`"),
        (json!({"referers": "https://www.example.com/"}), "token `tk_a`: "),
        (json!({"expiration_date": "soon"}), "token `tk_a`: "),
        (json!({"id": ""}), "token 1 has no `id`"),
    ] {
        let dir = Dir::new().file("listing.json", json!([token("tk_a", &more)]).to_string());
        let ran = dir.ana("import --from carto listing.json").run();
        assert!(ran.stderr.contains(expected), "{more}: {}", ran.stderr);
        let is_left_out = expected.starts_with("note");
        assert_eq!(ran.code, if is_left_out { 0 } else { 2 }, "{more}: {}{}", ran.stdout, ran.stderr);
        if is_left_out {
            assert_eq!(ran.stdout, "imported 0 tokens, 0 connections, 0 APIs; 0 already existed\n", "{more}");
        }
    }
    let dir = Dir::new();
    for (text, expected) in [
        (
            "no JSON",
            "`<stdin>` is not JSON at line 1, column 2\nhelp: give the answer of `GET /v3/tokens`, whole and unchanged\n",
        ),
        ("{}", "`<stdin>` has no list of tokens\nhelp: give the answer of `GET /v3/tokens`\n"),
        (r#"{"error": "Unauthorized", "status": 401}"#, "has no list of tokens"),
        ("[1]", "token 1 is not an object\nhelp: "),
        (r#"[{"name": "x"}]"#, "token 1 has no `id`\nhelp: "),
    ] {
        let error = dir.ana("import --from carto -").stdin(text).stderr();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let error = dir.ana("import --new-secrets -").stdin("[]").stderr();
    assert!(error.contains("`--new-secrets` is only for `--from carto`"), "{error}");
    for page in ["meta", "page"] {
        let pages = json!({"data": [token("tk_a", &json!({}))], page: {"total": 11}});
        let ran = dir.ana("import --from carto -").stdin(format!("\u{feff}{pages}")).run();
        assert!(
            ran.stderr.contains("note: other pages of the listing have 10 tokens: import them, too\n"),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }
}
