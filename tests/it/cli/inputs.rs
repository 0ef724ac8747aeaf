//! Files that are not what a command expects, and every way to name one.

use std::fs::File;
use std::io::Write;

use super::util::{Dir, POLICY, data};

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once('\u{feff}').chain(text.chars()).map(|character| character as u16);
    units.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn foreign_files_are_named_with_the_command_that_converts_them() {
    let cases: [(&str, Vec<u8>, &str, &str); 10] = [
        ("gzip", gzip("{}"), "found gzip data", "decompress it with `gunzip`"),
        ("zstd", zstd::encode_all(&b"{}"[..], 1).unwrap(), "found zstd data", "decompress it with `unzstd`"),
        ("zip", b"PK\x03\x04\x14\0\0\0".to_vec(), "found a zip archive", "extract it with `unzip`"),
        ("utf16", utf16(POLICY), "found UTF-16 text", "convert it with `iconv -f UTF-16 -t UTF-8`"),
        ("sqlite", b"SQLite format 3\0\x10\0".to_vec(), "found an SQLite database", "`--db sqlite:FILE`"),
        ("html", b"<!DOCTYPE html><html>".to_vec(), "found HTML or XML", "download the file itself"),
        ("binary", b"\x7fELF\x02\x01\0".to_vec(), "found binary data", "a file with text in UTF-8"),
        ("parquet", b"PAR1\x15\x04".to_vec(), "found a Parquet file", "convert it to JSON Lines"),
        ("pdf", b"%PDF-1.7\n%\xe2\xe3".to_vec(), "found a PDF document", "a file with text in UTF-8"),
        (
            "pointer",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n".to_vec(),
            "found a Git LFS pointer",
            "download the file itself with `git lfs pull`",
        ),
    ];
    let commands = [
        "validate FILE",
        "inspect --policy FILE",
        "check --policy FILE --requests none",
        "check --policy policy.json --requests FILE",
        "bench --policy policy.json --requests FILE",
        "read --requests FILE",
        "read --requests none --routes FILE",
        "audit lint --policy FILE",
        "audit exposure --policy policy.json --catalog policy.json --named-sources FILE",
        "import FILE --db sqlite:registry.db --user ana",
        "named-sources create fleet --sql-file FILE --db sqlite:registry.db --user ana",
        "scan --prefixes FILE policy.json",
        "scan --baseline FILE policy.json",
    ];
    let mut dir = Dir::with_policy();
    for (name, bytes, ..) in &cases {
        dir = dir.file(name, bytes);
    }
    for (name, _, found, help) in &cases {
        for command in commands {
            // Requests are decompressed: `request_files`.
            if command.ends_with("--requests FILE") && matches!(*name, "gzip" | "zstd") {
                continue;
            }
            let error = dir.command(&command.replace("FILE", name)).stderr();
            assert!(error.contains(found) && error.contains(help), "{command} {name}: {error}");
        }
    }
}

#[test]
fn larger_files_are_refused_before_they_are_read() {
    let dir = Dir::with_policy();
    for (file, bytes) in [("settings", (16_u64 << 20) + 1), ("baseline", (256 << 20) + 1), ("policy", (2 << 30) + 1)] {
        // The files have holes: they need no space.
        File::create(dir.path(file)).unwrap().set_len(bytes).unwrap();
    }
    // A device has no end.
    for (command, limit) in [
        ("validate policy", "2.0 GiB"),
        ("inspect --policy policy", "2.0 GiB"),
        ("check --policy policy --requests none", "2.0 GiB"),
        ("audit lint --policy policy", "2.0 GiB"),
        ("import policy --db sqlite:registry.db --user ana", "2.0 GiB"),
        ("read --requests none --routes settings", "16.0 MiB"),
        ("read --requests none --routes /dev/zero", "16.0 MiB"),
        ("serve --policy policy.json --listen 127.0.0.1:0 --admin 127.0.0.1:0 --routes settings", "16.0 MiB"),
        ("serve --policy policy.json --listen 127.0.0.1:0 --admin 127.0.0.1:0 --routes /dev/zero", "16.0 MiB"),
        ("audit exposure --policy policy.json --catalog policy.json --named-sources settings", "16.0 MiB"),
        ("audit exposure --policy policy.json --catalog policy.json --named-sources /dev/zero", "16.0 MiB"),
        ("named-sources create fleet --sql-file settings --db sqlite:registry.db --user ana", "16.0 MiB"),
        ("scan --prefixes settings policy.json", "16.0 MiB"),
        ("scan --prefixes /dev/zero policy.json", "16.0 MiB"),
        ("scan --baseline baseline policy.json", "256.0 MiB"),
    ] {
        let error = dir.command(command).stderr();
        assert!(error.contains(&format!("it has more than {limit}")), "{command}: {error}");
    }
}

#[test]
fn json_of_validate_names_the_format_and_the_fix() {
    let dir = Dir::new();
    let text = dir.command("validate --format json -").stdin(gzip("{}")).run().stdout;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["file"], &json["valid"]), (&"<stdin>".into(), &false.into()));
    let diagnostic = &json["diagnostics"][0];
    assert_eq!(diagnostic["message"], "cannot read `<stdin>`: expected JSON, found gzip data");
    assert_eq!(diagnostic["help"], "decompress it with `gunzip`");
}

#[test]
fn other_notations_of_a_policy_are_named() {
    for (text, found) in [
        ("version: 1\ntokens:\n  - id: a\n", "found YAML; help: convert it with `yq -o json`"),
        ("[[tokens]]\nid = \"a\"\n", "found TOML; help: convert it with `yq -p toml -o json`"),
        ("id,token_sha256\na,00\n", "found CSV; help: write it as JSON: a table holds no definitions"),
    ] {
        let error = Dir::new().file("policy", text).command("check --policy policy --requests none").stderr();
        assert!(error.contains(found), "{error}");
    }
}

/// A message of a server is not a document in another notation.
#[test]
fn one_line_of_text_is_only_not_json() {
    for text in ["404: Not Found", "error: not found\n", "Not Found, or moved\n"] {
        let text = Dir::new().file("policy", text).command("validate policy").stdout(1);
        assert!(text.contains("json_syntax") && !text.contains("yq"), "{text}");
    }
}

#[test]
fn names_of_other_things_are_explained() {
    let dir = Dir::with_policy();
    for (args, error) in [
        (
            "inspect --policy https://ana:s3cr3t-of-the-test@example.com/policy.json?key=s3cr3t-of-the-test",
            "expected a path, found a URL with the scheme `https:`\nhelp: download the file, and write its path",
        ),
        ("inspect --policy sqlite:registry.db", "it is the URL of a registry; help: name it with `--db`"),
        ("inspect --policy .", "cannot read `.`: it is a folder; help: name a file in it"),
        ("check --policy policy.json --requests https://example.com/r", "it is a URL; help: download the file"),
        ("audit suggest --policy policy.json --log .", "it is a folder"),
    ] {
        let found = dir.command(args).stderr();
        assert!(found.contains(error), "{args}: {found}");
    }
}

#[test]
fn byte_order_marks_are_accepted_in_every_file() {
    let marked = |text: &str| format!("\u{feff}{text}");
    let request = r#"{"token": "s3cr3t-of-the-test", "api": "sql", "connection": "dw", "query": "SELECT 1"}"#;
    let routes = r#"{"routes": [{"path": "/data/{connection}/{source}", "api": "sql", "operation": "model"}]}"#;
    let dir = Dir::new()
        .file("policy.json", marked(POLICY))
        .file("requests.jsonl", marked(request))
        .file("http.jsonl", marked(r#"{"method": "GET", "url": "/data/dw/a.b"}"#))
        .file("routes.json", marked(routes))
        .file("sources.jsonl", marked(r#"{"name": "daily", "sql": "SELECT * FROM public.roads"}"#))
        .file("catalog.csv", marked("connection,name\ndw,public.roads\n"))
        .file("daily.sql", marked("SELECT 1"));
    for (args, output) in [
        ("validate policy.json", "policy.json: valid"),
        ("check --policy policy.json --requests requests.jsonl -q", "\"decision\":\"allow\""),
        ("read --requests http.jsonl --routes routes.json -q", "\"api\":\"sql\""),
        (
            "audit exposure --policy policy.json --catalog catalog.csv --named-sources sources.jsonl -q",
            "1 of 1 names exposed",
        ),
        (
            "named-sources create fleet --sql-file daily.sql --db sqlite:r.db --user ana --format json",
            "\"query\": \"SELECT 1\"",
        ),
    ] {
        let ran = dir.command(args).run();
        assert_eq!(ran.code, 0, "{args}: {}", ran.stderr);
        assert!(ran.stdout.contains(output), "{args}: {}", ran.stdout);
    }
}

#[test]
fn standard_input_is_read_by_one_option() {
    let source = r#"{"name": "daily", "sql": "SELECT 1"}"#;
    let routes = r#"{"routes": []}"#;
    let log = &data("logs/log.jsonl").lines().next().unwrap().replace(r#""token_id":"map""#, r#""token_id":"tok""#);
    let log = &log.replace("acme.tiles.a", "public.roads");
    let dir = Dir::with_policy();
    for (args, stdin, error) in [
        (
            "audit exposure --policy policy.json --catalog - --named-sources -",
            source,
            "`--named-sources -` and `--catalog -` both read standard input: name a file for one of them",
        ),
        (
            "audit lint --policy policy.json --log - --catalog /dev/stdin",
            log,
            "`--log -` and `--catalog -` both read standard input: name a file for one of them",
        ),
        (
            "audit suggest --policy - --log /dev/stdin",
            POLICY,
            "`--policy -` and `--log -` both read standard input: name a file for one of them",
        ),
        ("read --requests - --routes -", routes, "`--routes -` and `--requests -` both read standard input"),
        ("validate - /dev/stdin", POLICY, "`-` is given more than once: standard input can be read only once"),
        ("inspect --policy - /dev/fd/0", POLICY, "`-` is given more than once: standard input can be read only once"),
        ("audit diff - /dev/stdin", POLICY, "`-` is given twice: standard input can be read only once"),
        ("audit lint --policy policy.json --log - -", log, "`-` is given more than once"),
    ] {
        let ran = dir.command(args).stdin(stdin).run();
        assert_eq!(ran.code, 2, "{args}");
        assert!(ran.stderr.contains(error), "{args}: {}", ran.stderr);
    }
}

#[cfg(unix)]
#[test]
fn pipes_are_read_wherever_files_are() {
    let lines = "{\"id\": \"one\", \"token\": \"s-1\", \"allowed_apis\": [\"lds\"]}\n{\"id\": \"two\", \"token\": \"s-2\", \"allowed_apis\": [\"lds\"]}\n";
    let dir = Dir::with_policy()
        .file("lines.jsonl", lines)
        .file("catalog.csv", "connection,name\ndw,public.roads\n")
        .file("http.jsonl", "{\"method\": \"GET\", \"url\": \"/data/dw/a.b\"}\n")
        .file("routes.json", r#"{"routes": [{"path": "/data/{connection}/{source}", "api": "sql"}]}"#);
    assert_eq!(dir.command("compile --policy lines.jsonl --output policy.pcls").run().code, 0);
    for (script, output) in [
        ("check --policy <(cat lines.jsonl) --token s-1 --api lds", "allow, token `one`"),
        ("check --policy <(cat lines.jsonl) <(cat policy.json) --token s-2 --api lds", "allow, token `two`"),
        ("check --policy /dev/stdin --token s-2 --api lds < <(cat lines.jsonl)", "allow, token `two`"),
        ("check --policy <(cat policy.pcls) --token s-1 --api lds", "allow, token `one`"),
        ("check --policy - --token s-1 --api lds < policy.pcls", "allow, token `one`"),
        ("audit who-can --policy <(cat policy.json) --connection dw --resource public.roads", "tok"),
        ("audit diff <(cat policy.json) <(cat policy.json)", ""),
        ("audit exposure --policy policy.json --catalog <(cat catalog.csv) -q", "1 of 1 names exposed"),
        ("read --requests <(cat http.jsonl) --routes <(cat routes.json) -q", "\"api\":\"sql\""),
        ("validate <(cat policy.json)", "valid"),
    ] {
        let mut bash = std::process::Command::new("bash");
        bash.current_dir(dir.path("")).env_remove("PORTCULLIS_POLICY").env_remove("PORTCULLIS_DB");
        bash.args(["-c", &format!("'{}' {script}", env!("CARGO_BIN_EXE_portcullis"))]);
        let ran = bash.output().unwrap();
        let stderr = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(0), "{script}: {stderr}");
        assert!(String::from_utf8_lossy(&ran.stdout).contains(output), "{script}: {stderr}");
    }
}

#[test]
fn digests_are_computed_only_of_bare_secrets() {
    let dir = Dir::new();
    let digest = |text: &str| dir.command("digest").stdin(text);
    let expected = digest("s3cr3t-of-the-test").stdout(0);
    assert_eq!(digest("s3cr3t-of-the-test\r\n").stdout(0), expected);
    for (text, error) in [
        ("\u{feff}s3cr3t-of-the-test", "starts with a byte order mark"),
        (" s3cr3t-of-the-test\n", "has blanks around the secret"),
        ("s3cr3t-of-the-test\t", "has blanks around the secret"),
        ("s3cr3t-of-the-test\u{a0}", "has blanks around the secret"),
        ("Bearer s3cr3t-of-the-test", "starts with `Bearer `: leave it out"),
        ("bearer\ts3cr3t-of-the-test", "starts with `Bearer `: leave it out"),
        ("Authorization: Bearer s3cr3t-of-the-test", "is a header"),
        ("s\x003\0", "expected one secret, found UTF-16 text; help: convert it with `iconv -f UTF-16 -t UTF-8`\n"),
        (
            "s\0\0\x003\0\0\0",
            "expected one secret, found UTF-32 text; help: convert it with `iconv -f UTF-32 -t UTF-8`\n",
        ),
        ("s3cr3t-of-the-test\0", "expected one secret, found binary data\nhelp: pipe the text of the secret"),
        ("\x7fELF\x02\x01\x01\0\0", "expected one secret, found binary data\nhelp: pipe the text of the secret"),
        ("s3cr3t of the test", "no `Authorization` header carries the secret: it has a blank"),
        ("s3cr3t,of,the,test", "it has a comma"),
        ("s3cr3t-öf-the-test", "it has a character beyond ASCII"),
        ("s3cr3t\u{7f}of-the-test", "it has a control character"),
    ] {
        let found = digest(text).stderr();
        assert!(found.contains(error), "{text:?}: {found}");
    }
    for (bytes, error) in [
        (&b"\xff\xfes\x003\0"[..], "found UTF-16 text; help: convert it with `iconv -f UTF-16 -t UTF-8`\n"),
        (b"\xff\xfes\0\xe9\0", "found UTF-16 text; help: convert it with `iconv -f UTF-16 -t UTF-8`\n"),
        (b"\x1f\x8b\x08\0\0", "found binary data\nhelp: pipe the text of the secret"),
        (b"s3cr3t\xe9", "found binary data\nhelp: pipe the text of the secret"),
    ] {
        let found = dir.command("digest").stdin(bytes).stderr();
        assert!(found.contains(error), "{bytes:?}: {found}");
    }
    for text in ["\u{feff}s3cr3t-of-the-test-geo", "s3cr3t-of-the-test-geo \n", "Bearer s3cr3t-of-the-test-geo"] {
        let dir = Dir::with_policy();
        let error = dir.command("check --policy policy.json --api lds --token-stdin").stdin(text).stderr();
        assert!(error.contains("standard input"), "{text:?}: {error}");
    }
}

/// Equal errors of many tokens stay readable, in every command that loads documents.
#[test]
fn errors_are_cut_and_counted() {
    let tokens: Vec<String> = (0..5_000)
        .map(|number| format!(r#"{{"id": "t{number}", "token": "secret-{number}", "allowed_apis": ["map"]}}"#))
        .collect();
    let dir = Dir::new().file("p.json", format!("[{}]", tokens.join(",\n"))).file("p.jsonl", tokens.join("\n"));
    for file in ["p.json", "p.jsonl"] {
        let text = dir.command(&format!("validate {file}")).stdout(1);
        assert!(text.ends_with("invalid, 5,000 errors (20 shown), 0 warnings\n"), "{text}");
        assert_eq!(text.matches("unknown API").count(), 20);
        let json = dir.command(&format!("validate --format json {file}")).stdout(1);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((json["errors"].as_u64(), json["cut"].as_bool()), (Some(5_000), Some(true)));
        assert_eq!(json["diagnostics"].as_array().unwrap().len(), 20);
        for (option, shown, rest) in [("", 20, "4,980"), ("--max-errors 3", 3, "4,997"), ("--max-errors 1", 1, "4,999")]
        {
            let error = dir.command(&format!("inspect --policy {file} {option}")).stderr();
            assert_eq!(error.matches("unknown API").count(), shown, "{option}: {error}");
            let rest = format!("{rest} errors not shown; `--max-errors 5000` shows all");
            assert!(error.contains(&rest), "{option}: {error}");
            assert!(error.contains("the policy has 5,000 errors and was not loaded"), "{option}: {error}");
        }
    }
    let all = dir.command("validate --max-errors 5000 --format json p.json").stdout(1);
    assert!(!all.contains("\"cut\""));
}
