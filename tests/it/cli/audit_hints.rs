//! Hints of audits: names, tokens and connections that the policy does not have.

use super::util::Dir;

const POLICY: &str = r#"{"version": 1, "connections": [{"name": "carto_dw", "dialect": "postgres"}, {"name": "idle"}], "tokens": [
    {"id": "store-map", "token": "s3cret-a-long-enough-0001", "allowed_apis": ["maps"], "expiration_date": "2040-01-01", "grants": [
        {"connection_name": "carto_dw", "source": "acme.public.stores"}, {"connection_name": "carto_dw", "source": "acme.tiles.*"},
        {"connection_name": "carto_dw", "source": "open-orders"}]},
    {"id": "admin", "token": "s3cret-b-long-enough-0001", "allowed_apis": ["sql"], "expiration_date": "2040-01-01", "grants": [
        {"connection_name": "other", "source": "*"}]}]}"#;

#[test]
fn who_can_explains_names_that_no_grant_has() {
    let sources = "{\"name\": \"open-orders\", \"sql\": \"SELECT * FROM acme.public.orders\"}\n";
    let dir = Dir::new().file("policy.json", POLICY).file("sources.jsonl", sources);
    for (arguments, expected) in [
        (
            "--resource acme.public.*",
            "note: `*` in `acme.public.*` is a character of the name, not a wildcard\nhelp: give one name that the \
             pattern covers, such as `acme.public.a`; `portcullis audit exposure --catalog FILE` lists what tokens can \
             read\n",
        ),
        ("--resource acme.public.storse", "help: did you mean `acme.public.stores`?\n"),
        ("--resource acme.tilse.roads", "help: did you mean `acme.tiles.roads`?\n"),
        ("--resource acme.public.ordres", "help: did you mean `acme.public.orders`?\n"),
        ("--named-source open-order", "help: did you mean `open-orders`?\n"),
        ("--resource acme.hr.pay", ""),
        ("--resource acme.public.stores", ""),
        ("--resource acme.tiles.roads", ""),
    ] {
        let command =
            "audit who-can --policy policy.json --named-sources sources.jsonl --now 2026-11-24 --connection carto_dw";
        for format in ["table", "json", "csv"] {
            let ran = dir.command(&format!("{command} {arguments} --format {format}")).run();
            assert_eq!((ran.code, ran.stderr.as_str()), (0, expected), "{arguments}");
        }
    }
    let star = "audit who-can --policy policy.json --named-sources sources.jsonl --now 2026-11-24 --connection carto_dw --resource acme.tiles.*";
    let ran = dir.command(star).run();
    assert!(ran.stdout.ends_with("access: 1 token\n") && ran.stderr.starts_with("note: `*` in "), "{}", ran.stderr);
    let idle = dir.command("audit who-can --policy policy.json --connection idle --resource a.b").run();
    assert_eq!((idle.code, idle.stderr.as_str()), (0, "note: no token has a grant on `idle`\n"));
    // All sources cover the name, but no pattern does.
    let all =
        dir.command("audit who-can --policy policy.json --connection other --resource a.* --now 2026-11-24").run();
    assert!(
        all.stdout.ends_with("access: 1 token\n") && all.stderr.starts_with("note: `*` in `a.*`"),
        "{}",
        all.stderr
    );
}

/// Only the session of a connection knows the database of a name without one.
#[test]
fn who_can_refuses_names_with_other_segments_than_granted_names() {
    let sources = "{\"name\": \"open-orders\", \"sql\": \"SELECT * FROM acme.public.orders\"}\n";
    let dir = Dir::new().file("policy.json", POLICY).file("sources.jsonl", sources);
    let one = |name: &str| format!("note: `{name}` has one segment: no pattern covers it, only all sources (`*`) do\n");
    for (name, note, segments, help) in [
        ("stores", one("stores"), "1 segment", "did you mean `acme.public.stores` or `acme.tiles.stores`?"),
        ("orders", one("orders"), "1 segment", "did you mean `acme.public.orders` or `acme.tiles.orders`?"),
        ("public.stores", String::new(), "2 segments", "did you mean `acme.public.stores`?"),
        ("public.orders", String::new(), "2 segments", "did you mean `acme.public.orders`?"),
        ("tiles.roads", String::new(), "2 segments", "did you mean `acme.tiles.roads`?"),
        ("hr.pay", String::new(), "2 segments", "write the first segment of the name, too, such as `acme.hr.pay`"),
        ("prod.acme.public.stores", String::new(), "4 segments", "did you mean `acme.public.stores`?"),
    ] {
        let command =
            "audit who-can --policy policy.json --named-sources sources.jsonl --now 2026-11-24 --connection carto_dw";
        for format in ["table", "json", "csv"] {
            let ran = dir.command(&format!("{command} --resource {name} --format {format}")).run();
            let error = format!(
                "{note}error: cannot tell which tokens can read `{name}`: it has {segments}, and granted names on \
                 `carto_dw` have 3\nhelp: {help}\n"
            );
            assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (2, "", &*error), "{name}");
        }
    }
    // All sources certainly cover the name.
    let dir = Dir::new().file("policy.json", POLICY.replace("\"other\", \"source\"", "\"carto_dw\", \"source\""));
    let ran = dir.command("audit who-can --policy policy.json --connection carto_dw --resource public.stores").run();
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stdout.contains("admin") && ran.stdout.contains("access: 1 token"), "{}", ran.stdout);
    assert!(ran.stderr.contains("error: cannot tell which tokens can read `public.stores`"), "{}", ran.stderr);
}

#[test]
fn who_can_explains_queries_and_named_sources_that_no_grant_has() {
    const GRANTED: &str = r#"{"connections": [{"name": "dw", "dialect": "postgres"}, {"name": "idle"}], "tokens": [
        {"id": "map", "token": "s3cret-a-long-enough-0001", "allowed_apis": ["maps"], "expiration_date": "2040-01-01", "grants": [
            {"connection_name": "dw", "source": "SELECT id FROM stores WHERE a = 1"},
            {"connection_name": "dw", "source": "acme.public.stores"}, {"connection_name": "dw", "source": "open-orders"}]}]}"#;
    let dir = Dir::new().file("policy.json", GRANTED);
    let near = |how: &str, why: &str| {
        format!("note: the query differs {how} from granted `SELECT id FROM stores WHERE a = 1`\nhelp: {why}\n")
    };
    let (letters, space) = (
        "queries are compared letter by letter",
        "a run of white space equals one space, but not none; inside quotes and comments it is exact",
    );
    let other = |kind: &str, text: &str, option: &str| {
        format!("note: `{text}` is granted as a {kind}\nhelp: give it with `--{option}`\n")
    };
    for (connection, option, text, expected) in [
        ("dw", "--query", "select id from stores where a = 1", near("in letter case only", letters)),
        ("dw", "--query", "SELECT id FROM stores WHERE a=1", near("in white space only", space)),
        ("dw", "--query", "select id from stores where a=1", near("in white space and letter case only", space)),
        ("dw", "--query", "SELECT id FROM stores WHERE a = 2", near("in a few characters", letters)),
        ("dw", "--query", "SELECT  id\nFROM stores WHERE a = 1;", String::new()),
        ("dw", "--query", "open-orders", other("named source", "open-orders", "named-source")),
        ("dw", "--query", "acme.public.stores", other("resource", "acme.public.stores", "resource")),
        ("dw", "--named-source", "open-order", "help: did you mean `open-orders`?\n".to_owned()),
        ("idle", "--query", "SELECT 1", "note: no token has a grant on `idle`\n".to_owned()),
        ("idle", "--named-source", "open-orders", "note: no token has a grant on `idle`\n".to_owned()),
    ] {
        let command = "audit who-can --policy policy.json --now 2026-11-24 --connection";
        let ran = dir.command(&format!("{command} {connection} {option}")).arg(text).run();
        assert_eq!((ran.code, ran.stderr), (0, expected), "{text}");
    }
    for (text, help) in [
        (" acme.public.stores ", "help: write `acme.public.stores`\n"),
        ("'acme.public.stores'", "help: write `acme.public.stores`\n"),
        ("acme.public.stores;", "help: write `acme.public.stores`\n"),
        ("`acme`.`public`.`stores`", "help: write `\"acme\".\"public\".\"stores\"`\n"),
        ("SELECT 1", "help: give a query with `--query`\n"),
    ] {
        let command = "audit who-can --policy policy.json --connection dw --resource";
        let error = dir.command(command).arg(text).stderr();
        assert!(error.ends_with(help), "{text}: {error}");
    }
    // The table of another database is not the one without the link.
    let linked = "audit who-can --policy policy.json --connection dw --resource acme.public.stores@link";
    let error = dir.command(linked).stderr();
    assert!(error.contains("is not a valid name on `dw`") && !error.contains("help:"), "{error}");
}

#[test]
fn who_can_names_named_sources_of_the_registry() {
    let dir = Dir::new().file("policy.json", POLICY);
    dir.command("import policy.json --db sqlite:r.db --user ana").run();
    for (name, connection) in [("weekly-sales", "carto_dw"), ("idle-report", "idle")] {
        let create = format!("named-sources create {name} --db sqlite:r.db --user ana --connection {connection} --sql");
        dir.command(&create).arg("SELECT 1").stdout(0);
    }
    for (name, expected) in [
        ("weekly-sales", "note: named source `weekly-sales` exists, but no token has a grant of it\n"),
        ("weekly-sale", "help: did you mean `weekly-sales`?\n"),
        ("idle-report", "note: named source `idle-report` is on connection `idle` only\n"),
        ("open-order", "help: did you mean `open-orders`?\n"),
        ("open-orders", ""),
    ] {
        let command = "audit who-can --db sqlite:r.db --now 2026-11-24 --connection carto_dw --named-source";
        let ran = dir.command(&format!("{command} {name}")).run();
        assert_eq!((ran.code, ran.stderr.as_str()), (0, expected), "{name}");
    }
}

#[test]
fn unknown_connections_and_tokens_are_errors_with_the_nearest_name() {
    let dir =
        Dir::new().file("policy.json", POLICY).file("catalog.csv", "name\nacme.public.stores\n").file("log.jsonl", "");
    let connection = "the policy has no connection `carto_dv`: it has `carto_dw`, `idle`, `other`\nhelp: did you mean \
                      `carto_dw`?\n";
    let token = "the policy has no token `store_map`\nhelp: did you mean `store-map`?\n";
    for (command, expected) in [
        ("who-can --policy policy.json --connection carto_dv --resource a.b", connection),
        ("exposure --policy policy.json --catalog catalog.csv --connection carto_dv", connection),
        ("forecast --policy policy.json --connection carto_dv", connection),
        ("lint --policy policy.json --catalog catalog.csv --catalog-connection carto_dv", connection),
        ("diff policy.json policy.json --catalog catalog.csv --catalog-connection carto_dv", connection),
        (
            "report --policy policy.json --report out.html --catalog catalog.csv --catalog-connection carto_dv",
            connection,
        ),
        ("who-can --policy policy.json --token-leaked store_map", token),
        ("exposure --policy policy.json --catalog catalog.csv --token store_map", token),
        ("forecast --policy policy.json --token store_map", token),
    ] {
        assert_eq!(dir.command(&format!("audit {command}")).stderr(), format!("error: {expected}"), "{command}");
    }
    let unlike = dir.command("audit who-can --policy policy.json --token-leaked nobody").stderr();
    assert_eq!(unlike, "error: the policy has no token `nobody`\n");
}

#[test]
fn secret_in_the_place_of_an_id_is_not_repeated() {
    let dir = Dir::with_policy().file("catalog.csv", "connection,name\ndw,db.public.roads\n");
    for command in [
        "audit who-can --policy policy.json --token-leaked",
        "audit exposure --policy policy.json --catalog catalog.csv --token",
    ] {
        let error = dir.command(command).arg("s3cr3t-of-the-test").stderr();
        assert!(error.contains("expected the id of a token, found its secret\nhelp: write `tok`"), "{error}");
    }
}
