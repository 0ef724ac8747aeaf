//! Runs the commands of "The life of a token" in the README and compares their output.

use std::process::Command;

use super::Dir;

/// The first fenced block of `language` after `heading`.
fn block<'t>(text: &'t str, heading: &str, language: &str) -> &'t str {
    let (_, rest) = text.split_once(heading).unwrap();
    let (_, block) = rest.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0
}

/// Replaces the parts that change in every run: ids, instants, the user, and the width of columns.
fn masked(text: &str, user: &str) -> String {
    let ids = regex::Regex::new("tk_[0-9a-z]{10}").unwrap();
    let instants = regex::Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|in (6|7|29|30) days").unwrap();
    let text = instants.replace_all(&ids.replace_all(text, "tk_ID"), "NOW").into_owned();
    let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n").replace(&format!(" {user}"), " ana")
}

#[cfg(unix)]
#[test]
fn readme_shows_the_real_output() {
    let readme = std::fs::read_to_string(crate::repository().join("README.md")).unwrap();
    let script = block(&readme, "### The life of a token", "sh");
    let shown = block(&readme, "### The life of a token", "text");
    assert_eq!(script.matches("portcullis ").count(), 8, "eight commands");
    let dir = Dir::new();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_portcullis")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    // Without `-e`: `check` exits with 1 for a denial.
    shell.current_dir(dir.path("")).arg("-c").arg(script).env("PATH", path);
    let output = shell.env_remove("PORTCULLIS_POLICY").env_remove("PORTCULLIS_DB").output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let user = whoami::username().unwrap();
    assert_eq!((masked(&stdout, &user), stderr.as_str()), (masked(shown, "ana"), ""), "{stdout}");
}
