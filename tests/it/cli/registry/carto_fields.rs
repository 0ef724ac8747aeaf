//! `import --from carto`: no field that may restrict a token is lost.

use serde_json::{Value, json};

use super::Dir;
use super::carto::token;

/// Imports a listing of one token with the fields `more`, and returns standard error of the rejection.
fn rejection(more: &Value) -> String {
    rejection_of(&json!([token("tk_a", more)]).to_string())
}

fn rejection_of(listing: &str) -> String {
    let dir = Dir::new().file("listing.json", listing);
    let error = dir.ana("import --from carto listing.json --max-errors 100").stderr();
    // No token of a rejected listing decides.
    let check = "check --db sqlite:registry.db --token-env TOKEN --api maps --connection carto_dw --resource carto.shared.roads";
    let check = dir.command(check).arg("--referer").arg("https://www.example.com/").env("TOKEN", "eyJhbGciOi.tk_a");
    assert_ne!(check.run().code, 0, "{listing}");
    error
}

#[test]
fn synonyms_of_restricting_fields_are_rejected_with_the_right_field() {
    for (field, names, value) in [
        (
            "referers",
            &[
                "Referers",
                "REFERERS",
                "referer",
                "referrers",
                "Referrer",
                "allowed_referers",
                "allowedReferers",
                "ALLOWED_REFERERS",
                "domains",
                "Domains",
                "origins",
                "allowed_origins",
                "allowedOrigins",
                "allowed-origins",
            ][..],
            json!(["https://a.com/"]),
        ),
        (
            "expiration_date",
            &[
                "expires_at",
                "expiresAt",
                "EXPIRES_AT",
                "ExpiresAt",
                "expiration",
                "expires",
                "exp",
                "Exp",
                "valid_until",
                "validUntil",
                "Expiration_Date",
                "expired_at",
                "not_after",
            ],
            json!("2020-01-01"),
        ),
        ("allowed_apis", &["apis", "APIs", "scopes", "Allowed_Apis", "ALLOWED_APIS"], json!(["sql"])),
        ("grants", &["permissions", "Grants", "GRANTS", "allowed_sources"], json!([])),
    ] {
        // Without the right field, and beside it, where it would open more. Each token has one of the names.
        let id = |at: usize| if at == 0 { "tk_a".to_owned() } else { format!("tk_a{at}") };
        for beside in [false, true] {
            let tokens: Vec<Value> = names
                .iter()
                .enumerate()
                .map(|(at, name)| {
                    let mut token = token(&id(at), &json!({*name: value}));
                    if !beside {
                        token.as_object_mut().unwrap().remove(field);
                    }
                    token
                })
                .collect();
            let error = rejection_of(&json!(tokens).to_string());
            for (at, name) in names.iter().enumerate() {
                let expected = format!("token `{}`: unknown field `{name}`", id(at));
                assert!(error.contains(&expected), "{name}, beside the right field: {beside}: {error}");
            }
            if !beside {
                assert_eq!(error.matches(&format!("did you mean `{field}`?")).count(), names.len(), "{error}");
                assert!(error.contains("help: remove an unknown field from the listing only if it restricts nothing"));
            }
        }
    }
    for more in [
        json!({"ip_allowlist": ["10.0.0.0/8"]}),
        json!({"not_before": "2099-01-01"}),
        json!({"rate_limit": 0}),
        json!({"read_only": true}),
        json!({"referers": null}),
        json!({"token_sha256": "00"}),
        json!({"metadata": {}}),
    ] {
        let error = rejection(&more);
        assert!(error.contains("token `tk_a`: "), "{more}: {error}");
    }
}

#[test]
fn harmless_fields_are_ignored_with_a_note() {
    let more = json!({
        "updated_at": null, "updatedAt": "2026-01-02", "lastUsedAt": 5, "owner_id": "u1", "owner": "eve",
        "description": "d", "url": "https://a.example/", "usage": {}, "tags": []
    });
    let dir = Dir::new().file("listing.json", json!([token("tk_a", &more)]).to_string());
    let ran = dir.ana("import --from carto listing.json").run();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for name in more.as_object().unwrap().keys() {
        assert!(ran.stderr.contains(&format!("`{name}` (1)")), "{name}: {}", ran.stderr);
    }
}

#[test]
fn inactive_tokens_are_left_out_and_unclear_states_are_errors() {
    for more in [
        json!({"active": false}),
        json!({"Active": false}),
        json!({"isActive": false}),
        json!({"is_enabled": false}),
        json!({"valid": false}),
        json!({"revoked": true}),
        json!({"is_revoked": true}),
        json!({"isRevoked": true}),
        json!({"suspended": true}),
        json!({"inactive": true}),
        json!({"archived": true}),
        json!({"revoked_at": "2026-01-01"}),
        json!({"revokedAt": 1}),
        json!({"deleted_at": "2026-01-01T00:00:00Z"}),
        json!({"suspended_on": "2026-01-01"}),
        json!({"status": "revoked"}),
        json!({"state": "Suspended"}),
        json!({"status": "pending"}),
        json!({"active": true, "status": "revoked"}),
        json!({"status": "active", "revoked": true, "disabled": false}),
        json!({"enabled": true, "active": false}),
    ] {
        let dir = Dir::new().file("listing.json", json!([token("tk_a", &more)]).to_string());
        let ran = dir.ana("import --from carto listing.json").run();
        assert_eq!(ran.code, 0, "{more}: {}", ran.stderr);
        assert!(
            ran.stderr.starts_with("note: left out tokens that are not active: `tk_a`\n"),
            "{more}: {}",
            ran.stderr
        );
        assert_eq!(dir.ana("credentials list tokens").stdout(0), "none\n", "{more}");
    }
    for (more, expected) in [
        (json!({"active": "false"}), "field `active`: expected `true` or `false`, found a string"),
        (json!({"active": 0}), "field `active`: expected `true` or `false`, found a number"),
        (json!({"active": null}), "field `active`: expected `true` or `false`, found null"),
        (json!({"revoked": "true"}), "field `revoked`: expected `true` or `false`, found a string"),
        (json!({"suspended": 1}), "field `suspended`: expected `true` or `false`, found a number"),
        (json!({"revoked": true, "disabled": "no"}), "field `disabled`: "),
        (json!({"status": 0}), "field `status`: expected a string such as `active`, found a number"),
        (json!({"status": null}), "field `status`: "),
        (json!({"deleted_at": false}), "field `deleted_at`: expected a time or null, found a boolean"),
    ] {
        let error = rejection(&more);
        assert!(error.contains(&format!("`listing.json`: token `tk_a`: {expected}")), "{more}: {error}");
    }
    let live = json!({"active": true, "status": "Active", "revoked": false, "revoked_at": null, "isDeleted": false});
    let dir = Dir::new().file("listing.json", json!([token("tk_a", &live)]).to_string());
    let ran = dir.ana("import --from carto listing.json").run();
    assert!(ran.stdout.starts_with("imported 1 token, "), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn grants_with_restrictions_or_contradictions_are_rejected() {
    for (more, expected) in [
        (json!({"effect": "deny"}), "unknown field `effect`"),
        (json!({"exclude": ["a.b.c"]}), "unknown field `exclude`"),
        (json!({"where": "x > 1"}), "unknown field `where`"),
        (json!({"columns": ["a"]}), "unknown field `columns`"),
        (json!({"active": false}), "unknown field `active`"),
        (json!({"expiration_date": "2020-01-01"}), "unknown field `expiration_date`"),
        (json!({"Type": "table"}), "unknown field `Type`"),
        (json!({"resource": "carto.shared.other"}), "fields `source` and `resource` mean one thing"),
        (json!({"connection": "other"}), "fields `connection_name` and `connection` mean one thing"),
        (json!({"connectionName": "other"}), "fields `connection_name` and `connectionName` mean one thing"),
        (json!({"type": "row"}), "row"),
        (json!({"type": 7}), "expected a string, found a number"),
    ] {
        let mut grant = json!({"connection_name": "carto_dw", "source": "carto.shared.roads"});
        for (name, value) in more.as_object().unwrap() {
            grant[name] = value.clone();
        }
        let error = rejection(&json!({"grants": [grant]}));
        assert!(error.contains("token `tk_a`") && error.contains(expected), "{more}: {error}");
    }
    for (more, expected) in [
        (json!({"allowedApis": ["sql"]}), "fields `allowed_apis` and `allowedApis` mean one thing"),
        (
            json!({"expiration_date": "2030-01-01", "expirationDate": "2020-01-01"}),
            "fields `expiration_date` and `expirationDate` mean one thing",
        ),
        (json!({"secret": "another"}), "fields `token` and `secret` mean one thing"),
        (json!({"token": 5}), "the secret is not a string"),
    ] {
        let error = rejection(&more);
        assert!(error.contains(&format!("token `tk_a`: {expected}")), "{more}: {error}");
        assert!(!error.contains("eyJ") && !error.contains("another"), "{error}");
    }
    let error = rejection(&json!({"token_id": "tk_b"}));
    assert!(error.contains("token 1: fields `id` and `token_id` mean one thing"), "{error}");
    // Equal values, and one value beside null, are no contradiction.
    let more = json!({"allowedApis": ["maps", "sql"], "expirationDate": "2040-01-01"});
    let dir = Dir::new().file("listing.json", json!([token("tk_a", &more)]).to_string());
    assert_eq!(dir.ana("import --from carto listing.json").run().code, 0);
}

#[test]
fn type_of_a_grant_is_kept() {
    for (source, kind, expected) in [
        ("open-orders", "query", Ok("grant          query on carto_dw: open-orders\n")),
        ("carto.shared.roads", "resource", Ok("grant          resource on carto_dw: carto.shared.roads\n")),
        ("*", "all", Ok("grant          all on carto_dw: *\n")),
        ("*", "table", Err("`*` is not a resource")),
        ("carto.shared.roads", "all", Err("`carto.shared.roads` is not all sources")),
        ("carto.shared.roads", "pattern", Err("`carto.shared.roads` is not a pattern")),
    ] {
        let grants = json!([{"connection_name": "carto_dw", "source": source, "type": kind}]);
        let more = json!({"grants": grants});
        match expected {
            Ok(shown) => {
                let dir = Dir::new().file("listing.json", json!([token("tk_a", &more)]).to_string());
                let ran = dir.ana("import --from carto listing.json").run();
                assert_eq!(ran.code, 0, "{source} {kind}: {}", ran.stderr);
                let token = dir.ana("credentials get token tk_a").stdout(0);
                assert!(token.contains(shown), "{source} {kind}: {token}");
            }
            Err(message) => {
                let error = rejection(&more);
                assert!(error.contains(message), "{source} {kind}: {error}");
            }
        }
    }
}

#[test]
fn duplicate_fields_of_a_listing_are_rejected() {
    for (extra, field) in [
        (r#""referers": ["https://a.com/"], "referers": []"#, "referers"),
        (r#""expiration_date": "2020-01-01", "expiration_d\u0061te": null"#, "expiration_date"),
        (r#""grants": [{"connection_name": "dw", "source": "a.b", "source": "*"}]"#, "source"),
        (r#""active": false, "active": true"#, "active"),
        (r#""token": "eyJhbGciOi.tk_b""#, "token"),
    ] {
        let error = rejection_of(&format!(
            r#"[{{"id": "tk_a", "token": "eyJhbGciOi.tk_a", "allowed_apis": ["lds"], {extra}}}]"#
        ));
        let expected = format!("`listing.json`: field `{field}` is given more than once, at line 1\nhelp: ");
        assert!(error.contains(&expected) && !error.contains("eyJ"), "{extra}: {error}");
    }
}

#[test]
fn empty_listings_and_pages_are_errors() {
    for (listing, expected) in [
        (json!([]), "`listing.json` has no tokens: nothing was imported\nhelp: "),
        (json!({"tokens": []}), "`listing.json` has no tokens: nothing was imported\nhelp: "),
        (json!({"data": [], "total": 0}), "`listing.json` has no tokens: nothing was imported\nhelp: "),
        (json!({"data": [], "total": 50}), "is a page without tokens, but other pages have tokens"),
        (json!({"data": [], "meta": {"totalCount": 50}}), "is a page without tokens, but other pages have tokens"),
        (json!({"data": [], "pagination": {"hasMore": true}}), "is a page without tokens, but other pages have tokens"),
        (json!({"data": [], "next": "/v3/tokens?page=2"}), "is a page without tokens, but other pages have tokens"),
        (json!({"data": [], "total": "50"}), "the total number of tokens is not a whole number"),
        (json!({"data": [], "tokens": [token("tk_a", &json!({}))]}), "fields `tokens` and `data` mean one thing"),
    ] {
        let error = rejection_of(&listing.to_string());
        assert!(error.contains(expected), "{listing}: {error}");
    }
    let page = json!({"data": [token("tk_a", &json!({}))], "next_cursor": "abc"});
    let ran = Dir::new().ana("import --from carto -").stdin(page.to_string()).run();
    assert!(ran.code == 0 && ran.stderr.contains("note: the listing has other pages: import them, too\n"));
}
