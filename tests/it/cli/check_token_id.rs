//! `check --token-id`: decisions and explanations for a token whose secret the operator does not have.

use super::util::{Dir, SECRET};

#[test]
fn decision_by_id_is_the_decision_by_secret() {
    let dir = Dir::with_policy();
    for (request, code) in [
        ("maps --connection dw --resource public.roads", 0),
        ("maps --connection dw --resource public.road", 1),
        ("maps --connection other --resource public.roads", 1),
        ("sql --connection dw --resource public.roads", 1),
        ("lds", 1),
    ] {
        for more in ["", "--format json", "--explain", "--explain --format json"] {
            let check =
                |token: &str| format!("check --policy policy.json --now 2026-11-22 {token} --api {request} {more}");
            let by_secret = dir.command(&check("--token-stdin")).stdin(SECRET).stdout(code);
            let by_id = dir.command(&check("--token-id tok")).stdout(code);
            // Only the first two checks report how the token was found.
            let rest = |text: &str| text.replace("the request has a secret", "").replace("its secret is", "");
            let own = |text: &str| text.replace("the request names a token by its id", "").replace("its id is", "");
            assert_eq!(own(&by_id), rest(&by_secret), "{request} {more}");
        }
    }
}

#[test]
fn unknown_id_is_an_error_that_proposes_a_known_one_and_repeats_nothing() {
    let dir = Dir::with_policy();
    let check =
        |id: &str| dir.command(&format!("check --policy policy.json --api lds --explain --token-id {id}")).stderr();
    assert_eq!(check("tokk"), "error: `--token-id`: no token of the policy has this id, did you mean `tok`?\n");
    assert_eq!(check("TOK"), "error: `--token-id`: no token of the policy has this id, did you mean `tok`?\n");
    // A secret by mistake.
    let secret = check(SECRET);
    assert!(secret.starts_with("error: `--token-id`: no token of the policy has this id"), "{secret}");
    assert!(!secret.contains(SECRET), "{secret}");
    let both = dir.command("check --policy policy.json --api lds --token-id tok --token-stdin").stderr();
    assert!(both.contains("cannot be used with"), "{both}");
    let many = dir.command("check --policy policy.json --requests - --token-id tok").stderr();
    assert!(many.contains("cannot be used with"), "{many}");
}

#[test]
fn a_name_of_a_token_of_a_registry_has_its_id_in_the_error() {
    let dir = Dir::new();
    let run = |args: &str| dir.command(&format!("{args} --db sqlite:r.db"));
    run("connections add dw --user ana").stdout(0);
    for name in ["map", "twice", "twice"] {
        run(&format!("credentials create token --apis lds --user ana --name {name}")).run();
    }
    let token = run("credentials get token map --user ana --format json").stdout(0);
    let token: serde_json::Value = serde_json::from_str(&token).unwrap();
    let id = token["id"].as_str().unwrap();
    let error = run("check --api lds --token-id map").stderr();
    assert_eq!(error, format!("error: `--token-id`: expected an id, found a name\nhelp: write `--token-id {id}`\n"));
    run(&format!("check --api lds --token-id {id}")).stdout(0);
    let unknown = run("check --api lds --token-id nothing").stderr();
    assert!(unknown.contains("no token of the policy has this id"), "{unknown}");
}
