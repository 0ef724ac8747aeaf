//! `scan` with a policy: it names the tokens whose secrets it cannot find.

use portcullis_secret::{Secret, SecretKind};
use serde_json::{Value, json};

use super::util::Dir;

fn token(id: &str, member: &str, value: &str) -> Value {
    json!({"id": id, member: value, "allowed_apis": ["lds"]})
}

#[test]
fn tokens_that_a_scan_cannot_find_are_named() {
    let [ours, other] = [(); 2].map(|()| Secret::mint(SecretKind::Token).unwrap());
    let digest = other.digest().to_hex();
    let added = ours.expose().replace(SecretKind::Token.prefix(), "acme_tk_");
    for (tokens, foreign, digests, why) in [
        (vec![token("a", "token", ours.expose())], &[][..], 0, "a secret that was generated"),
        (vec![token("a", "token", "s3cr3t-of-the-test")], &["a"], 0, "a secret of people"),
        (vec![token("a", "token", &ours.expose()[1..])], &["a"], 0, "a part of a secret"),
        (vec![token("a", "token", &added)], &["a"], 0, "a prefix that is not searched for"),
        (vec![token("a", "token_sha256", &digest)], &[], 1, "only a digest"),
        (
            vec![
                token("a", "token", "s3cr3t-of-the-test"),
                token("b", "token", "another-of-the-test"),
                token("c", "token_sha256", &digest),
            ],
            &["a", "b"],
            1,
            "several",
        ),
    ] {
        for document in
            [json!({"tokens": tokens}).to_string(), tokens.iter().map(Value::to_string).collect::<Vec<_>>().join("\n")]
        {
            let dir = Dir::new().file("policy.json", document).file("code.txt", "nothing");
            let ran = dir.command("scan --policy policy.json --format json code.txt").run();
            let report: Value = serde_json::from_str(&ran.stdout).unwrap();
            let expected = json!({"other_form": foreign, "digest_only": digests});
            assert_eq!((ran.code, &report["not_searched"]), (0, &expected), "{why}");
            let count = ran.stderr.matches("note: ").count();
            assert_eq!(count, usize::from(!foreign.is_empty()) + usize::from(digests > 0), "{why}: {}", ran.stderr);
            assert!(foreign.iter().all(|id| ran.stderr.contains(&format!("`{id}`"))), "{why}: {}", ran.stderr);
            assert!(!ran.stderr.contains("of-the-test"), "{}", ran.stderr);
            let sarif = dir.command("scan --policy policy.json --format sarif code.txt").run();
            assert_eq!(sarif.stdout.matches("another form").count(), count, "{why}: {}", sarif.stdout);
        }
    }
}

#[test]
fn added_prefixes_are_searched_for() {
    let dir = Dir::new().file("prefixes.txt", "acme_tk_\n").file("code.txt", "nothing");
    let ran = dir.command("scan --prefixes prefixes.txt --format json code.txt").run();
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["not_searched"], json!({"other_form": [], "digest_only": 0}), "no policy");
}

#[test]
fn compiled_policies_and_registries_have_only_digests() {
    let secret = Secret::mint(SecretKind::Token).unwrap();
    let document = json!({"tokens": [token("a", "token", secret.expose())]}).to_string();
    let dir = Dir::new().file("policy.json", document).file("code.txt", "nothing");
    dir.command("compile --policy policy.json --output policy.pcls").run();
    assert_eq!(dir.command("import policy.json --db sqlite:r.db").run().code, 0);
    for policy in ["--policy policy.pcls", "--db sqlite:r.db"] {
        let ran = dir.command(&format!("scan code.txt {policy}")).run();
        assert!(ran.stderr.contains("of 1 token the policy has only the digest"), "{policy}: {}", ran.stderr);
    }
}

#[test]
fn pipes_and_files_elsewhere_have_no_wrong_place_in_sarif() {
    let secret = Secret::mint(SecretKind::Token).unwrap();
    let elsewhere = Dir::new().file("leak.txt", secret.expose());
    let dir = Dir::new().file("leak.txt", secret.expose());
    let uri = |path: &str, stdin: &str| {
        let ran = dir.command("scan --format sarif").arg(path).stdin(stdin).run();
        let log: Value = serde_json::from_str(&ran.stdout).unwrap();
        log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].clone()
    };
    let far = elsewhere.path("leak.txt");
    for (path, stdin, expected) in [
        ("leak.txt", "", json!("leak.txt")),
        ("./leak.txt", "", json!("leak.txt")),
        (far.to_str().unwrap(), "", json!("leak.txt")),
        ("-", secret.expose(), Value::Null),
    ] {
        assert_eq!(uri(path, stdin), expected, "{path}");
    }
}
