//! OAuth clients whose access tokens read sources, and inputs with several problems.

use super::super::util::Dir;

#[test]
fn access_of_a_client_is_shown_and_replaced() {
    let dir = Dir::with_registry();
    dir.ana("credentials create m2m --title Night --apis maps,sql --scopes read:tokens")
        .arg("--grant")
        .arg("dw,a.b.c_*")
        .stdout(0);
    let shown = dir.ana("credentials get m2m Night").stdout(0);
    for line in ["apis           maps, sql", "grant          pattern on dw: a.b.c_*", "scopes         read:tokens"] {
        assert!(shown.contains(line), "{shown}");
    }
    dir.ana("credentials update m2m Night --grant dw,a.b.roads --scopes read:tokens,admin").stdout(0);
    let shown = dir.ana("credentials get m2m Night --format json").stdout(0);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["allowed_apis"], serde_json::json!(["maps", "sql"]), "what is not given stays");
    assert_eq!(shown["grants"].as_array().unwrap().len(), 1);
    assert_eq!(shown["grants"][0]["source"], "a.b.roads");
    assert_eq!(shown["scopes"], serde_json::json!(["read:tokens", "admin"]));
    let rotated = dir.ana("credentials rotate m2m Night --overlap 7d").stdout(0);
    assert!(rotated.contains("The old secret is valid until "), "{rotated}");
    assert!(dir.ana("credentials get m2m Night").stdout(0).contains("earlier secret valid until "));
    assert!(dir.ana("credentials rotate m2m Night").stdout(0).contains("Earlier secrets are refused from now on."));
    for (args, want) in [
        ("credentials update m2m Night", "nothing to change"),
        ("credentials update m2m Night --scopes read:token", "did you mean `read:tokens`?"),
        ("credentials update m2m Night --apis map", "did you mean `maps`?"),
        ("credentials rotate m2m Night --overlap soon", "is not an overlap"),
        ("credentials create m2m --title Day --apis sql", "grant"),
    ] {
        let error = dir.ana(args).stderr();
        assert!(error.contains(want), "{args}: {error}");
    }
    // A connection that a client may read stays.
    let refused = dir.ana("connections delete dw").run();
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("is granted by clients"), "{}", refused.stderr);
}

#[test]
fn every_problem_of_a_new_token_is_reported() {
    let dir = Dir::with_registry();
    let error = dir
        .ana("credentials create token --apis sqll --name id:x --connection none --expiration-date soon")
        .arg("--source")
        .arg("car to")
        .stderr();
    for want in [
        "`soon` is not an instant",
        "starts with `id:`",
        "no connection `none`",
        "unknown API `sqll`",
        "`car to` is neither",
    ] {
        assert!(error.contains(want), "{want}: {error}");
    }
    assert_eq!(error.matches("error: ").count(), 5, "{error}");
    assert_eq!(error.matches("help: ").count(), 5, "{error}");
}

#[test]
fn an_application_without_a_callback_is_shown_as_one_that_signs_nobody_in() {
    let dir = Dir::with_registry();
    let created = dir.ana("credentials create spa --title Atlas").stdout(0);
    let id = created.split("client id").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(created.contains("  callback       none: the application signs nobody in\n"), "{created}");
    let help = format!("help: add one with `portcullis credentials update spa {id} --callback URL`\n");
    assert!(created.ends_with(&help), "{created}");
    let line = "\ncallback       none: the application signs nobody in\n";
    assert!(dir.ana("credentials get spa Atlas").stdout(0).contains(line));
    dir.ana(&format!("credentials update spa {id} --callback https://a.example/")).stdout(0);
    let shown = dir.ana("credentials get spa Atlas").stdout(0);
    assert!(!shown.contains(line) && shown.contains("\ncallback       https://a.example/\n"), "{shown}");
    let created = dir.ana("credentials create spa --title Globe --callback https://a.example/").stdout(0);
    assert!(!created.contains("callback"), "{created}");
}
