//! Help texts, and the errors for options that do not exist.

use super::util::Dir;

/// Commands with a help text of their own.
const COMMANDS: [&str; 40] = [
    "init",
    "digest",
    "validate",
    "check",
    "compile",
    "inspect",
    "audit exposure",
    "audit forecast",
    "audit who-can",
    "audit diff",
    "audit lint",
    "audit suggest",
    "audit report",
    "bench",
    "read",
    "serve",
    "workspace",
    "credentials list",
    "credentials create token",
    "credentials create spa",
    "credentials create m2m",
    "credentials get",
    "credentials update token",
    "credentials update spa",
    "credentials update m2m",
    "credentials delete",
    "credentials rotate token",
    "credentials rotate m2m",
    "credentials prune",
    "connections add",
    "connections list",
    "connections update",
    "connections delete",
    "named-sources create",
    "named-sources list",
    "backup",
    "export",
    "import",
    "trail",
    "man",
];

fn help(command: &str, option: &str) -> String {
    Dir::new().command(&format!("{command} {option}")).env("COLUMNS", "80").stdout(0)
}

#[test]
fn every_help_text_fits_80_columns() {
    for command in COMMANDS {
        for option in ["-h", "--help"] {
            for line in help(command, option).lines() {
                assert!(line.chars().count() <= 80, "{command} {option}: {line}");
            }
        }
    }
}

#[test]
fn usage_shows_what_is_required() {
    for (command, parts) in [
        ("credentials create token", &["--apis <API,…>", "--connection <NAME> --source <SOURCE>"][..]),
        ("audit who-can", &["--policy <FILE>", "--connection <NAME>", "--resource <NAME>", "--token-leaked <ID>"]),
        ("check", &["--policy <FILE>", "--token-env <VAR>", "--api <API>", "--resource <NAME>", "--requests <FILE>"]),
        ("audit report", &["--output <FILE.html>"]),
        ("audit suggest", &["--log <FILE>"]),
    ] {
        let help = help(command, "--help");
        let (_, usage) = help.split_once("Usage: portcullis ").unwrap();
        let usage = usage.split("\n\n").next().unwrap();
        for part in parts {
            assert!(usage.contains(part), "{command}: no {part} in {usage}");
        }
    }
}

#[test]
fn all_users_is_shown_only_where_it_has_an_effect() {
    for command in COMMANDS {
        let has_effect = match command.split_once(' ') {
            Some(("credentials", rest)) => !rest.starts_with("create"),
            Some(("connections" | "named-sources", rest)) => ["update", "delete"].contains(&rest),
            _ => ["export", "import", "trail"].contains(&command),
        };
        assert_eq!(help(command, "--help").contains("--all-users"), has_effect, "{command}");
    }
    // Scripts that give it anyway continue to work.
    Dir::new().command("connections add dw --all-users --user ana --db sqlite:registry.db").stdout(0);
}

#[test]
fn examples_are_of_the_command_that_is_shown() {
    for (command, other) in [
        ("credentials update token", "portcullis credentials update spa"),
        ("credentials update spa", "portcullis credentials update token"),
        ("credentials create token", "portcullis credentials create spa"),
    ] {
        assert!(!help(command, "--help").contains(other), "{command}");
    }
}

#[test]
fn values_of_the_environment_are_not_shown_and_an_empty_one_is_unset() {
    let dir = Dir::with_policy();
    for (variable, default) in [
        ("PORTCULLIS_LISTEN", "127.0.0.1:8181"),
        ("PORTCULLIS_ADMIN", "127.0.0.1:8182"),
        ("PORTCULLIS_MESSAGE_LEVEL", "info"),
    ] {
        for value in ["", "10.20.30.40:50"] {
            let shown = dir.command("serve --help").env(variable, value).stdout(0);
            let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            for part in [format!("[default: {default}]"), format!("[env: {variable}]")] {
                assert!(shown.contains(&part) && !shown.contains("10.20.30.40"), "{variable}: {shown}");
            }
        }
        // The certificate is read before the server listens.
        let args = "serve --policy policy.json --tls-cert missing.pem --tls-key missing.pem";
        let error = dir.command(args).env(variable, "").stderr();
        assert!(error.contains("missing.pem"), "{variable}: {error}");
    }
    for variable in ["PORTCULLIS_LISTEN", "PORTCULLIS_ADMIN"] {
        let error = dir.command("serve --policy policy.json").env(variable, "nonsense").stderr();
        assert!(error.contains("nonsense"), "{error}");
    }
}

#[test]
fn options_of_other_programs_suggest_the_right_one() {
    let dir = Dir::with_policy();
    for (command, option, meant) in [
        ("credentials create token", "--expires", Some("--expiration-date")),
        ("credentials create token", "--expires-at=7d", Some("--expiration-date")),
        ("credentials create token", "--ttl", Some("--expiration-date")),
        ("credentials create token", "--domain", Some("--referer")),
        ("credentials create token", "--domains", Some("--referers")),
        ("credentials create token", "--tables", Some("--source")),
        ("credentials create token", "--scope", Some("--apis")),
        ("credentials create token", "--api", Some("--apis")),
        ("credentials create token", "--table", Some("--source")),
        ("credentials create token", "--owner", Some("--user")),
        ("credentials rotate token x", "--expiry", Some("--expiration-date")),
        ("credentials update token x", "--grant", Some("--add-grant")),
        ("credentials create spa", "--redirect-uri", Some("--callback")),
        ("init", "--expires_at", Some("--expiration-date")),
        ("init", "--domain", Some("--referer")),
        ("check", "--table", Some("--resource")),
        ("check", "--scope", Some("--api")),
        ("check", "--sql", Some("--query")),
        ("check", "--secret", Some("--token-env")),
        ("check", "--why", Some("--explain")),
        ("audit who-can", "--table", Some("--resource")),
        ("audit lint", "--database", Some("--db")),
        ("audit suggest", "--usage", Some("--log")),
        ("compile", "--out", Some("--output")),
        ("serve", "--bind", Some("--listen")),
        ("trail", "--limit", Some("--last")),
        ("trail", "--xyzzy", None),
    ] {
        let error = dir.command(&format!("{command} {option}")).stderr();
        let tip = meant.map(|meant| format!("a similar argument exists: '{meant}'"));
        match tip {
            Some(tip) => assert!(error.contains(&tip), "{command} {option}: {error}"),
            None => assert!(!error.contains("similar"), "{command} {option}: {error}"),
        }
    }
}

#[test]
fn earlier_names_of_options_still_work() {
    let log = r#"{"log":1,"time":"2026-11-24T12:00:00Z","token_id":"tok","api":"maps","connection":"dw","sources":[{"resource":"public.roads"}],"decision":"allow","grants":[0]}"#;
    let dir = Dir::with_policy().file("log.jsonl", log);
    for args in [
        "audit report --policy policy.json --report old.html",
        "audit report --policy policy.json --output new.html",
        "audit lint --policy policy.json --usage log.jsonl --fail-on error --allow plain_secret",
        "audit lint --policy policy.json --log log.jsonl --fail-on error --allow plain_secret",
    ] {
        let ran = dir.command(args).run();
        assert_eq!(ran.code, 0, "{args}: {}", ran.stderr);
    }
    assert_eq!(std::fs::read(dir.path("old.html")).unwrap().len(), std::fs::read(dir.path("new.html")).unwrap().len());
    for (command, old) in [("audit report", "--report"), ("audit lint", "--usage"), ("audit report", "--usage")] {
        assert!(!help(command, "--help").contains(&format!("{old} ")), "{command}");
    }
}
