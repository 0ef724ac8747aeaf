//! Values that a later check reads, not the parser of the command line: each text that people write by mistake is refused
//! with a fix, or changes nothing about what the value means.

use super::util::{Dir, POLICY};

/// The mistakes. `V` is the value.
const SHAPES: [&str; 9] = ["", " ", " V ", "\"V\"", "V,V", "V/", "V.", "https://a.example/V", "V\u{1b}x"];

/// A command with `@` for the value, a valid value, and the mistakes that are accepted.
struct Option {
    command: &'static str,
    valid: &'static str,
    accepted: &'static [&'static str],
}

/// Names and titles that only people read.
const LABELS: &[&str] = &["\"V\"", "V,V", "V/", "V.", "https://a.example/V"];

/// Names of connections, which only commas, blanks around them and control characters exclude.
const CONNECTIONS: &[&str] = &["\"V\"", "V/", "V.", "https://a.example/V"];

/// Referers are read as browsers read URLs, which removes blanks around them, and encodes control characters of a path.
const REFERERS: &[&str] = &[" V ", "V/", "V.", "https://a.example/V", "V\u{1b}x"];
const LISTED_REFERERS: &[&str] = &[" V ", "V,V", "V/", "V.", "https://a.example/V", "V\u{1b}x"];

const OPTIONS: [Option; 36] = [
    Option { command: "connections list --user=@", valid: "ana", accepted: LABELS },
    Option { command: "connections list --db=@", valid: "sqlite:r.db", accepted: &[] },
    Option { command: "trail --db=@", valid: "sqlite:r.db", accepted: &[] },
    Option { command: "validate --db=@", valid: "sqlite:r.db", accepted: &[] },
    Option { command: "connections add @", valid: "new", accepted: CONNECTIONS },
    Option { command: "connections add other --dialect=@", valid: "postgres", accepted: &[] },
    Option { command: "connections get @", valid: "dw", accepted: &[] },
    Option { command: "connections update @ --dialect=postgres", valid: "dw", accepted: &[] },
    Option { command: "connections delete @", valid: "spare", accepted: &[] },
    Option { command: "named-sources create @ --sql=SELECT_1", valid: "open-roads", accepted: &[] },
    Option { command: "named-sources create some --sql=SELECT_1 --connection=@", valid: "dw", accepted: &[] },
    Option { command: "named-sources get @", valid: "daily", accepted: &[] },
    Option { command: "named-sources delete @", valid: "daily", accepted: &[] },
    Option { command: "credentials create token --apis=maps --connection=@ --source=a.b", valid: "dw", accepted: &[] },
    Option { command: "credentials create token --apis=maps --connection=dw --source=@", valid: "a.b", accepted: &[] },
    Option {
        command: "credentials create token --apis=@ --connection=dw --source=a.b",
        valid: "maps",
        accepted: &["V,V"],
    },
    Option {
        command: "credentials create token --apis=maps --connection=dw --source=a.b --referer=@",
        valid: "https://app.example.com/",
        accepted: REFERERS,
    },
    Option {
        command: "credentials create token --apis=maps --connection=dw --source=a.b --referers=@",
        valid: "https://app.example.com/",
        accepted: LISTED_REFERERS,
    },
    Option {
        command: "credentials create token --apis=maps --connection=dw --source=a.b --name=@",
        valid: "Map",
        accepted: LABELS,
    },
    Option {
        command: "credentials create token --apis=maps --connection=dw --source=a.b --expiration-date=@",
        valid: "7d",
        accepted: &[],
    },
    Option {
        command: "credentials create spa --callback=https://a.example/cb --title=@",
        valid: "Map",
        accepted: LABELS,
    },
    Option { command: "credentials create m2m --title=@", valid: "Map", accepted: LABELS },
    Option {
        command: "credentials create spa --title=T --callback=@",
        valid: "https://app.example.com/cb",
        accepted: &["V,V", "V/", "V.", "https://a.example/V"],
    },
    Option {
        command: "credentials create spa --title=T --callback=https://a.example/cb --login-uri=@",
        valid: "https://app.example.com/cb",
        accepted: &["V,V", "V/", "V.", "https://a.example/V"],
    },
    Option {
        command: "credentials create spa --title=T --callback=https://a.example/cb --logout-url=@",
        valid: "https://app.example.com/cb",
        accepted: &["V,V", "V/", "V.", "https://a.example/V"],
    },
    Option {
        command: "credentials create spa --title=T --callback=https://a.example/cb --web-origin=@",
        valid: "https://app.example.com",
        accepted: &["V."],
    },
    Option {
        command: "credentials create spa --title=T --callback=https://a.example/cb --allowed-origin=@",
        valid: "https://app.example.com",
        accepted: &["V."],
    },
    Option { command: "credentials create m2m --title=T --apis=maps --grant=@", valid: "dw,a.b", accepted: &[] },
    Option { command: "credentials create m2m --title=T --scopes=@", valid: "read:tokens", accepted: &["V,V"] },
    Option { command: "credentials get token @", valid: "Roads", accepted: &[] },
    Option { command: "credentials update token @ --name=x", valid: "Roads", accepted: &[] },
    Option { command: "credentials rotate token @", valid: "Roads", accepted: &[] },
    Option { command: "credentials delete token @", valid: "Roads", accepted: &[] },
    Option { command: "credentials prune --older-than=@", valid: "7d", accepted: &[] },
    Option { command: "trail @", valid: "Roads", accepted: &[] },
    Option { command: "read --requests requests.jsonl --pass-through=@", valid: "/healthz", accepted: &["V."] },
];

#[test]
fn values_that_are_checked_later_have_no_mistakes() {
    let new = || {
        let dir = Dir::new().file("policy.json", POLICY).file("requests.jsonl", r#"{"method": "GET", "url": "/x"}"#);
        for command in [
            "connections add dw --dialect generic",
            "connections add spare",
            "named-sources create daily --sql-file sql",
            "credentials create token --name Roads --apis maps --connection dw --source a.b --expiration-date 7d",
        ] {
            std::fs::write(dir.path("sql"), "SELECT 1 AS one").unwrap();
            let ran = dir.command(command).env("PORTCULLIS_DB", "sqlite:r.db").run();
            assert_eq!(ran.code, 0, "{command}: {}", ran.stderr);
        }
        dir
    };
    let mut dir = new();
    let mut wrong = Vec::new();
    for Option { command, valid, accepted } in OPTIONS {
        for shape in SHAPES {
            let value = shape.replace('V', valid);
            let mut run = dir.command("").env("PORTCULLIS_DB", "sqlite:r.db").env("PORTCULLIS_POLICY", "");
            for word in command.split(' ') {
                run = run.arg(&word.replace('@', &value).replace("SELECT_1", "SELECT 1"));
            }
            let ran = run.run();
            let line = format!("{command} with {value:?}");
            if accepted.contains(&shape) {
                if ran.code != 0 {
                    wrong.push(format!("{line}: {}", ran.stderr));
                }
            } else if ran.code == 0 {
                wrong.push(format!("{line}: accepted: {}", ran.stdout));
            } else if !ran.stderr.contains("\nhelp: ") {
                wrong.push(format!("{line}: no help: {}", ran.stderr));
            }
        }
        let mut run = dir.command("").env("PORTCULLIS_DB", "sqlite:r.db");
        for word in command.split(' ') {
            run = run.arg(&word.replace('@', valid).replace("SELECT_1", "SELECT 1"));
        }
        let ran = run.run();
        // The registry chooses ids.
        if ran.code != 0 && !command.starts_with("trail @") {
            wrong.push(format!("{command} with the valid {valid}: {}", ran.stderr));
        }
        if ["delete", "update", "rotate"].iter().any(|word| command.contains(word)) {
            dir = new();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_value_of_nothing_is_an_error_and_not_a_denial() {
    let dir = Dir::with_policy();
    let token = "--token-id tok";
    for (rest, option, fix) in [
        (token, "--api= --connection=dw --resource=a.b", "maps"),
        (token, "--api=maps --connection= --resource=a.b", "carto_dw"),
        (token, "--api=maps --connection=dw --resource=", "carto.shared.roads"),
        (token, "--api=sql --connection=dw --query=", "SELECT 1"),
        (token, "--api=sql --connection=dw --named-source=", "open-orders"),
        ("--token-id=", "--api=maps --connection=dw --resource=a.b", "store-map"),
        ("--token-env=", "--api=maps --connection=dw --resource=a.b", "TOKEN"),
        ("--token-env=$MAPS", "--api=maps --connection=dw --resource=a.b", "MAPS"),
    ] {
        let error = dir.command(&format!("check --policy policy.json {rest} {option}")).stderr();
        assert!(error.contains(&format!("\nhelp: write `{fix}`")), "{rest} {option}: {error}");
    }
}

#[test]
fn a_token_of_the_environment_is_what_requests_carry() {
    let dir = Dir::with_policy();
    let command = "check --policy policy.json --token-env TOKEN --api maps --connection dw --resource public.roads";
    for (value, found) in [
        (
            "",
            "the environment variable `TOKEN` is empty: expected the token\nhelp: set it in the shell with `read -rs TOKEN",
        ),
        (" s3cret ", "the environment variable has blanks around the secret"),
        ("s3cret\n", "the environment variable has blanks around the secret"),
        ("Bearer s3cret", "the environment variable starts with `Bearer `"),
        ("Authorization: Bearer s3cret", "the environment variable is a header"),
    ] {
        let error = dir.command(command).env("TOKEN", value).stderr();
        assert!(error.contains(found) && !error.contains("s3cret"), "{value:?}: {error}");
    }
    let error = dir.command(command).stderr();
    assert!(error.contains("`TOKEN`: not set\nhelp: set it in the shell"), "{error}");
    assert!(dir.command(command).env("TOKEN", "unknown").stdout(1).contains("token_unknown"));
}
