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
    for log in [line("other", allow) + &line("a", allow), line("a", deny)] {
        let ran = dir("").file("log.jsonl", &log).command("audit suggest --policy policy.json --log log.jsonl").run();
        assert_eq!(ran.code, 0, "{log}: {}", ran.stderr);
    }
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
