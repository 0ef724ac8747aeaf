//! The registry commands and their effects.

use serde_json::{Value, json};

use super::super::util::POLICY;
use super::Dir;

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

impl Dir {
    fn create(&self, args: &str) -> Value {
        parse(&self.ana(&format!("credentials create token --format json {args}")).run().stdout)
    }

    /// Decides a `maps` request with this secret for a resource of `dw`, and returns the answer.
    #[track_caller]
    fn answer(&self, secret: &str, resource: &str) -> String {
        let args = "check --db sqlite:registry.db --token-env TOKEN --api maps --connection dw --resource";
        let ran = self.command(args).arg(resource).env("TOKEN", secret).run();
        assert_eq!(ran.stderr, "");
        ran.stdout
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn every_change_applies_to_the_next_check() {
    let dir = Dir::with_registry();
    let created = dir.create("--name map --connection dw --source shop.public.a --apis maps --expiration-date 7d");
    let (id, secret) = (text(&created["id"]), text(&created["token"]));
    let allowed = format!("allow, token `{id}`, grant 0\n");
    assert_eq!(dir.answer(secret, "shop.public.a"), allowed);
    let not_granted = "deny: source_not_granted (403)\n";
    assert_eq!(dir.answer(secret, "shop.public.b"), not_granted);

    dir.ana("credentials update token map --add-grant dw,shop.public.b* --remove-grant dw,shop.public.a").stdout(0);
    assert_eq!(dir.answer(secret, "shop.public.b"), allowed);
    assert_eq!(dir.answer(secret, "shop.public.a"), not_granted);
    dir.ana("credentials update token map --apis sql --referer https://a.example --referer https://b.example").run();
    assert_eq!(dir.answer(secret, "shop.public.b"), "deny: api_not_allowed (403)\n");
    let shown = parse(&dir.ana("credentials get token map --format json").stdout(0));
    assert_eq!(shown["referers"], json!(["https://a.example", "https://b.example"]), "repeated options add");
    dir.ana("credentials update token map --apis maps --any-referer").stdout(0);

    let rotated = parse(&dir.ana("credentials rotate token map --overlap 1d --format json").stdout(0));
    let (new, old) = (text(&rotated["token"]), text(&rotated["old"]["id"]));
    assert_eq!(rotated["id"], created["id"]);
    assert_eq!(rotated["expiration_date"], created["expiration_date"]);
    assert_eq!(dir.answer(new, "shop.public.b"), allowed);
    assert_eq!(dir.answer(secret, "shop.public.b"), format!("allow, token `{old}`, grant 0\n"));
    let now = "2099-01-01";
    let late =
        dir.command("check --db sqlite:registry.db --token-env TOKEN --api maps --connection dw --resource a.b --now");
    assert_eq!(late.arg(now).env("TOKEN", new).stdout(1), "deny: token_expired (401)\n");

    let deleted = dir.ana("credentials delete token map").stdout(0);
    assert!(
        deleted.contains(&format!("\nits earlier secret is still valid as token {old} of ana, expires in ")),
        "{deleted}"
    );
    dir.ana(&format!("credentials revoke token {old}")).stdout(0);
    for secret in [new, secret] {
        assert_eq!(dir.answer(secret, "shop.public.b"), "deny: token_unknown (401)\n");
    }
}

#[test]
fn secrets_are_neither_stored_nor_shown_again() {
    let dir = Dir::with_registry();
    let created = dir.create("--name map --connection dw --source a.b --apis maps");
    let rotated = parse(&dir.ana("credentials rotate token map --overlap 1d --format json").stdout(0));
    let quiet = dir.ana("credentials create token --connection dw --source a.b --apis maps --quiet").stdout(0);
    let machine = parse(&dir.ana("credentials create m2m --title Night --format json").stdout(0));
    let plain = dir.ana("credentials create m2m --title Day").stdout(0);
    let plain = plain.split_whitespace().find(|word| word.starts_with("pcl_m2m_")).unwrap();
    let secrets =
        [text(&created["token"]), text(&rotated["token"]), quiet.trim(), text(&machine["client_secret"]), plain];
    let regex = regex::Regex::new(portcullis_secret::REGEX).unwrap();
    let mut output = String::new();
    for args in [
        "credentials list",
        "credentials list --format json --all-users",
        "credentials get token map",
        "credentials get token map --format json",
        "credentials get m2m Night --format json",
        "trail",
        "trail --format json --all-users",
        "export --all-users",
    ] {
        output += &dir.ana(args).run().stdout;
    }
    for name in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        output += &String::from_utf8_lossy(&std::fs::read(dir.path(name)).unwrap_or_default());
    }
    for secret in secrets {
        assert!(regex.is_match(secret), "{secret}");
        assert!(!output.contains(secret), "{secret}");
        // A secret in another argument is neither stored nor printed.
        for args in [
            "credentials get token",
            "credentials delete m2m",
            "credentials update token map --name",
            "connections add",
        ] {
            let ran =
                dir.command(args).arg(secret).env("PORTCULLIS_DB", "sqlite:registry.db").arg("--user").arg("ana").run();
            assert!(ran.code == 2 && !ran.stderr.contains(secret), "{args}: {}", ran.stderr);
        }
    }
    assert!(!regex.is_match(&output));
}

#[test]
fn users_cannot_see_or_change_tokens_of_other_users() {
    let dir = Dir::with_registry();
    let created = dir.create("--name map --connection dw --source a.b --apis maps");
    let id = text(&created["id"]);
    let bo = |args: &str| dir.command(args).arg("--db").arg("sqlite:registry.db").arg("--user").arg("bo");
    let others = "note: other users have 1 token: `--all-users` includes them\n";
    let listed = bo("credentials list tokens --format json").run();
    assert_eq!((listed.code, &*listed.stdout, &*listed.stderr), (0, "[]\n", others));
    for args in ["get token", "delete token --force", "rotate token", "update token --name x"] {
        for name in [id, "map"] {
            let ran = bo(&format!("credentials {args}")).arg(name).run();
            assert_eq!(ran.code, 1);
            assert!(ran.stderr.starts_with(&format!("error: there is no token `{name}`\n")), "{}", ran.stderr);
        }
    }
    let exported = bo("export").run();
    assert_eq!((exported.code, &parse(&exported.stdout)["tokens"]), (0, &json!([])));
    assert_eq!(exported.stderr, "note: left out 1 token of other users: `--all-users` includes them\n");
    let trail = bo("trail").run();
    assert!(trail.code == 0 && !trail.stdout.contains(id));
    assert_eq!(trail.stderr, "note: other users have 1 change: `--all-users` includes them\n");
    // The same name is free for another user, and an administrator sees both.
    bo("credentials create token --name map --connection dw --source a.b --apis maps").stdout(0);
    let ran = bo("credentials delete token map --all-users").run();
    assert!(
        ran.stderr.starts_with("error: 2 tokens have the name `map`\nhelp: name one by its id: `id:tk_"),
        "{}",
        ran.stderr
    );
    let list = parse(&bo("credentials list tokens --all-users --format json").stdout(0));
    assert_eq!(list.as_array().unwrap().len(), 2);
    bo(&format!("credentials delete token {id} --all-users")).stdout(0);
    let listed = dir.ana("credentials list tokens --format json").run();
    assert_eq!((listed.code, &*listed.stdout, &*listed.stderr), (0, "[]\n", others));
    assert!(dir.ana(&format!("trail {id}")).stdout(0).contains(" bo "), "the owner sees who deleted it");
}

#[test]
fn tables_have_the_important_columns() {
    let dir = Dir::with_registry();
    assert_eq!(
        dir.ana("credentials list").stdout(0),
        "Tokens\nnone\n\nSingle-page applications\nnone\n\nMachines\nnone\n"
    );
    let args =
        "--name map --connection dw --source a.* --connection dw --source a.b --apis maps,sql --expiration-date 7d";
    let id = text(&dir.create(args)["id"]).to_owned();
    assert_eq!(
        // A second may have passed since.
        dir.ana("credentials list tokens").stdout(0).replace("in 6 days", "in 7 days"),
        format!(
            "ID             NAME  APIS      GRANTS      REFERERS  EXPIRES    LAST USED\n\
             {id}  map   maps,sql  dw: a.* +1  any       in 7 days  -\n"
        )
    );
    assert_eq!(dir.ana("connections list").stdout(0), "NAME  DIALECT  QUERIES\ndw    generic  accepted\n");
    let shown = dir.ana("credentials get token map").stdout(0);
    assert!(shown.contains("\ngrant          pattern on dw: a.*\ngrant          resource on dw: a.b\n"), "{shown}");
    assert!(shown.contains("\nreferers       any or none\n"), "{shown}");
}

#[test]
fn clients_are_created_changed_and_deleted() {
    let dir = Dir::new();
    let spa = dir.ana("credentials create spa --title Atlas --format json --login-uri https://a.example/login");
    let spa = spa.arg("--callback").arg("http://localhost:3000/cb?x=1").arg("--callback").arg("https://a.example");
    let spa = parse(&spa.arg("--allowed-origin").arg("https://a.example").stdout(0));
    assert!(text(&spa["client_id"]).starts_with("spa_") && spa.get("client_secret").is_none());
    assert_eq!(spa["callbacks"], json!(["http://localhost:3000/cb?x=1", "https://a.example"]));
    assert_eq!(spa["allowed_origins"], json!(["https://a.example"]));
    let update = "credentials update spa Atlas --format json --title Globe --web-origin http://127.0.0.1 \
                  --callback https://b.example/ --remove-callback https://a.example --remove-login-uri https://a.example/login";
    let spa = parse(&dir.ana(update).stdout(0));
    assert_eq!(spa["callbacks"], json!(["http://localhost:3000/cb?x=1", "https://b.example/"]));
    assert_eq!((&spa["title"], &spa["web_origins"]), (&json!("Globe"), &json!(["http://127.0.0.1"])));
    assert!(spa.get("login_uri").is_none());

    let machine = parse(&dir.ana("credentials create m2m --title Night --format json").stdout(0));
    assert!(text(&machine["client_id"]).starts_with("m2m_") && machine["type"] == "m2m");
    dir.ana("credentials update m2m Night --title Day").stdout(0);
    let list = parse(&dir.ana("credentials list --format json").stdout(0));
    assert_eq!((&list["m2m"][0]["title"], &list["spa"][0]["title"]), (&json!("Day"), &json!("Globe")));
    dir.ana("credentials delete m2m Day").stdout(0);
    dir.ana("credentials delete spa Globe").stdout(0);
    assert_eq!(
        parse(&dir.ana("credentials list --format json").stdout(0)),
        json!({"tokens": [], "spa": [], "m2m": []})
    );
}

#[test]
fn named_sources_are_searched_and_paged() {
    let dir = Dir::with_registry();
    for at in 0..7 {
        let sql = format!("SELECT {at} FROM {}", if at % 2 == 0 { "Roads" } else { "shops" });
        dir.ana(&format!("named-sources create source-{at}")).arg("--sql").arg(&sql).stdout(0);
    }
    let page = parse(&dir.ana("named-sources list --search roads --page 2 --page-size 3 --format json").stdout(0));
    assert_eq!((&page["total"], &page["page"], &page["page_size"]), (&json!(4), &json!(2), &json!(3)));
    assert_eq!(
        page["named_sources"],
        json!([{"name": "source-6", "connection": null, "query": "SELECT 6 FROM Roads"}])
    );
    let text = dir.ana("named-sources list --page-size 3 --page 3").stdout(0);
    assert_eq!(
        text,
        "NAME      CONNECTION  SQL\nsource-6  (every)     SELECT 6 FROM Roads\npage 3 of 3, 7 named sources\n"
    );
    dir.ana("named-sources update source-6 --connection dw --sql-file -").stdin("SELECT 1").stdout(0);
    assert_eq!(
        dir.ana("named-sources get source-6").stdout(0),
        "name        source-6\nconnection  dw\nsql         SELECT 1\n"
    );
    dir.create("--connection dw --source source-6 --apis sql");
    dir.ana("credentials prune").stdout(0);
    assert_eq!(dir.ana("named-sources delete source-5").stdout(0), "deleted named source `source-5`\n");
}

#[test]
fn export_and_import_round_trip() {
    let dir = Dir::new().file("policy.json", POLICY);
    assert_eq!(
        dir.ana("import policy.json").run().stdout,
        "imported 2 tokens, 1 connection, 0 APIs; 0 already existed\n"
    );
    assert_eq!(
        dir.ana("import policy.json").run().stdout,
        "imported 0 tokens, 0 connections, 0 APIs; 3 already existed\n"
    );
    dir.ana("named-sources create daily-roads").arg("--sql").arg("SELECT 1").stdout(0);
    let exported = dir.ana("export --all-users").run();
    assert_eq!(
        exported.stderr,
        "note: left out 1 named source and 0 OAuth clients: a policy document cannot contain them\n"
    );
    let again = dir.command("import - --all-users --user root --db sqlite:copy.db").stdin(exported.stdout.clone());
    again.stdout(0);
    assert_eq!(dir.command("export --all-users --user root --db sqlite:copy.db").stdout(0), exported.stdout);
    // All three forms decide equally.
    let dir = dir.file("export.json", &exported.stdout);
    let request = r#"{"token": "s3cr3t-of-the-test", "api": "sql", "connection": "dw", "query": "SELECT 1"}"#;
    for policy in ["--policy policy.json", "--policy export.json", "--db sqlite:copy.db"] {
        let answers = dir.command(&format!("check {policy} --quiet --requests -")).stdin(request).stdout(0);
        assert_eq!(answers, "{\"decision\":\"allow\",\"token\":\"tok\",\"grants\":[1]}\n");
        assert!(dir.command(&format!("inspect {policy}")).stdout(0).starts_with("tokens        2\n"));
    }
    assert!(dir.command("validate --db sqlite:copy.db").stdout(0).starts_with("sqlite:copy.db: valid, 0 errors"));
    let bench = dir.command("bench --db sqlite:copy.db --seconds 0.01 --threads 1 --format json --requests -");
    assert!(parse(&bench.stdin(request).run().stdout).is_object());
    let bad = dir.ana("import -").stdin(r#"[{"id": "x", "token": "s", "allowed_apis": ["map"]}]"#).stderr();
    assert!(bad.contains("error[api_unknown]: unknown API `map`") && bad.contains("<stdin>:1:"), "{bad}");
    assert!(bad.ends_with("error: the document has 1 error: nothing was imported\n"), "{bad}");
}

#[test]
fn options_take_precedence_over_the_environment() {
    let dir = Dir::with_registry().file("policy.json", POLICY);
    let rest = "--format json";
    let tokens = |text: &str| parse(text)["tokens"].clone();
    let (db, file) = (("PORTCULLIS_DB", "sqlite:registry.db"), ("PORTCULLIS_POLICY", "policy.json"));
    let inspect = |args: &str| dir.command(&format!("inspect {rest} {args}"));
    assert_eq!(tokens(&inspect("").env(db.0, db.1).stdout(0)), json!(0));
    assert_eq!(tokens(&inspect("").env(file.0, file.1).stdout(0)), json!(2));
    assert_eq!(tokens(&inspect("--policy policy.json").env(db.0, db.1).stdout(0)), json!(2));
    assert_eq!(tokens(&inspect("--db sqlite:registry.db").env(file.0, file.1).stdout(0)), json!(0));
    assert_eq!(
        inspect("").env(db.0, db.1).env(file.0, file.1).stderr(),
        "error: `PORTCULLIS_POLICY` and `PORTCULLIS_DB` both name a policy: choose with `--policy` or `--db`\n"
    );
    assert_eq!(inspect("").stderr(), "error: the policy is missing: give `--policy FILE` or `--db URL`\n");
    let both = inspect("--policy policy.json --db sqlite:registry.db").stderr();
    assert!(both.contains("cannot be used with"), "{both}");
    // A missing registry is an error and is not created.
    let missing = inspect("--db sqlite:missing.db").stderr();
    assert!(
        missing
            .starts_with("error: the registry `missing.db` does not exist\nhelp: did you mean `sqlite:registry.db`? "),
        "{missing}"
    );
    assert!(!dir.path("missing.db").exists());
    // Without a name the registry is in the user's data directory.
    let home = dir.path("home");
    let add = dir.command("connections add dw --user ana").env("XDG_DATA_HOME", home.to_str().unwrap());
    add.env("HOME", home.to_str().unwrap()).stdout(0);
    assert!(cfg!(not(target_os = "linux")) || home.join("portcullis/registry.db").exists());
}

#[test]
fn all_sources_need_confirmation() {
    let dir = Dir::with_registry();
    let refusal = "error: the token grants all sources of connection `dw` and has referers: web pages will show it to \
                   everyone\nhelp: name the sources that the pages need; `--yes` grants all sources\n";
    // No confirmation is needed without referers and with an expiry.
    dir.create("--name all --connection dw --source * --apis sql --expiration-date 7d");
    for args in ["--referer https://a.example/", "--referers https://a.example/"] {
        let ran = dir.ana(&format!("credentials update token all {args}")).run();
        assert_eq!((ran.code, ran.stderr.as_str()), (1, refusal), "{args}");
    }
    assert_eq!(dir.ana("credentials update token all --yes --referer https://a.example/").run().code, 0);
    let never = dir.ana("credentials create token --connection dw --source * --apis sql --yes").run();
    assert_eq!(never.code, 0);
}

#[cfg(unix)]
#[test]
fn registry_is_private_to_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let dir = Dir::with_registry();
    let mode = std::fs::metadata(dir.path("registry.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn help_fits_80_columns_and_has_examples() {
    let dir = Dir::new();
    for command in [
        "credentials list",
        "credentials create",
        "credentials get",
        "credentials update",
        "credentials delete",
        "credentials rotate",
        "credentials prune",
    ] {
        let help = dir.command(&format!("{command} --help")).env("COLUMNS", "80").stdout(0);
        assert!(help.contains("Examples:\n  portcullis credentials"), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
    }
}
