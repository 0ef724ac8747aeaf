//! What a terminal of any width shows.
#![cfg(target_os = "linux")]

use std::process::{Command, Stdio};

use super::util::{Dir, POLICY};

/// Runs the command on a terminal with this number of columns, and returns its lines without colors.
fn shown(dir: &Dir, columns: usize, args: &str) -> Vec<String> {
    let script = format!("stty rows 24 cols {columns}; exec '{}' {args} 2>/dev/null", env!("CARGO_BIN_EXE_portcullis"));
    let mut command = Command::new("script");
    command.args(["-qec", &script, "/dev/null"]).current_dir(dir.path("")).stdin(Stdio::null());
    let output = command.env("TERM", "xterm").env_remove("COLUMNS").env_remove("NO_COLOR").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let colors = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    colors.replace_all(&text, "").lines().map(|line| line.trim_end().to_owned()).collect()
}

fn widest(lines: &[String]) -> usize {
    lines.iter().map(|line| line.chars().count()).max().unwrap_or_default()
}

#[test]
fn tables_fit_the_terminal() {
    let long = POLICY.replacen("\"id\": \"", &format!("\"id\": \"{}", "long-".repeat(30)), 1);
    assert_ne!(long, POLICY);
    let dir = Dir::new().file("policy.json", &long).file("catalog.csv", "connection,name\ndw,public.roads\n");
    for command in [
        "audit who-can --policy policy.json --connection dw --resource public.roads",
        "audit exposure --policy policy.json --catalog catalog.csv",
    ] {
        for columns in [40, 60, 80, 120] {
            let lines = shown(&dir, columns, command);
            let tables: Vec<_> = lines.iter().filter(|line| line.contains("  ")).cloned().collect();
            assert!(tables.len() > 1, "{lines:?}");
            assert!(widest(&tables) <= columns, "{columns}: {lines:?}");
        }
        // Nothing is cut where there is room.
        assert!(shown(&dir, 300, command).join("\n").contains(&"long-".repeat(30)));
    }
}

#[test]
fn help_wraps_at_the_width_of_the_terminal() {
    let dir = Dir::new();
    for command in ["audit exposure --help", "serve --help", "credentials create token --help"] {
        for columns in [60, 72] {
            let lines = shown(&dir, columns, command);
            // Usage and examples are not wrapped: they are copied.
            let is_description = |line: &&String| line.len() - line.trim_start().len() == 10;
            let described: Vec<_> = lines.iter().filter(is_description).cloned().collect();
            assert!(described.len() > 10 && widest(&described) <= columns, "{columns}: {described:?}");
            assert!(widest(&described) > columns - 12, "the width is used: {described:?}");
        }
        // Wide lines are hard to read.
        assert!(widest(&shown(&dir, 200, command)) <= 80, "{command}");
    }
}
