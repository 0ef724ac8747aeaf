//! Help, completions, manual pages, version.

use super::util::Dir;

const COMMANDS: [&str; 17] = [
    "init",
    "digest",
    "compile",
    "read",
    "validate",
    "check",
    "inspect",
    "bench",
    "credentials",
    "connections",
    "named-sources",
    "backup",
    "export",
    "import",
    "trail",
    "completions",
    "man",
];

#[test]
fn help_shows_every_command_and_each_has_examples() {
    let dir = Dir::new();
    let help = dir.command("--help").env("COLUMNS", "80").stdout(0);
    for command in COMMANDS {
        assert!(help.contains(&format!("\n  {command} ")), "{command} in {help}");
        let own = dir.command(&format!("{command} --help")).env("COLUMNS", "80").stdout(0);
        assert!(own.contains("Examples:\n  ") && own.contains(&format!("  portcullis {command} ")), "{own}");
        assert!(own.lines().all(|line| line.chars().count() <= 80), "{own}");
    }
    // Without a command the help is an error message.
    let none = dir.command("").run();
    assert_eq!((none.code, none.stdout.as_str()), (2, ""));
    assert!(none.stderr.contains("Usage: portcullis"));
}

#[test]
fn check_warns_about_secrets_in_arguments() {
    let help = Dir::new().command("check -h").env("COLUMNS", "80").stdout(0);
    for part in ["Policy:", "One request:", "Many requests:", "visible to other users", "[env: PORTCULLIS_POLICY]"] {
        assert!(help.contains(part), "{part}: {help}");
    }
}

#[test]
fn version_equals_the_package_version() {
    let version = format!("portcullis {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(Dir::new().command("--version").stdout(0), version);
}

#[test]
fn completions_and_manual_pages_are_complete() {
    let dir = Dir::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(dir.command(&format!("completions {shell}")).stdout(0).contains("portcullis"), "{shell}");
    }
    assert!(
        dir.command("completions tcsh").stderr().contains("[possible values: bash, elvish, fish, powershell, zsh]")
    );
    assert!(dir.command("man").stdout(0).contains(".TH portcullis 1"));
    assert_eq!(dir.command("man --dir pages/man1").stdout(0), "");
    for command in COMMANDS {
        assert!(dir.path(&format!("pages/man1/portcullis-{command}.1")).exists(), "{command}");
    }
}

#[test]
fn unknown_command_suggests_the_nearest() {
    let stderr = Dir::new().command("chekc").stderr();
    assert!(stderr.contains("a similar subcommand exists: 'check'"), "{stderr}");
}
