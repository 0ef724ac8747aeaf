//! Output files are never one of the inputs, and are written completely or not at all.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::util::{Dir, POLICY};

const CATALOG: &str = "connection,name\ndw,public.roads\n";
const SOURCES: &str = "{\"name\": \"daily\", \"sql\": \"SELECT 1\"}\n";

const USAGE: &str = r#"{"log":1,"time":"2026-11-24T00:00:00Z","token_id":"geo","api":"lds","decision":"allow","ns":1}"#;

#[test]
fn unexpanded_home_of_an_output_is_rejected_with_a_valid_path() {
    let dir = Dir::with_policy();
    for folder in ["~", "$HOME", "${HOME}"] {
        fs::create_dir(dir.path(folder)).unwrap();
        for command in ["init", "compile --policy policy.json --output", "audit report --policy policy.json --output"] {
            let error = dir.command(command).arg(&format!("{folder}/x")).stderr();
            let fix = format!("write `\"{}/x\"`; a folder that is named", folder.replace('~', "$HOME"));
            assert!(
                error.contains("in the path was not expanded by the shell\nhelp: ") && error.contains(&fix),
                "{command}: {error}"
            );
            let error = dir.command("serve --policy policy.json --state-dir").arg(&format!("{folder}/x")).stderr();
            assert!(error.contains("'--state-dir <DIR>': ") && error.contains(&fix), "{error}");
            let path = format!("{folder}/policy.json");
            let error = dir.command("inspect").env("PORTCULLIS_POLICY", &path).stderr();
            assert!(error.starts_with("error: invalid value of `PORTCULLIS_POLICY`: "), "{error}");
            let listen = format!("unix:{folder}/x.sock");
            for (command, variable) in
                [("serve --policy policy.json", "PORTCULLIS_LISTEN"), ("workspace", "PORTCULLIS_WORKSPACE")]
            {
                let error = dir.command(command).env(variable, &listen).stderr();
                assert!(error.contains("in the path of the socket was not expanded by the shell\nhelp: "), "{error}");
            }
        }
        assert!(fs::read_dir(dir.path(folder)).unwrap().next().is_none());
    }
    dir.command("init ./~/x").stdout(0);
}

/// Creates a directory with one file for each kind of input.
fn inputs() -> Dir {
    let dir = Dir::with_policy().file("shadow.json", POLICY).file("catalog.csv", CATALOG);
    let dir = dir.file("sources.jsonl", SOURCES).file("usage.jsonl", USAGE).file("routes.json", "{}");
    for (name, option) in [("tls.pem", ""), ("tls.key", ""), ("ca.pem", "")] {
        fs::write(dir.path(name), option).unwrap();
    }
    dir.command("connections add dw --db sqlite:registry.db --user ana").stdout(0);
    dir
}

/// The bytes of every file, by name.
fn contents(dir: &Dir) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir.path("")).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.path().is_file());
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Runs a shell script, in which `$P` is the command.
fn shell(dir: &Dir, script: &str) -> Output {
    let mut command = Command::new("bash");
    command.current_dir(dir.path("")).args(["-c", script]).env("P", env!("CARGO_BIN_EXE_portcullis"));
    command.env_remove("PORTCULLIS_DB").env_remove("PORTCULLIS_POLICY").stdin(Stdio::null()).output().unwrap()
}

const COMPILE: &str = "compile --policy policy.json --output";
const REPORT: &str = "audit report --policy policy.json --catalog catalog.csv --log usage.jsonl \
                      --named-sources sources.jsonl --report";
const SERVE: &str = "serve --policy policy.json --shadow shadow.json --routes routes.json --state-dir state \
                     --tls-cert tls.pem --tls-key tls.key --client-ca ca.pem --log";

/// Commands that end with their output option, and their inputs.
const COMMANDS: [(&str, &[&str]); 5] = [
    (COMPILE, &["policy.json"]),
    ("compile --db sqlite:registry.db --output", &["registry.db", "registry.db-wal", "registry.db-shm"]),
    (REPORT, &["policy.json", "catalog.csv", "usage.jsonl", "sources.jsonl"]),
    (
        SERVE,
        &[
            "policy.json",
            "shadow.json",
            "routes.json",
            "tls.pem",
            "tls.key",
            "ca.pem",
            "state/policy.json",
            "state/lock",
        ],
    ),
    ("serve --db sqlite:registry.db --log", &["registry.db", "registry.db-wal", "registry.db-shm"]),
];

#[test]
fn output_never_overwrites_an_input() {
    for (command, files) in COMMANDS {
        for file in files {
            let dir = inputs();
            fs::create_dir(dir.path("folder")).unwrap();
            symlink(".", dir.path("here")).unwrap();
            symlink(file, dir.path("link")).unwrap();
            symlink("link", dir.path("links")).unwrap();
            let exists = dir.path(file).exists();
            if exists {
                fs::hard_link(dir.path(file), dir.path("hard")).unwrap();
            }
            let before = contents(&dir);
            let absolute = dir.path(file).display().to_string();
            let mut names = vec![
                (*file).to_owned(),
                format!("./{file}"),
                format!("folder/../{file}"),
                format!("here/{file}"),
                absolute,
            ];
            if exists {
                names.extend(["link", "links", "hard", "here/hard"].map(ToOwned::to_owned));
            }
            for name in names {
                let error = dir.command(command).arg(&name).stderr();
                assert!(error.starts_with(&format!("error: cannot write `{name}`: ")), "{command} {name}: {error}");
                assert!(error.contains("reads"), "{command} {name}: {error}");
                assert_eq!(contents(&dir), before, "{command} {name}");
            }
        }
    }
}

#[test]
fn standard_streams_never_overwrite_an_input() {
    for script in [
        "$P compile --policy - --output policy.json < policy.json",
        "$P compile --policy /dev/stdin --output policy.json < policy.json",
        "$P compile --policy /proc/self/fd/3 --output policy.json 3< policy.json",
        "$P compile --policy policy.json --output - >> policy.json",
        "$P compile --policy policy.json --output /dev/stdout >> policy.json",
        "$P compile --policy policy.json --output /dev/fd/3 3>> policy.json",
        "$P audit report --policy policy.json --catalog - --report catalog.csv < catalog.csv",
        "$P audit report --policy policy.json --report - >> policy.json",
        "$P check --policy policy.json --requests usage.jsonl >> usage.jsonl",
        "$P check --policy policy.json --requests - < usage.jsonl >> usage.jsonl",
        "$P read --requests usage.jsonl >> usage.jsonl",
        "$P audit exposure --policy policy.json --catalog catalog.csv >> catalog.csv",
        "$P audit exposure --policy policy.json --catalog - < catalog.csv >> catalog.csv",
        "$P check --policy policy.json --requests usage.jsonl >> policy.json",
        "$P check --policy policy.json --token-env P --api lds >> policy.json",
        "$P check --policy - --token-env P --api lds < policy.json >> policy.json",
        "$P check --db sqlite:registry.db --token-env P --api lds >> registry.db",
        "$P bench --policy policy.json --requests usage.jsonl >> usage.jsonl",
        "$P inspect --policy policy.json >> policy.json",
        "$P validate policy.json >> policy.json",
        "$P validate - < policy.json >> policy.json",
        "$P validate --db sqlite:registry.db >> registry.db",
        "$P audit lint --policy policy.json >> policy.json",
        "$P audit lint --policy policy.json --log usage.jsonl >> usage.jsonl",
        "$P audit suggest --policy policy.json --log usage.jsonl --format json >> policy.json",
        "$P audit suggest --policy policy.json --log usage.jsonl >> usage.jsonl",
        "$P audit diff policy.json shadow.json >> shadow.json",
        "$P audit who-can --policy policy.json --connection dw --resource a.b >> policy.json",
        "$P audit forecast --policy policy.json >> policy.json",
        "$P audit exposure --policy policy.json --catalog catalog.csv --named-sources sources.jsonl >> sources.jsonl",
        "$P read --requests usage.jsonl --routes routes.json >> routes.json",
        "$P export --db sqlite:registry.db --user ana 1<> registry.db",
        "$P export --db sqlite:registry.db --user ana >> registry.db",
        "$P trail --db sqlite:registry.db >> registry.db",
        "$P connections list --db sqlite:registry.db >> registry.db",
        "$P credentials list tokens --db sqlite:registry.db --user ana >> registry.db",
        "$P import policy.json --db sqlite:registry.db --user ana >> policy.json",
        "$P named-sources create daily --sql-file policy.json --db sqlite:registry.db --user ana >> policy.json",
        "$P scan catalog.csv --format json >> catalog.csv",
        "$P scan . shadow.json --format sarif >> shadow.json",
        "$P scan - < catalog.csv >> catalog.csv",
        "$P scan routes.json --baseline baseline.json --format json >> baseline.json",
        "$P scan routes.json --baseline - --format json < baseline.json >> baseline.json",
        "$P scan routes.json --prefixes prefixes.txt >> prefixes.txt",
        "$P scan routes.json --policy policy.json >> policy.json",
        "$P scan routes.json --policy policy.json --catalog catalog.csv >> catalog.csv",
        "$P scan routes.json --db sqlite:registry.db >> registry.db",
        "$P digest < prefixes.txt >> prefixes.txt",
        "$P check --policy policy.json --token-stdin --api lds < prefixes.txt >> prefixes.txt",
    ] {
        let dir = inputs().file("baseline.json", r#"{"findings": []}"#).file("prefixes.txt", "acme_");
        let before = contents(&dir);
        let ran = shell(&dir, script);
        let error = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.code() == Some(2) && error.contains("cannot write "), "{script}: {error}");
        assert_eq!(contents(&dir), before, "{script}");
    }
}

#[test]
fn failure_keeps_the_old_output() {
    for (broken, command) in [
        // The policy is broken, the catalog is broken, or the disk is full.
        ("echo '{' > policy.json", "$P compile --policy policy.json --output out"),
        ("echo '{' > policy.json", "$P audit report --policy policy.json --report out"),
        ("echo 'a,b' > catalog.csv", "$P audit report --policy policy.json --catalog catalog.csv --report out"),
        ("trap '' XFSZ; ulimit -f 0", "$P compile --policy policy.json --output out"),
        ("trap '' XFSZ; ulimit -f 0", "$P audit report --policy policy.json --report out"),
        ("trap '' XFSZ; ulimit -f 0", "$P man --dir ."),
    ] {
        let dir = inputs();
        assert!(shell(&dir, command).status.success(), "{command}");
        let old = |name: &str| fs::read(dir.path(name)).ok();
        let before = ["out", "portcullis.1"].map(old);
        let script = format!("{broken}; {command}");
        let ran = shell(&dir, &script);
        assert_eq!(ran.status.code(), Some(2), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
        assert!(before.iter().any(Option::is_some) && ["out", "portcullis.1"].map(old) == before, "{script}");
        let left: Vec<_> = contents(&dir).into_keys().filter(|name| name.starts_with('.')).collect();
        assert_eq!(left, Vec::<String>::new(), "{script}");
    }
}

#[test]
fn output_replaces_only_files_of_its_own_format() {
    let report = "audit report --policy policy.json --title x --output";
    for (command, other, format) in
        [(COMPILE, report, "a compiled policy"), (report, COMPILE, "a report of portcullis")]
    {
        let dir = inputs().file("p2.json", POLICY).file("keep.txt", "notes").file("short", "P").file("empty", "");
        let dir = dir.file("page.html", "<!DOCTYPE html><title>x</title>portcullis audit report");
        dir.command(other).arg("other").run();
        symlink("keep.txt", dir.path("link")).unwrap();
        fs::hard_link(dir.path("keep.txt"), dir.path("hard")).unwrap();
        let before = contents(&dir);
        for name in ["p2.json", "keep.txt", "short", "page.html", "other", "link", "hard", "catalog.csv"] {
            let error = dir.command(command).arg(name).stderr();
            let want = format!(
                "error: cannot write `{name}`: it exists and is not {format}\nhelp: name another file, or remove it\n"
            );
            assert_eq!(error, want, "{command}");
            assert_eq!(contents(&dir), before, "{command} {name}");
        }
        // Nothing is lost in an empty file, and the second run replaces the output of the first.
        for _ in 0..2 {
            dir.command(command).arg("empty").run();
            assert!(fs::read(dir.path("empty")).unwrap().len() > 100, "{command}");
        }
    }
    let dir = Dir::new().file("portcullis.1", "notes");
    let error = dir.command("man --dir .").stderr();
    assert!(error.contains("`./portcullis.1`: it exists and is not a manual page of portcullis\nhelp: "), "{error}");
    assert_eq!(fs::read_to_string(dir.path("portcullis.1")).unwrap(), "notes");
}

#[test]
fn replaced_file_keeps_permissions_and_links() {
    for command in [COMPILE, REPORT] {
        let dir = inputs();
        fs::create_dir(dir.path("folder")).unwrap();
        dir.command(command).arg("out").run();
        // A byte at the end marks the old file.
        let old = [fs::read(dir.path("out")).unwrap(), b"\n".to_vec()].concat();
        fs::write(dir.path("out"), &old).unwrap();
        fs::set_permissions(dir.path("out"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("../out", dir.path("folder/link")).unwrap();
        fs::hard_link(dir.path("out"), dir.path("old")).unwrap();
        dir.command(command).arg("folder/link").run();
        let mode = |name: &str| fs::metadata(dir.path(name)).unwrap().mode() & 0o777;
        assert!(fs::symlink_metadata(dir.path("folder/link")).unwrap().is_symlink(), "{command}");
        assert_ne!(fs::read(dir.path("out")).unwrap(), old, "{command}");
        assert!(mode("out") == 0o640 && fs::read(dir.path("old")).unwrap() == old, "{command}");
        // The umask applies to a new file.
        shell(&dir, &format!("umask 027; $P {command} new"));
        assert_eq!(mode("new"), 0o640, "{command}");
        symlink("made", dir.path("dangling")).unwrap();
        dir.command(command).arg("dangling").run();
        assert!(dir.path("made").is_file() && fs::symlink_metadata(dir.path("dangling")).unwrap().is_symlink());
    }
}

#[test]
fn pipes_devices_and_descriptors_are_written_directly() {
    let dir = inputs();
    let file = |command: &str| {
        dir.command(command).arg("expected").run();
        let written = fs::read(dir.path("expected")).unwrap();
        // Neither command replaces the output of the other.
        fs::remove_file(dir.path("expected")).unwrap();
        written
    };
    let compiled = file(COMPILE);
    let report = "audit report --policy policy.json --title x --report";
    let page = file(report);
    for (command, expected) in [(COMPILE, &compiled), (report, &page)] {
        for script in [
            "$P COMMAND - > got 2> summary",
            "$P COMMAND /dev/stdout > got 2> summary",
            "$P COMMAND /dev/fd/1 > got 2> summary",
            "$P COMMAND /dev/stdout 2> summary | cat > got",
            "$P COMMAND /dev/fd/3 3> got",
            "$P COMMAND /proc/self/fd/3 3> got",
            "ln -s /dev/stdout link; $P COMMAND link > got 2> summary; rm link",
            "$P COMMAND >(cat > got; echo > done); while [ ! -e done ]; do sleep 0.01; done; rm done",
            "mkfifo pipe; cat pipe > got & $P COMMAND pipe; wait; test -p pipe; rm pipe",
            "printf before > got; $P COMMAND /dev/fd/3 3>> got; tail -c +7 got > rest; mv rest got",
        ] {
            let script = script.replace("COMMAND", command);
            let ran = shell(&dir, &script);
            assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
            // The page has the time of its creation.
            let text = |bytes: &[u8]| bytes.iter().copied().filter(|byte| !byte.is_ascii_digit()).collect::<Vec<_>>();
            let got = fs::read(dir.path("got")).unwrap();
            assert!(text(&got) == text(expected), "{script}: something else was written");
            fs::remove_file(dir.path("got")).unwrap();
        }
        let ran = shell(&dir, &format!("$P {command} /dev/full"));
        assert_eq!(ran.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&ran.stderr).contains("cannot write `/dev/full`"));
        assert!(shell(&dir, &format!("$P {command} /dev/null")).status.success() && !Path::new("/dev/null").is_file());
    }
    assert!(!dir.path("-").exists());
    let summary = fs::read_to_string(dir.path("summary")).unwrap();
    assert_eq!(summary, "", "the report has no summary");
    let ran = dir.command(COMPILE).arg("folder/").run();
    assert_eq!(ran.code, 2);
    fs::create_dir(dir.path("folder")).unwrap();
    for command in [COMPILE, report] {
        let error = dir.command(command).arg("folder").stderr();
        assert!(error.starts_with("error: cannot write `folder`: "), "{error}");
    }
}

#[test]
fn manual_pages_do_not_follow_links() {
    let dir = inputs().file("notes", "old contents");
    fs::create_dir(dir.path("man")).unwrap();
    dir.command("man --dir man").stdout(0);
    let page = fs::read(dir.path("man/portcullis.1")).unwrap();
    dir.command("man --dir man").stdout(0);
    assert_eq!(fs::read(dir.path("man/portcullis.1")).unwrap(), page);
    assert!(dir.path("man/portcullis-audit-lint.1").exists());
    fs::remove_file(dir.path("man/portcullis-serve.1")).unwrap();
    symlink("../notes", dir.path("man/portcullis-serve.1")).unwrap();
    let error = dir.command("man --dir man").stderr();
    assert!(error.starts_with("error: cannot write `man/portcullis-serve.1`: "), "{error}");
    assert_eq!(fs::read_to_string(dir.path("notes")).unwrap(), "old contents");
}

#[test]
fn serve_never_overwrites_its_policy() {
    let dir = Dir::with_policy();
    let before = contents(&dir);
    let error = dir.command("serve --policy policy.json --state-dir .").stderr();
    assert!(error.contains("cannot write `./policy.json`"), "{error}");
    assert_eq!(contents(&dir), before);
    // The policy does not exist yet.
    fs::remove_file(dir.path("policy.json")).unwrap();
    for name in ["policy.json", "./policy.json"] {
        let error = dir.command("serve --policy policy.json --log").arg(name).stderr();
        assert!(error.contains("reads"), "{error}");
    }
    assert!(!dir.path("policy.json").exists());
}

#[test]
fn serve_never_removes_its_inputs_from_the_state_directory() {
    let compiled = format!("policy-{}.pcls", "0".repeat(64));
    for name in [&*compiled, ".policy-x.new"] {
        let dir = inputs();
        fs::create_dir(dir.path("state")).unwrap();
        fs::copy(dir.path("policy.json"), dir.path("state").join(name)).unwrap();
        symlink("state", dir.path("same")).unwrap();
        symlink(format!("state/{name}"), dir.path("link")).unwrap();
        let paths =
            [format!("state/{name}"), format!("same/../state/{name}"), format!("same/{name}"), "link".to_owned()];
        for path in &paths {
            for options in [
                "--policy",
                "--policy policy.json --shadow",
                "--policy policy.json --routes",
                "--policy policy.json --tls-key tls.key --tls-cert",
                "--policy policy.json --log",
            ] {
                let error = dir.command("serve --state-dir state").args(options).arg(path).stderr();
                assert!(error.starts_with(&format!("error: cannot use `{path}`: ")), "{options} {path}: {error}");
                let kept = fs::read(dir.path("state").join(name)).unwrap();
                assert_eq!(kept, POLICY.as_bytes(), "{options} {path}");
            }
        }
    }
}
