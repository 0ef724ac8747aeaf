//! Registries that do not exist: only commands that create something create one.

use super::Dir;

/// Every command that reads or changes a registry, and creates nothing.
const COMMANDS: [&str; 26] = [
    "trail",
    "trail --format json --all-users",
    "export",
    "backup copy.db",
    "connections list",
    "connections get dw",
    "connections update dw --dialect bigquery",
    "connections delete dw",
    "named-sources list",
    "named-sources get open-orders",
    "named-sources update open-orders --sql x",
    "named-sources delete open-orders",
    "credentials list",
    "credentials list tokens",
    "credentials get token map",
    "credentials update token map --apis sql",
    "credentials update spa Atlas --title Globe",
    "credentials update m2m Night --title Day",
    "credentials delete token map",
    "credentials revoke spa Atlas",
    "credentials rotate token map",
    "credentials prune",
    "inspect",
    "audit lint",
    "audit who-can --connection dw --resource a.b",
    "check --requests -",
];

/// Commands that create something.
const CREATING: [&str; 5] = [
    "connections add dw",
    "named-sources create open-orders --sql x",
    "credentials create token --apis lds",
    "credentials create spa --title Atlas",
    "import policy.json",
];

#[test]
fn only_commands_that_create_something_create_a_registry() {
    let empty = Dir::with_policy();
    for args in COMMANDS {
        for (variable, option) in [("sqlite:new.db", ""), ("", "--db sqlite:new.db"), ("", "--db sqlite:./new.db")] {
            let error = empty.command(&format!("{args} {option}")).env("PORTCULLIS_DB", variable).stderr();
            assert!(error.contains("new.db` does not exist\nhelp: `portcullis connections add NAME --db "), "{error}");
        }
        let error = empty.command(&format!("{args} --db sqlite:folder/new.db")).stderr();
        assert!(error.contains("`folder/new.db` does not exist, nor does its folder `folder`\n"), "{args}: {error}");
    }
    let files: Vec<_> = std::fs::read_dir(empty.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["policy.json"], "a command created a file");
    for args in CREATING {
        let dir = Dir::with_policy();
        let ran = dir.ana(args).run();
        assert!(ran.code == 0 && dir.path("registry.db").exists(), "{args}: {}", ran.stderr);
    }
}

/// The home directory of the default registry.
#[cfg(unix)]
#[test]
fn default_registry_is_created_only_by_commands_that_create_something() {
    let dir = Dir::new();
    let home = dir.path("home");
    let home = home.to_str().unwrap();
    let at_home = |args: &str| dir.command(args).env("XDG_DATA_HOME", home).env("HOME", home);
    let error = at_home("credentials list").stderr();
    assert!(error.contains("portcullis/registry.db` does not exist, nor does its folder `"), "{error}");
    assert!(!dir.path("home").exists());
    at_home("connections add dw --user ana").stdout(0);
    assert_eq!(at_home("credentials list tokens").stdout(0), "none\n");
}

#[test]
fn files_next_to_a_missing_registry_are_suggested() {
    for (files, asked, suggested) in [
        (&["registry.db"][..], "registri.db", Some("registry.db")),
        (&["registry.db", "other.db"], "registry", Some("registry.db")),
        (&["tokens.db", "policy.json"], "registry.db", Some("tokens.db")),
        (&["a.db", "b.db"], "registry.db", None),
        (&["policy.json"], "registry.db", None),
        (&["data/registry.db"], "data/registy.db", Some("data/registry.db")),
    ] {
        let dir = files.iter().fold(Dir::new(), |dir, file| {
            std::fs::create_dir_all(dir.path(file).parent().unwrap()).unwrap();
            dir.file(file, "")
        });
        let error = dir.command(&format!("trail --db sqlite:{asked}")).stderr();
        let creation = format!("`portcullis connections add NAME --db sqlite:{asked}` creates it\n");
        let meant = suggested.map_or_else(String::new, |name| format!("did you mean `sqlite:{name}`? "));
        assert_eq!(
            error,
            format!("error: the registry `{asked}` does not exist\nhelp: {meant}{creation}"),
            "{files:?}"
        );
    }
}

#[test]
fn a_folder_has_the_url_of_its_registry_or_the_command_that_makes_one() {
    for (files, help) in [
        (&["d/registry.db"][..], "/d/registry.db`\n"),
        (&["d/other.db"], "/d/other.db`\n"),
        (&[], "help: it has no registry: `portcullis connections add NAME --db sqlite:"),
    ] {
        let dir = Dir::new();
        std::fs::create_dir(dir.path("d")).unwrap();
        let dir = files.iter().fold(dir, |dir, file| dir.file(file, ""));
        let error = dir.command("trail --db sqlite:d").stderr();
        assert!(error.contains("d` is a folder\n") && error.contains(help), "{files:?}: {error}");
    }
}

#[test]
fn unexpanded_home_is_rejected_with_a_valid_url() {
    let dir = Dir::new();
    for (url, fix) in [
        ("sqlite:~/x.db", "write `\"sqlite:$HOME/x.db\"`"),
        ("sqlite://~/a/x.db", "write `\"sqlite:$HOME/a/x.db\"`"),
        ("sqlite:~ana/x.db", "write `sqlite:/home/ana/x.db`"),
        ("~/x.db", "write `\"sqlite:$HOME/x.db\"`"),
        ("sqlite:~", "write `\"sqlite:$HOME/registry.db\"`"),
        ("sqlite:$HOME/x.db", "write `\"sqlite:$HOME/x.db\"`"),
        ("sqlite:${HOME}/a/x.db", "write `\"sqlite:${HOME}/a/x.db\"`"),
        ("sqlite:$XDG_STATE_HOME/x.db", "write `\"sqlite:$XDG_STATE_HOME/x.db\"`"),
        ("$HOME/x.db", "write `\"sqlite:$HOME/x.db\"`"),
        ("sqlite:$HOME", "write `\"sqlite:$HOME/registry.db\"`"),
    ] {
        for args in ["trail --db", "connections add dw --db", "check --requests - --db", "import policy.json --db"] {
            let dir = Dir::with_policy();
            let error = dir.command(args).arg(url).stderr();
            assert!(error.contains("was not expanded by the shell") && error.contains(fix), "{args} {url}: {error}");
            let created = ["~", "~ana", "$HOME", "${HOME}", "$XDG_STATE_HOME"].map(|name| dir.path(name).exists());
            assert_eq!(created, [false; 5], "{args} {url}");
        }
    }
    // A folder or a file with such a name is reachable.
    for folder in ["~", "a~"] {
        std::fs::create_dir(dir.path(folder)).unwrap();
    }
    for url in ["sqlite:./~/x.db", "sqlite:~x.db", "sqlite:a~/x.db"] {
        dir.command("connections add dw --user ana --db").arg(url).stdout(0);
    }
    assert!(dir.path("~/x.db").exists() && dir.path("~x.db").exists());
}

#[test]
fn errors_never_repeat_keys_and_passwords_of_a_url() {
    let dir = Dir::with_policy();
    for url in [
        "sqlite:registry.db?key=hunter2",
        "sqlite:///srv/registry.db?mode=ro&key=hunter2",
        "registry.db?key=hunter2",
        "sqlite:registry.db#hunter2",
        "sqlite://ana:hunter2@host/registry.db",
        "//ana:hunter2@host/registry.db",
        "mysql://ana:hunter2@host/db",
        "postgres://ana:hunter2@host/db",
    ] {
        for args in ["trail", "compile --output x.pcls", "check --requests -", "audit lint", "connections add dw"] {
            let error = dir.command(args).arg("--db").arg(url).stderr();
            assert!(!error.contains("hunter2"), "{args} {url}: {error}");
        }
    }
}
