//! A directory of files, and commands that run in it.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// The secret of a token in [`POLICY`], and the prefix of the others. No output may contain it.
pub(super) const SECRET: &str = "s3cr3t-of-the-test";

/// A small policy: `tok` may read tables of `dw` from one site; `lds` is for location services.
pub(super) const POLICY: &str = r#"{
  "connections": [{"name": "dw", "dialect": "postgres"}],
  "tokens": [
    {
      "id": "tok", "token": "s3cr3t-of-the-test", "allowed_apis": ["maps", "sql"],
      "grants": [
        {"connection_name": "dw", "source": "public.roads"},
        {"connection_name": "dw", "source": "SELECT 1"},
        {"connection_name": "dw", "source": "daily", "type": "named_source"}
      ],
      "expiration_date": "2040-01-01"
    },
    {"id": "geo", "token": "s3cr3t-of-the-test-geo", "allowed_apis": ["lds"]}
  ]
}
"#;

/// The text of a file in `tests/data`.
pub(super) fn data(name: &str) -> String {
    std::fs::read_to_string(crate::repository().join("tests/data").join(name)).unwrap()
}

/// A temporary directory of one test.
pub(super) struct Dir {
    dir: tempfile::TempDir,
}

impl Dir {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// A directory that holds [`POLICY`] as `policy.json`.
    pub(super) fn with_policy() -> Self {
        Self::new().file("policy.json", POLICY)
    }

    pub(super) fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.path(name), text).unwrap();
        self
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `portcullis` with these arguments, split at white space, without the environment variables that it reads.
    pub(super) fn command(&self, args: &str) -> TestCommand {
        self.command_in("", args)
    }

    /// Like [`command`](Self::command), in a folder of the directory.
    pub(super) fn command_in(&self, folder: &str, args: &str) -> TestCommand {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.current_dir(self.path(folder)).args(args.split_whitespace());
        for name in ["PORTCULLIS_POLICY", "PORTCULLIS_DB", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        TestCommand { command, stdin: Vec::new() }
    }
}

/// One run of the command.
pub(super) struct TestCommand {
    command: Command,
    stdin: Vec<u8>,
}

impl TestCommand {
    pub(super) fn arg(mut self, arg: &str) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds these arguments, split at white space.
    pub(super) fn args(mut self, args: &str) -> Self {
        self.command.args(args.split_whitespace());
        self
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.stdin = text.into();
        self
    }

    /// Runs the command, and checks that no output has the secret.
    pub(super) fn run(mut self) -> Ran {
        let command = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let text = self.stdin;
        // The command may end without reading.
        let writer = std::thread::spawn(move || stdin.write_all(&text).is_ok());
        let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert!(!stdout.contains(SECRET), "a secret on standard output: {stdout}");
        assert!(!stderr.contains(SECRET), "a secret on standard error: {stderr}");
        Ran { code: status.code().unwrap(), stdout, stderr }
    }

    /// Runs the command, expects this exit code and an empty standard error, and returns standard output.
    #[track_caller]
    pub(super) fn stdout(self, code: i32) -> String {
        let Ran { code: found, stdout, stderr } = self.run();
        assert_eq!((found, stderr.as_str()), (code, ""), "{stdout}");
        stdout
    }

    /// Runs the command, expects exit code 2 and an empty standard output, and returns standard error.
    #[track_caller]
    pub(super) fn stderr(self) -> String {
        let Ran { code, stdout, stderr } = self.run();
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        stderr
    }
}

/// The result of a run.
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}
