//! Changes that a new registry rejects leave no file and no folder; URLs that name no registry have a valid fix.

use super::Dir;

/// Commands that would create a registry, and that it rejects.
const REJECTED: [&str; 11] = [
    "connections add dw --dialect nosuch",
    "connections add dw --dialect bigquery --case-sensitive",
    "connections add -- ''",
    "named-sources create X --sql x",
    "named-sources create open-orders --sql ' '",
    "named-sources create open-orders --sql x --connection gone",
    "credentials create token --apis maps",
    "credentials create token --apis nosuch",
    "credentials create token --apis lds --referer nonsense",
    "credentials create spa --title Atlas --callback nonsense",
    "import wrong.json",
];

fn entries(dir: &Dir) -> Vec<String> {
    let entries = std::fs::read_dir(dir.path("")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn rejected_changes_leave_no_registry() {
    for args in REJECTED {
        // Without `--db`, the folders of the registry are made, too.
        for db in [&["--db", "sqlite:new.db"][..], &["--db", "sqlite:folder/below/new.db"], &[]] {
            let dir = Dir::new().file("wrong.json", r#"[{"id": "a"}]"#);
            let home = dir.path("home");
            let command = dir.command(&args.replace("''", "a\u{7}b")).env("XDG_DATA_HOME", home.to_str().unwrap());
            let ran = db.iter().fold(command, |command, word| command.arg(word)).run();
            assert_ne!(ran.code, 0, "{args}: {}", ran.stdout);
            assert_eq!(entries(&dir), ["wrong.json"], "{args} {db:?}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_mistyped_folder_is_not_made_and_the_command_in_the_help_makes_it() {
    for args in
        ["connections add dw", "named-sources create open-orders --sql x", "credentials create token --apis lds"]
    {
        let dir = Dir::new();
        let line = format!("{args} --db sqlite:no/such/new.db");
        let error = dir.command(&line).stderr();
        assert!(error.contains("error: cannot make `no/such/new.db`: its folder does not exist\n"), "{args}: {error}");
        assert!(entries(&dir).is_empty(), "{args}");
        let help = error.split("help: make the folder first: `").nth(1).unwrap().split('`').next().unwrap();
        let made = std::process::Command::new("sh").args(["-c", help]).current_dir(dir.path("")).status().unwrap();
        assert!(made.success(), "{help}");
        dir.command(&line).stdout(0);
        assert!(dir.path("no/such/new.db").exists(), "{args}");
    }
}

#[test]
fn folders_that_were_there_and_other_files_are_kept() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path("folder")).unwrap();
    dir.command("connections add dw --db sqlite:folder/below/new.db").stderr();
    assert_eq!(entries(&dir), ["folder"]);
    assert!(!dir.path("folder/below").exists());
    // An empty file is not made by the command.
    let dir = dir.file("folder/mine.db", "");
    dir.command("connections add dw --dialect nosuch --db sqlite:folder/mine.db").stderr();
    assert!(dir.path("folder/mine.db").exists());
}

#[test]
fn registry_with_a_change_is_kept_after_a_rejected_one() {
    let dir = Dir::with_registry();
    assert_ne!(dir.ana("connections add dw").run().code, 0, "it exists");
    assert_eq!(dir.ana("connections list --format json").stdout(0).matches("\"dw\"").count(), 1);
}

#[test]
fn urls_that_name_no_registry_have_a_valid_fix() {
    let dir = Dir::new().file("notes.txt", "not a database, but longer than its mark").file("empty.db", "");
    std::fs::create_dir(dir.path("folder")).unwrap();
    let example = "such as `sqlite:registry.db`";
    for (url, fix) in [
        ("", example),
        (" ", example),
        ("/dev/null", example),
        ("sqlite:/dev/null", example),
        ("sqlite:", example),
        ("notes.txt", example),
        ("new/", example),
        (".", "help: write `sqlite:./registry.db`"),
        ("folder", "help: write `sqlite:folder/registry.db`"),
        ("folder/", "help: write `sqlite:folder/registry.db`"),
        ("sqlite:folder", "folder/registry.db`"),
        ("new.db", "help: write `sqlite:new.db`"),
        ("empty.db", "help: write `sqlite:empty.db`"),
    ] {
        for command in ["connections add dw", "connections list"] {
            let error = dir.command(command).arg("--db").arg(url).stderr();
            assert!(
                error.trim_end().ends_with(fix.trim_end()) || error.contains(fix),
                "{command} --db {url:?}: {error}"
            );
            assert_eq!(entries(&dir), ["empty.db", "folder", "notes.txt"], "{command} --db {url:?}");
        }
        let proposed = fix.split('`').nth(1).unwrap();
        if proposed.starts_with("sqlite:") {
            let fresh = Dir::new();
            std::fs::create_dir(fresh.path("folder")).unwrap();
            fresh.command("connections add dw").arg("--db").arg(proposed).stdout(0);
        }
    }
}

#[test]
fn connection_that_no_request_names_is_added_with_a_warning() {
    let dir = Dir::new();
    for name in ["a/b", "..", "a;b"] {
        let ran = dir.ana("connections add").arg(name).run();
        let warning = format!("warning: no path of an HTTP request names connection `{name}`: ");
        assert!(ran.code == 0 && ran.stderr.starts_with(&warning), "{name}: {}", ran.stderr);
    }
    assert_eq!(dir.ana("connections add dw").run().stderr, "");
}

#[test]
fn secrets_in_the_wrong_option_are_not_repeated() {
    const SECRET: &str = "pcl_tk_0123456789ABCDEFGHIJKLMNOPQRSTUV3ueDXv";
    let dir = Dir::new();
    dir.command("connections add dw --db sqlite:r.db --user ana").stdout(0);
    for args in [
        format!("credentials create token --apis {SECRET} --connection dw --source a.b"),
        format!("credentials create token --apis maps --connection dw --source {SECRET}"),
        format!("credentials create token --apis maps --connection {SECRET} --source a.b"),
        format!("credentials create token --apis maps --connection dw --source a.b --referer {SECRET}"),
        format!("credentials create token --apis maps --connection dw --source a.b --expiration-date {SECRET}"),
        format!("credentials update token {SECRET} --name x"),
        format!("named-sources create {SECRET} --sql x"),
    ] {
        let ran = dir.command(&format!("{args} --db sqlite:r.db --user ana")).run();
        assert!(ran.code != 0 && !ran.stderr.contains("0123456789ABCDEF"), "{args}: {}", ran.stderr);
    }
}

#[test]
fn statement_as_a_source_gets_advice_for_the_command_line() {
    let dir = Dir::new();
    dir.command("connections add dw --db sqlite:r.db --user ana").stdout(0);
    let create = "credentials create token --apis sql --connection dw --db sqlite:r.db --user ana --source";
    let ran = dir.command(create).arg("delete from hr.x where a").run();
    let error = ran.stderr;
    assert!(ran.code != 0 && error.contains("help: write a query that begins with `select`, "), "{error}");
    assert!(!error.contains("write the type"), "{error}");
    dir.command(create).arg("select * from hr.x where a").stdout(0);
}
