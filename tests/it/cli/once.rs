//! Secrets that are shown once: a command that cannot show its secret fails.
#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

use super::util::Dir;

/// Runs a script in which `$P` is the command.
fn sh(dir: &Dir, script: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(dir.path("")).env("P", env!("CARGO_BIN_EXE_portcullis"));
    shell.env_remove("PORTCULLIS_POLICY").env("PORTCULLIS_DB", "sqlite:registry.db");
    shell.stdin(Stdio::null()).output().unwrap()
}

/// Outputs that nobody reads: a full disk, and a reader that is gone.
const LOST: [&str; 2] = ["$P {} > /dev/full", "{ sleep 0.5; $P {}; echo $? > code; } | true; exit $(cat code)"];

#[cfg(target_os = "linux")]
#[test]
fn init_without_a_reader_writes_no_policy() {
    for lost in LOST {
        let dir = Dir::new();
        let output = sh(&dir, &lost.replace("{}", "init first.json"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{lost}: {stderr}");
        assert!(stderr.contains("the secret of the token was not shown, so the policy was not written"), "{stderr}");
        assert!(!dir.path("first.json").exists(), "{lost}: a policy whose secret nobody knows");
    }
}

/// The command waits for a full pipe, while its reader replaces the policy and ends.
#[cfg(target_os = "linux")]
#[test]
fn init_without_a_reader_keeps_a_file_that_replaced_its_policy() {
    let dir = Dir::new().file("other.json", "other");
    let output = sh(
        &dir,
        "{ head -c 65536 /dev/zero; $P init first.json; echo $? > code; } | \
         { while [ ! -s first.json ]; do sleep 0.01; done; mv other.json first.json; }; exit $(cat code)",
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("the secret of the token was not shown"), "{stderr}");
    assert_eq!(std::fs::read_to_string(dir.path("first.json")).unwrap(), "other");
}

#[cfg(target_os = "linux")]
#[test]
fn lost_secret_is_an_error_that_names_the_way_to_another() {
    for lost in LOST {
        for args in [
            "credentials create token --name map --apis lds",
            "credentials create token --name map --apis lds --quiet",
            "credentials create token --name map --apis lds --format json",
        ] {
            let dir = Dir::new();
            let output = sh(&dir, &lost.replace("{}", args));
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{args}: {stderr}");
            let (_, fix) = stderr.split_once("help: `portcullis ").unwrap();
            let fix = fix.split('`').next().unwrap();
            let rotated = sh(&dir, &format!("$P {fix} --quiet"));
            assert!(rotated.status.success() && rotated.stdout.starts_with(b"pcl_tk_"), "{fix}: {rotated:?}");
            let rotated = sh(&dir, &lost.replace("{}", "credentials rotate token map"));
            assert_eq!(rotated.status.code(), Some(2));
            let machine = sh(&dir, &lost.replace("{}", "credentials create m2m --title Night"));
            let stderr = String::from_utf8(machine.stderr).unwrap();
            assert!(machine.status.code() == Some(2) && stderr.contains("credentials delete m2m m2m_"), "{stderr}");
        }
    }
}

#[test]
fn first_policy_is_private_under_any_umask() {
    for umask in ["000", "022", "077", "277"] {
        let dir = Dir::new();
        assert!(sh(&dir, &format!("umask {umask}; $P init")).status.success());
        let mode = std::fs::metadata(dir.path("policy.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{umask}");
    }
}

#[test]
fn init_rejects_standard_output_as_its_file() {
    let dir = Dir::new();
    let error = dir.command("init -").stderr();
    assert!(error.contains("name a file, as in `portcullis init policy.json`"), "{error}");
    assert!(!dir.path("-").exists());
    dir.command("init ./-").stdout(0);
    assert!(dir.path("-").exists(), "a file of this name can be named by its path");
}
