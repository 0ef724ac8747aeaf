//! `scan`: findings, what they are worth, exit codes, and that no output holds a secret.

use portcullis_secret::{Secret, SecretKind};
use serde_json::{Value, json};

use super::util::{Dir, Ran};

fn minted() -> Secret {
    Secret::mint(SecretKind::Token).unwrap()
}

/// A token of a policy document.
fn token(id: &str, secret: &Secret, apis: &[&str], source: &str, referers: &[&str], end: &str) -> Value {
    json!({
        "id": id, "token_sha256": secret.digest().to_hex(), "allowed_apis": apis, "referers": referers,
        "grants": [{"connection_name": "dw", "source": source}], "expiration_date": end,
    })
}

fn policy(tokens: &[Value]) -> String {
    json!({"connections": [{"name": "dw", "dialect": "postgres"}], "tokens": tokens}).to_string()
}

/// Checks that neither output holds the secret.
#[track_caller]
fn masked(ran: &Ran, secret: &Secret) {
    for output in [&ran.stdout, &ran.stderr] {
        assert!(!output.contains(secret.expose()) && !output.contains(&secret.expose()[7..]), "{output}");
    }
}

#[test]
fn findings_are_judged_by_the_policy() {
    let site = ["https://www.example.com/"];
    let (later, past) = ("2040-01-01", "2020-01-01");
    for (name, apis, source, referers, end, severity) in [
        ("public", &["maps"][..], "public.stores", &site[..], later, "public"),
        ("lds beside maps", &["maps", "lds"], "public.stores*", &site, later, "public"),
        ("every source", &["maps"], "*", &site, later, "high"),
        ("sql", &["maps", "sql"], "public.stores", &site, later, "high"),
        ("imports", &["imports"], "public.stores", &site, later, "high"),
        ("no referers", &["maps"], "public.stores", &[], later, "high"),
        ("expired", &["sql"], "*", &[], past, "expired"),
    ] {
        let secret = minted();
        let document = policy(&[token("tok", &secret, apis, source, referers, end)]);
        let dir = Dir::new().file("policy.json", document).file("leak.txt", secret.expose());
        let ran = dir.command("scan --policy policy.json --format json leak.txt").run();
        masked(&ran, &secret);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, &report["findings"][0]["severity"]), (1, &json!(severity)), "{name}: {}", ran.stdout);
        assert_eq!(report["findings"][0]["token_sha256"], secret.digest().to_hex());
        let ran = dir.command("scan --policy policy.json --fail-on high leak.txt").run();
        assert_eq!(ran.code, i32::from(severity == "high"), "{name}: {}", ran.stdout);
        masked(&ran, &secret);
    }
}

#[test]
fn unknown_secret_is_never_harmless() {
    let secret = minted();
    let dir = Dir::with_policy().file("leak.txt", secret.expose());
    for options in ["", "--fail-on high", "--policy policy.json", "--policy policy.json --fail-on high"] {
        let ran = dir.command(&format!("scan leak.txt {options}")).run();
        assert_eq!(ran.code, 1, "{options}");
        assert!(ran.stdout.contains("leak.txt:1:1: unknown:"), "{options}: {}", ran.stdout);
        masked(&ran, &secret);
    }
}

#[test]
fn exit_codes_distinguish_found_from_not_read() {
    let secret = minted();
    let dir =
        Dir::new().file("clean.txt", "nothing").file("leak.txt", secret.expose()).file("cut.gz", b"\x1f\x8b\x08\0");
    for (args, code) in [
        ("clean.txt", 0),
        ("leak.txt", 1),
        ("cut.gz", 2),
        ("missing.txt", 2),
        ("leak.txt cut.gz", 2),
        (". --exclude *.gz --exclude leak.txt", 0),
        ("leak.txt clean.txt", 1),
        ("--git", 2),
        ("--staged", 2),
        ("--prefixes missing", 2),
        ("--baseline clean.txt", 2),
        ("--include [", 2),
        ("--revoke", 2),
        ("--catalog clean.txt", 2),
        ("- -", 2),
    ] {
        let ran = dir.command(&format!("scan {args}")).run();
        assert_eq!(ran.code, code, "{args}: {}{}", ran.stdout, ran.stderr);
        if code == 2 {
            assert!(!ran.stderr.is_empty(), "{args}");
        }
        masked(&ran, &secret);
    }
}

#[test]
fn secret_in_an_argument_is_not_repeated() {
    let secret = minted();
    for option in ["--baseline", "--prefixes", "--policy", "--exclude", "--git", "--include"] {
        let ran = Dir::new().command(&format!("scan {option}")).arg(&format!("[{}", secret.expose())).run();
        assert_eq!(ran.code, 2, "{option}: {}", ran.stderr);
        masked(&ran, &secret);
    }
    let dir = Dir::new().file(".gitignore", format!("x{{{}", secret.expose())).file("a", "nothing");
    let ran = dir.command("scan --format json").run();
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    masked(&ran, &secret);
}

/// A glob that matches nothing would leave out every file, or none.
#[test]
fn globs_that_can_match_nothing_are_refused_with_a_valid_glob() {
    let dir = Dir::new().file("a.js", "nothing");
    for (glob, error, fix) in [
        ("~/web/*.js", "`~` in the glob was not expanded by the shell", "web/*.js"),
        ("~", "`~` in the glob was not expanded by the shell", "*.js"),
        ("~ana/web/*.js", "`~ana` in the glob was not expanded by the shell", "web/*.js"),
        ("$HOME/web/*.js", "`$HOME` in the glob was not expanded by the shell", "web/*.js"),
        ("${HOME}/web", "`${HOME}` in the glob was not expanded by the shell", "web"),
        ("$WEB/*.js", "`$WEB` in the glob was not expanded by the shell", "*.js"),
        ("../web/*.js", "expected a glob that is relative to PATH, found `../web/*.js`", "web/*.js"),
        ("./", "expected a glob that is relative to PATH, found `./`", "*.js"),
        ("/", "expected a glob that is relative to PATH, found `/`", "*.js"),
    ] {
        for option in ["--include", "--exclude"] {
            let found = dir.command(&format!("scan {option}")).arg(glob).stderr();
            assert!(found.contains(error), "{glob}: {found}");
            assert!(found.contains(&format!("`{fix}`")), "{glob}: {found}");
            let fixed = dir.command(&format!("scan {option}")).arg(fix).run();
            assert!(!fixed.stderr.contains("glob"), "{fix}: {}", fixed.stderr);
        }
    }
    for glob in ["a~", "web/*~", "$x", "*.js", "/web", "./web/**", "~web~"] {
        let found = dir.command("scan --include").arg(glob).run();
        assert!(!found.stderr.contains("glob"), "{glob}: {}", found.stderr);
    }
}

#[test]
fn folder_of_which_nothing_is_read_is_not_clean() {
    let dir = Dir::new().file("a.js", "nothing").file(".gitignore", "*");
    for args in [".", "--no-ignore . --include *.md", "--no-ignore . --exclude *"] {
        let ran = dir.command(&format!("scan {args}")).run();
        assert_eq!(ran.code, 2, "{args}: {}", ran.stdout);
        assert!(ran.stderr.contains("no file in it was read"), "{args}: {}", ran.stderr);
    }
    // One glob for each option: what follows is a path.
    let ran = dir.command("scan --no-ignore --exclude *.md a.js").stdout(0);
    assert!(ran.contains("in 1 file"), "{ran}");
}

#[test]
fn baseline_hides_known_findings_only() {
    let [known, new] = [minted(), minted()];
    let dir = Dir::new().file("a.txt", known.expose());
    let baseline = dir.command("scan a.txt --format json").run();
    let dir = dir.file("baseline.json", &baseline.stdout).file("a.txt", format!("\n\nmoved {}", known.expose()));
    let out = dir.command("scan . --baseline baseline.json").stdout(0);
    assert!(out.contains("1 finding of the baseline not shown"), "{out}");
    let absolute = format!("scan {} --baseline baseline.json", dir.path("a.txt").display());
    dir.command(&absolute).stdout(0);
    let dir = dir.file("baseline.json", format!("\u{FEFF}{}", baseline.stdout));
    let dir = dir.file("b.txt", known.expose()).file("c.txt", new.expose());
    let ran = dir.command("scan . --baseline baseline.json").run();
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("b.txt:1:1") && ran.stdout.contains("c.txt:1:1") && !ran.stdout.contains("a.txt"));
}

#[test]
fn standard_input_and_file_names_are_scanned() {
    let secret = minted();
    let dir = Dir::new();
    let ran = dir.command("scan -").stdin(format!("a\n b {}\n", secret.expose())).run();
    assert_eq!((ran.code, ran.stdout.starts_with("<stdin>:2:4: unknown")), (1, true), "{}", ran.stdout);
    let dir = dir.file(&format!("dump-{}.sql", secret.expose()), "nothing");
    let ran = dir.command("scan").run();
    assert!(ran.stdout.starts_with("dump-….sql (in its name): unknown"), "{}", ran.stdout);
    masked(&ran, &secret);
}

#[test]
fn sarif_names_rules_files_and_fingerprints() {
    let secret = minted();
    let dir = Dir::new().file("a b.txt", format!("x\n {}", secret.expose())).file("cut.gz", b"\x1f\x8b\x08\0");
    let ran = dir.command("scan --format sarif").run();
    assert_eq!(ran.code, 2);
    masked(&ran, &secret);
    let log: Value = serde_json::from_str(&ran.stdout).unwrap();
    let run = &log["runs"][0];
    let result = &run["results"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let index = rules.iter().position(|rule| rule["id"] == "unknown_secret");
    assert_eq!(
        (&result["ruleId"], result["ruleIndex"].as_u64()),
        (&json!("unknown_secret"), index.map(|it| it as u64))
    );
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "a%20b.txt");
    assert_eq!(location["region"], json!({"startLine": 2, "startColumn": 2}));
    assert!(result["partialFingerprints"]["portcullisScan/v1"].is_string());
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
    assert_eq!(run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap().len(), 1);
}

#[test]
fn catalog_shows_how_much_a_token_reads() {
    let secret = minted();
    let document = policy(&[token("tok", &secret, &["sql"], "public.road*", &[], "2040-01-01")]);
    let catalog = "connection,name\ndw,public.roads\ndw,public.roads_2\ndw,public.rivers\n";
    let dir = Dir::new().file("policy.json", document).file("names.csv", catalog).file("leak.txt", secret.expose());
    let ran = dir.command("scan leak.txt --policy policy.json --catalog names.csv").run();
    assert!(ran.stdout.contains("reads 2 of 3 catalog names"), "{}{}", ran.stdout, ran.stderr);
    let dir = dir.file("names.csv", format!("{catalog}dw,\"a..b\"\n"));
    assert_eq!(dir.command("scan leak.txt --policy policy.json --catalog names.csv").run().code, 2);
}

#[test]
fn registry_adds_owners_clients_and_rotations_and_revokes() {
    let dir = Dir::new();
    let ana = |args: &str| dir.command(args).arg("--db").arg("sqlite:registry.db").arg("--user").arg("ana");
    ana("connections add dw").stdout(0);
    let create = "credentials create token --apis sql --connection dw --source public.roads --quiet --name";
    let rotated = ana(&format!("{create} rotated")).stdout(0).trim().to_owned();
    ana("credentials rotate token rotated --overlap 7d").stdout(0);
    let live = ana(&format!("{create} live")).stdout(0).trim().to_owned();
    let client: Value =
        serde_json::from_str(&ana("credentials create m2m --title machine --format json").stdout(0)).unwrap();
    let client = client["client_secret"].as_str().unwrap().to_owned();
    std::fs::write(dir.path("leak.txt"), format!("{rotated}\n{live}\n{client}\n")).unwrap();
    let scan =
        |options: &str| dir.command(&format!("scan leak.txt --db sqlite:registry.db --format json {options}")).run();
    let ran = scan("");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let field = |name: &str| -> Vec<_> {
        report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding[name].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(field("status"), ["overlap", "live", "live"]);
    assert_eq!(field("credential"), ["token", "token", "m2m"]);
    assert_eq!(field("owner"), ["ana", "ana", "ana"]);
    // Without a terminal, only `--yes` confirms.
    assert_eq!(scan("--revoke").code, 1);
    assert_eq!(serde_json::from_str::<Value>(&scan("").stdout).unwrap()["findings"][1]["status"], "live");
    let ran = scan("--revoke --yes");
    assert_eq!(ran.stderr.matches("revoked").count(), 3, "{}", ran.stderr);
    for secret in [&rotated, &live, &client] {
        assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret));
    }
    let report: Value = serde_json::from_str(&scan("").stdout).unwrap();
    assert!(report["findings"].as_array().unwrap().iter().all(|finding| finding["status"] == "unknown"));
    let trail = ana("trail --all-users --format json").stdout(0);
    let trail: Value = serde_json::from_str(&trail).unwrap();
    let entries = trail.as_array().or_else(|| trail["entries"].as_array()).unwrap();
    assert_eq!(entries.iter().filter(|entry| entry["action"] == "scan").count(), 3);
}

#[test]
fn added_prefixes_are_read_from_a_file() {
    let dir = Dir::new().file("prefixes.txt", "\u{FEFF}# ours\n\n acme_tk_ \n").file("leak.txt", "acme_tk_");
    dir.command("scan leak.txt --prefixes prefixes.txt").stdout(0);
    let dir = dir.file("prefixes.txt", "acme_tk_\na b\n");
    let error = dir.command("scan leak.txt --prefixes prefixes.txt").stderr();
    assert!(error.contains("`prefixes.txt`, line 2: expected a prefix"), "{error}");
    // A secret in the file of prefixes is not repeated.
    let secret = minted();
    let dir = dir.file("prefixes.txt", secret.expose());
    let ran = dir.command("scan leak.txt --prefixes prefixes.txt").run();
    assert_eq!(ran.code, 2);
    masked(&ran, &secret);
}
