//! Errors have no words of the libraries and of the system below: no numbers of errors, no names of types, no messages of
//! SQLite, of the JSON library or of TLS.
#![cfg(unix)]

use super::util::{Dir, POLICY};

/// Words that no error may have.
const RAW: [&str; 40] = [
    "(os error",
    " at path \"",
    ".portcullis-",
    "expected value",
    "expected ident",
    "EOF while parsing",
    "invalid type:",
    "missing field",
    "unknown variant",
    "unknown field",
    "unable to open database",
    "file is not a database",
    "database disk image",
    "database is locked",
    "error returned from database",
    "invalid socket address",
    "invalid digit",
    "invalid float",
    "cannot parse integer",
    "provided string was not",
    "regex parse error",
    "relative URL without a base",
    "stream did not contain",
    "invalid utf-8",
    "failed to fill whole buffer",
    "failed to lookup",
    "nodename nor servname",
    "Name or service",
    "rustls",
    "reqwest",
    "hyper",
    "sqlx",
    "serde",
    "tokio",
    "Os {",
    "Custom {",
    "kind: ",
    "InvalidData",
    "Some(",
    "panicked",
];

/// Commands that read or write a file, with `@` for its path.
const COMMANDS: [&str; 35] = [
    "validate @",
    "check --policy @ --token-id tok --api lds --connection dw",
    "check --policy policy.json --requests @",
    "check --policy policy.json --named-sources @ --token-id geo --api lds",
    "compile --policy policy.json --output @/x",
    "compile --policy @ --output out.pcls",
    "inspect --policy @",
    "audit lint --policy @",
    "audit lint --policy policy.json --catalog @",
    "audit lint --policy policy.json --log @",
    "audit diff policy.json @",
    "audit report --policy policy.json --catalog names.csv --output @/x",
    "audit suggest --policy policy.json --log @",
    "audit exposure --policy policy.json --catalog @",
    "scan --policy policy.json --prefixes @",
    "scan --policy policy.json --baseline @ names.csv",
    "bench --policy policy.json --requests @ --seconds 0.01",
    "read --requests @",
    "read --requests names.csv --routes @",
    "connections list --db sqlite:@",
    "connections add y --db sqlite:@",
    "connections add y --db sqlite:@/x/y.db",
    "named-sources create open-orders --sql-file @ --db sqlite:new.db",
    "import @ --db sqlite:new.db",
    "import --from carto @ --db sqlite:new.db",
    "init @/x",
    "serve --listen 203.0.113.1:1 --policy @ --state-dir @/state",
    "serve --listen 203.0.113.1:1 --policy policy.json --tls-cert @ --tls-key @",
    "serve --listen 203.0.113.1:1 --policy policy.json --log @/log",
    "serve --listen unix:@/socket --admin 203.0.113.1:1 --policy policy.json",
    "workspace --listen 203.0.113.1:1 --db sqlite:@",
    "workspace --listen 203.0.113.1:1 --db sqlite:new.db --catalog @ --catalog-connection dw",
    "workspace --listen 203.0.113.1:1 --db sqlite:new.db --oidc-issuer https://a.example --oidc-client-id x --oidc-ca @",
    "workspace --listen 203.0.113.1:1 --db sqlite:new.db --oidc-issuer https://a.example --oidc-client-id x --oidc-client-secret-file @",
    "workspace --listen 203.0.113.1:1 --db sqlite:new.db --tls-cert @ --tls-key @",
];

/// Returns the first raw word in `text`.
fn raw(text: &str) -> Option<&'static str> {
    RAW.into_iter().find(|word| text.contains(word))
}

#[test]
fn errors_of_files_have_no_words_of_libraries() {
    let long = "x".repeat(300);
    for file in
        ["missing", "folder", "cut.json", "wrong.json", "binary", "empty", "odd.pem", "fake.db", "text", "loop", &long]
    {
        let dir = Dir::new()
            .file("policy.json", POLICY)
            .file("names.csv", "connection,name\ndw,public.roads\n")
            .file("cut.json", "{")
            .file("wrong.json", "[tru, 1]")
            .file("binary", [0xff, 0xfe, 0x00, 0x9f])
            .file("empty", "")
            .file("odd.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
            .file("fake.db", b"SQLite format 3\0 and more")
            .file("text", "no policy, no database and no key, although it is longer than the header of each of them\n");
        std::fs::create_dir(dir.path("folder")).unwrap();
        std::os::unix::fs::symlink("loop", dir.path("loop")).unwrap();
        for command in COMMANDS {
            let ran = dir.command(&command.replace('@', file)).run();
            let said = format!("{}{}", ran.stdout, ran.stderr);
            assert_eq!(raw(&said.replace(file, "FILE")), None, "{command} with {file}: {said}");
        }
    }
}

#[test]
fn errors_of_values_have_no_words_of_libraries() {
    let dir = Dir::with_policy();
    for command in [
        "serve --policy policy.json --listen x",
        "serve --policy policy.json --listen 1.2.3:80",
        "serve --policy policy.json --listen a..b:80",
        "serve --policy policy.json --public-url https://[::1",
        "serve --policy policy.json --cors-origin https://[",
        "serve --policy policy.json --max-body x",
        "serve --policy policy.json --drain x",
        "connections list --db postgres://[::1",
        "connections list --db postgres://host.invalid/x",
        "connections list --db postgres://127.0.0.1:1/x",
        "connections list --db postgres://127.0.0.1:x/x",
        "credentials create token --apis lds --db sqlite:new.db --expiration-date x",
        "credentials create token --apis lds --db sqlite:new.db --referers https://[",
        "check --policy policy.json --token-id geo --api lds --now x",
    ] {
        let said = dir.command(command).stderr();
        assert_eq!(raw(&said), None, "{command}: {said}");
    }
}

#[test]
fn an_unknown_host_of_a_database_is_reported_as_such() {
    let dir = Dir::new();
    for url in ["postgres://host.invalid/x", "postgres://ana@host.invalid:5433/x?sslmode=disable"] {
        let error = dir.command(&format!("connections list --db {url}")).stderr();
        assert!(error.contains(": its host name has no address\nhelp: check the spelling of the host"), "{error}");
    }
    let error = dir.command("connections list --db postgres://127.0.0.1:1/x").stderr();
    assert!(error.contains(": connection refused\nhelp: check host and port"), "{error}");
}
