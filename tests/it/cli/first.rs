//! `init` and `digest`.

use portcullis::model::SecretDigest;
use serde_json::Value;

use super::util::Dir;

#[test]
fn init_writes_a_policy_that_decides() {
    let dir = Dir::new();
    let output =
        dir.command("init --connection dw --dialect postgres --source public.roads_* --apis maps,sql").stdout(0);
    let secret = output.lines().find(|line| line.starts_with("  pcl_tk_")).unwrap().trim();
    let text = std::fs::read_to_string(dir.path("policy.json")).unwrap();
    assert!(!text.contains(secret), "the file holds the secret");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["tokens"][0]["token_sha256"], SecretDigest::of(secret).to_hex());
    dir.command("validate policy.json").stdout(0);
    for (resource, code) in [("Public.roads_2024", 0), ("public.rivers", 1)] {
        let check = "check --policy policy.json --token-env TOKEN --api maps --connection dw --resource";
        let ran = dir.command(&format!("{check} {resource}")).env("TOKEN", secret).run();
        assert_eq!(ran.code, code, "{resource}: {}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn init_never_overwrites_a_file() {
    let dir = Dir::new().file("policy.json", "mine");
    let error = dir.command("init").stderr();
    assert!(error.contains("`policy.json` already exists and was not changed"), "{error}");
    assert_eq!(std::fs::read_to_string(dir.path("policy.json")).unwrap(), "mine");
}

#[test]
fn init_with_errors_writes_no_file() {
    for (options, expected) in [
        ("--source table*", "a pattern needs at least one dot"),
        ("--dialect mysql", "unknown dialect `mysql`"),
        ("--referer example.com", "is not an absolute URL"),
        ("--apis mpas", "mpas"),
        ("--expiration-date yesterday", "`yesterday`"),
    ] {
        let dir = Dir::new();
        let ran = dir.command(&format!("init {options}")).run();
        assert_eq!(ran.code, 2, "{options}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(expected), "{options}: {}", ran.stderr);
        assert!(!dir.path("policy.json").exists(), "{options}");
        assert!(!ran.stdout.contains("pcl_tk_"), "{options}: a secret without a policy");
    }
}

#[test]
fn digest_ignores_one_line_ending() {
    let dir = Dir::new();
    let expected = format!("{}\n", SecretDigest::of("s3cret").to_hex());
    for input in ["s3cret", "s3cret\n", "s3cret\r\n"] {
        assert_eq!(dir.command("digest").stdin(input).stdout(0), expected, "{input:?}");
    }
    for (input, expected) in [
        (String::new(), "has no secret"),
        ("\n".to_owned(), "has no secret"),
        ("a\nb\n".to_owned(), "several lines"),
        ("a".repeat(70_000), "more than 65536 bytes"),
    ] {
        let ran = dir.command("digest").stdin(input.as_str()).run();
        assert_eq!(ran.code, 2, "{}", ran.stdout);
        assert!(ran.stderr.contains(expected) && !ran.stderr.contains("aaa"), "{}", ran.stderr);
    }
}
