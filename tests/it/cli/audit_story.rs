//! The console blocks of `docs/audit.md` show the real output.

use std::path::Path;
use std::process::Command;

const GUIDE: &str = include_str!("../../../docs/audit.md");

#[test]
fn console_blocks_match_the_output() {
    let root = crate::repository();
    let bin = Path::new(env!("CARGO_BIN_EXE_portcullis")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut count = 0;
    for block in GUIDE.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for shown in block.split("$ ").skip(1) {
            let (command, expected) = shown.split_once('\n').unwrap();
            let mut shell = Command::new("sh");
            shell.args(["-c", command]).current_dir(root.join("examples/audit")).env("PATH", &path);
            for name in ["PORTCULLIS_POLICY", "PORTCULLIS_DB", "CLICOLOR_FORCE"] {
                shell.env_remove(name);
            }
            let output = shell.output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "$ {command}");
            assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "$ {command}");
            count += 1;
        }
    }
    assert!(count >= 4, "{count} commands");
}
