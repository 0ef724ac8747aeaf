//! Inputs of audits that do not fit the policy: an audit says so instead of showing an empty result.

use super::util::Dir;

const POLICY: &str = r#"{
  "connections": [{"name": "dw", "dialect": "postgres"}],
  "tokens": [{"id": "a", "token": "s3cr3t-of-the-test", "allowed_apis": ["maps"],
    "grants": [{"connection_name": "dw", "source": "open_orders"}, {"connection_name": "dw", "source": "hr.people"}]}]
}"#;

const COMMANDS: [&str; 3] = [
    "audit who-can --policy policy.json --connection dw --resource hr.p --named-sources sources.jsonl",
    "audit exposure --policy policy.json --catalog names.csv --quiet --named-sources sources.jsonl",
    "audit diff policy.json policy.json --catalog names.csv --quiet --named-sources sources.jsonl",
];

fn dir(sources: &str) -> Dir {
    let names = "connection,name\ndw,hr.p\n";
    Dir::new().file("policy.json", POLICY).file("names.csv", names).file("sources.jsonl", sources)
}

#[test]
fn malformed_and_repeated_named_sources_are_refused() {
    let first = r#"{"name": "open_orders", "sql": "SELECT 1"}"#;
    let here = r#"{"name": "open_orders", "connection": "dw", "sql": "SELECT 1"}"#;
    for (sources, error) in [
        (format!("{first}\n{first}"), "line 2: `open_orders` is defined twice"),
        (
            format!("{first}\n\n{}", r#"{"name": "open_orders", "sql": "SELECT * FROM hr.p"}"#),
            "line 3: `open_orders` is defined twice: expected one line for each name and connection",
        ),
        (format!("{here}\n{first}\n{here}"), "line 3: `open_orders` is defined twice"),
        (format!("[{first}]"), "line 1: expected an object"),
        ("[\"open_orders\", \"dw\", \"SELECT 1\"]".to_owned(), "line 1: expected an object"),
        ("\"open_orders\"".to_owned(), "expected an object"),
        (r#"{"name": "open_orders", "sql": " "}"#.to_owned(), "line 1: `sql` is empty"),
        (r#"{"name": "open_orders"}"#.to_owned(), "line 1: `sql` is missing; a line is"),
        (r#"{"name": "open_orders", "sql": 7}"#.to_owned(), "line 1: expected a string, found a number; a line is"),
    ] {
        for command in COMMANDS {
            let found = dir(&sources).command(command).stderr();
            assert!(found.contains(error), "{command}: {found}");
            assert!(!found.contains("Definition") && !found.contains("struct"), "{found}");
        }
    }
    for command in COMMANDS {
        let ran = dir(&format!("{first}\n{here}")).command(command).run();
        assert_eq!(ran.code, 0, "{command}: {}", ran.stderr);
    }
}

#[test]
fn named_sources_that_the_policy_does_not_have_are_noted() {
    let line = |name: &str, more: &str| format!("{{\"name\": \"{name}\", \"sql\": \"SELECT * FROM hr.p\"{more}}}\n");
    let known = line("open_orders", "");
    let none = "note: `sources.jsonl` has no named sources\n";
    for (sources, note) in [
        (String::new(), none),
        ("\n".to_owned(), none),
        (line("other", ""), "note: `sources.jsonl` has 1 named source that no grant names: `other`\n"),
        (
            line("Open_orders", "") + &line("b", "") + &line("c", "") + &line("d", "") + &known,
            "note: `sources.jsonl` has 4 named sources that no grant names: `Open_orders`, `b`, `c`, …\n",
        ),
        (
            line("open_orders", ", \"connection\": \"DW\""),
            "note: `sources.jsonl` has 1 named source on other connections than the policy: `open_orders` on `DW`\n",
        ),
    ] {
        for command in COMMANDS {
            let ran = dir(&sources).command(command).run();
            assert_eq!(ran.stderr.matches(note).count(), 1, "{command}: {}", ran.stderr);
        }
    }
    for command in COMMANDS {
        let ran = dir(&known).command(command).run();
        assert!(!ran.stderr.contains("sources.jsonl"), "{command}: {}", ran.stderr);
    }
}

#[test]
fn logs_of_another_policy_lead_to_no_suggestion() {
    let line = |token: &str, decision: &str| {
        format!(
            r#"{{"log":1,"time":"2026-11-20T09:00:00Z","token_id":"{token}","api":"maps","connection":"dw","sources":[{{"resource":"hr.people"}}],{decision},"ns":8}}"#
        ) + "\n"
    };
    let allow = r#""decision":"allow","grants":[0]"#;
    let deny = r#""decision":"deny","reason":"source_not_granted""#;
    let error = "the logs of `--log` use no token of the policy: give the logs of this policy\n";
    for log in [line("other", allow), line("other", deny), line("other", allow) + &line("b", allow)] {
        for options in ["", "--drop-unused", "--format json"] {
            let dir = dir("").file("log.jsonl", &log);
            let command = format!("audit suggest --policy policy.json --log log.jsonl {options}");
            let found = dir.command(&command).stderr();
            assert!(found.ends_with(error), "{options} {log}: {found}");
        }
    }
    let denied = dir("").file("log.jsonl", line("a", deny));
    let found = denied.command("audit suggest --policy policy.json --log log.jsonl").stderr();
    assert!(found.contains("have no allowed request of a token of the policy"), "{found}");
    for command in ["lint --policy policy.json", "report --policy policy.json --output out.html"] {
        let ran = denied.command(&format!("audit {command} --log log.jsonl")).run();
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{command}: {}", ran.stderr);
        assert!(ran.stderr.contains("have no allowed request of a token of the policy"), "{command}: {}", ran.stderr);
    }
    for log in [line("other", allow) + &line("a", allow), line("a", deny) + &line("a", allow)] {
        let ran = dir("").file("log.jsonl", &log).command("audit suggest --policy policy.json --log log.jsonl").run();
        assert_eq!(ran.code, 0, "{log}: {}", ran.stderr);
    }
}

/// A log of one API says nothing about the grants that another API needs.
#[test]
fn apis_without_requests_in_the_logs_are_noted() {
    let policy = POLICY.replace(r#"["maps"]"#, r#"["maps", "sql", "lds"]"#);
    let line = r#"{"log":1,"time":"2026-11-20T09:00:00Z","token_id":"a","api":"maps","connection":"dw","sources":[{"resource":"hr.people"}],"decision":"allow","grants":[1],"ns":8}"#;
    let all = ["sql", "lds"].map(|api| line.replace("\"maps\"", &format!("\"{api}\""))).join("\n");
    let dir = Dir::new().file("policy.json", policy).file("one.jsonl", line).file("two.jsonl", all);
    let note =
        "note: the logs have no request under `lds`, `sql`: tokens and grants that are needed only there look unused\n";
    for command in
        ["suggest --policy policy.json", "lint --policy policy.json", "report --policy policy.json --output o"]
    {
        let ran = dir.command(&format!("audit {command} --log one.jsonl")).run();
        assert!(ran.stderr.contains(note), "{command}: {}", ran.stderr);
        let ran = dir.command(&format!("audit {command} --log one.jsonl two.jsonl")).run();
        assert!(!ran.stderr.contains("look unused"), "{command}: {}", ran.stderr);
    }
}

/// A policy whose requests are all denied now would lose every grant.
#[test]
fn requests_that_the_policy_denies_lead_to_no_suggestion() {
    let line = |source: &str| {
        format!(
            r#"{{"log":1,"time":"2026-11-20T09:00:00Z","token_id":"a","api":"maps","connection":"dw","sources":[{{"resource":"{source}"}}],"decision":"allow","grants":[1],"ns":8}}"#
        ) + "\n"
    };
    let second = r#"{"id": "b", "token": "s3cr3t-of-the-other", "allowed_apis": ["maps"],
        "grants": [{"connection_name": "dw", "source": "hr.pay"}]}]"#;
    let policy = POLICY.replace("]}]\n}", &format!("]}},\n{second}}}"));
    let dir = Dir::new().file("policy.json", policy).file("gone.jsonl", line("hr.gone"));
    let suggest = "audit suggest --policy policy.json --drop-unused --log";
    let found = dir.command(&format!("{suggest} gone.jsonl")).stderr();
    assert!(found.contains("the policy denies every request that the logs of `--log` allowed"), "{found}");
    for command in ["lint --policy policy.json", "report --policy policy.json --output out.html"] {
        let ran = dir.command(&format!("audit {command} --log gone.jsonl")).run();
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{command}: {}", ran.stderr);
        assert!(ran.stderr.contains("the policy denies every request that the logs"), "{command}: {}", ran.stderr);
    }
    // The token was used, so it is not dropped.
    let other = line("hr.pay").replace("\"a\"", "\"b\"");
    let ran = dir.file("both.jsonl", line("hr.gone") + &other).command(&format!("{suggest} both.jsonl")).run();
    assert!(
        ran.code == 0 && ran.stdout.contains("used, but not its grants: unchanged"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}

#[test]
fn forecast_and_catalogs_of_policies_without_grants_state_the_reason() {
    let expired = POLICY.replace(
        "\"grants\": [",
        "\"expiration_date\": \"2020-01-01\", \"grants\": [{\"connection_name\": \"dw\", \"source\": \"hr.*\"}, ",
    );
    let dir = Dir::new().file("expired.json", expired).file("empty.json", r#"{"version": 1, "tokens": []}"#);
    let found = dir.command("audit forecast --policy expired.json").stdout(0);
    assert_eq!(found, "no patterns: no unexpired token has a grant of one that its APIs use\n");
    let dir = dir.file("names.csv", "connection,name\ndw,hr.p\n");
    let found = dir.command("audit exposure --policy empty.json --catalog names.csv --quiet").stderr();
    assert!(
        found.contains("`names.csv` has no name that counts, because the policy has no connection\nhelp: "),
        "{found}"
    );
}

/// A name with another number of segments than every grant says nothing about the grants.
#[test]
fn names_with_other_segments_lead_to_no_advice() {
    let names = "table_catalog,table_schema,table_name\nmydb,hr,stores\n";
    let dir = dir("").file("names.csv", names);
    let lint = "audit lint --policy policy.json --catalog names.csv --catalog-connection dw --quiet --format csv";
    let ran = dir.command(lint).run();
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(
        !ran.stdout.contains("resource_not_in_catalog") && !ran.stdout.contains("matches_nothing"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("cannot tell whether `mydb.hr.stores` is exposed"), "{}", ran.stderr);
}

#[test]
fn errors_of_routes_name_keys_of_the_file() {
    for (routes, error) in [
        ("[]", "expected an object with the key `routes`"),
        ("[null, [], []]", "expected an object with the key `routes`"),
        ("7", "expected an object with the key `routes`"),
        ("{\"routes\": [7]}", "expected an object with the key `path`"),
        ("{\"routes\": [[]]}", "expected an object with the key `path`"),
        (
            "{\"routes\": [{\"path\": \"/a/{connection}\", \"api\": \"sql\", \"sources\": [7]}]}",
            "expected an object with `typed` and `type`, or with `resource`, `query` or `query_or_named_source`",
        ),
    ] {
        let dir = Dir::new().file("routes.json", routes).file("http.jsonl", "");
        let found = dir.command("read --requests http.jsonl --routes routes.json").stderr();
        assert!(found.contains(error), "{routes}: {found}");
        for rust in ["struct", "enum", "RoutesJson", "RouteJson", "SourceRule", "untagged"] {
            assert!(!found.contains(rust), "{routes}: {found}");
        }
    }
}
