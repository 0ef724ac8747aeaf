//! The rules for paths in options: a home directory or variable that the shell did not expand is refused, and a URL with
//! a password, which no message may repeat.

use std::any::TypeId;
use std::path::PathBuf;

use clap::Command;
use clap::builder::{PathBufValueParser, TypedValueParser};
use portcullis::base::{Escaped, unexpanded_home};
use portcullis_secret::without_passwords;

/// Adds the rule to every option and argument of `command` and of its subcommands that is a path.
pub(super) fn with_rule(command: Command) -> Command {
    command.mut_subcommands(with_rule).mut_args(|arg| {
        if arg.get_value_parser().type_id() == TypeId::of::<PathBuf>() {
            arg.value_parser(PathBufValueParser::new().try_map(expanded))
        } else {
            arg
        }
    })
}

/// Parses the path of a file, or the URL of a registry.
pub(super) fn path_or_url(text: &str) -> Result<String, String> {
    check(text).map(|()| text.to_owned())
}

/// Returns `path`, unless the shell did not expand it or it is a URL with a password. The shell expands only text.
pub(super) fn expanded(path: PathBuf) -> Result<PathBuf, String> {
    without_password(&path.to_string_lossy())?;
    path.to_str().map_or(Ok(()), check)?;
    Ok(path)
}

/// Refuses a URL with a password in the place of a file.
fn without_password(path: &str) -> Result<(), String> {
    if without_passwords(path) == path {
        return Ok(());
    }
    let scheme = path.split_once(':').map_or("", |(scheme, _)| scheme);
    let help = match &*scheme.to_lowercase() {
        "http" | "https" => "download the file, and write its path",
        "postgres" | "postgresql" => {
            "write the path of a file; if a database is meant, give its password as `PGPASSWORD`, or the whole URL as \
             `PORTCULLIS_DB` (`--db`) or `PORTCULLIS_CATALOG` (`workspace --catalog`)"
        }
        _ => "write the path of a file, such as `./data.json`",
    };
    Err(format!("expected a path, found a URL with the scheme `{}:`\nhelp: {help}", Escaped::whole(scheme)))
}

fn check(path: &str) -> Result<(), String> {
    let quoted = |text: &str| format!("`{}`", Escaped::whole(text));
    match unexpanded_home(path, "the path", "", "", quoted) {
        Some([message, help]) => Err(format!("{message}\nhelp: {help}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::any::TypeId;
    use std::path::PathBuf;

    use clap::error::ErrorKind;
    use clap::{Arg, Command};

    use crate::arguments::each;
    use crate::command;

    #[test]
    fn every_path_refuses_a_url_with_a_password_and_does_not_repeat_it() {
        let mut paths = 0;
        each(&command(), &mut |_: &Command, words: &[String], arg: &Arg| {
            if arg.get_value_parser().type_id() != TypeId::of::<PathBuf>() {
                return;
            }
            paths += 1;
            for url in
                ["mysql://u:sekret@x/y", "https://u:sekret@x/y.json", "redis://:sek/ret@x", "postgres://u:sekret@x"]
            {
                let parsed = command().try_get_matches_from(words.iter().map(|word| word.replace("{}", url)));
                let error = parsed.expect_err(url);
                assert_eq!(error.kind(), ErrorKind::ValueValidation, "{}", arg.get_id());
                let text = crate::without_secret(error).to_string();
                assert!(!text.contains("sek") && text.contains("expected a path, found a URL"), "{text}");
            }
        });
        assert!(paths > 40, "only {paths} paths");
    }

    /// The value names of paths. `audit diff` has policies that may be files.
    const PATHS: [&str; 4] = ["FILE", "DIR", "OLD", "NEW"];

    /// Returns the text before the path in a value of `arg`; `None` if `arg` is not a path.
    fn scheme(arg: &Arg) -> Option<&'static str> {
        let name = arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str());
        let is_path = PATHS.contains(&name) || arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
        // An address may be the path of a socket.
        is_path.then_some("").or_else(|| (name == "ADDRESS").then_some("unix:"))
    }

    #[test]
    fn every_path_refuses_what_the_shell_did_not_expand_with_a_valid_path() {
        let mut paths = 0;
        each(&command(), &mut |command: &Command, words: &[String], arg: &Arg| {
            let Some(scheme) = scheme(arg) else { return };
            paths += 1;
            let parse =
                |value: &str| crate::command().try_get_matches_from(words.iter().map(|word| word.replace("{}", value)));
            for (start, home) in
                [("~", "\"$HOME"), ("$HOME", "\"$HOME"), ("${HOME}", "\"${HOME}"), ("~ana", "/home/ana")]
            {
                let error = parse(&format!("{scheme}{start}/x.json")).expect_err("an unexpanded path");
                let text = error.to_string();
                assert_eq!(error.kind(), ErrorKind::ValueValidation, "{} {}: {text}", command.get_name(), arg.get_id());
                let home = if let Some(home) = home.strip_prefix('"') {
                    format!("\"{scheme}{home}")
                } else {
                    format!("{scheme}{home}")
                };
                assert!(
                    text.contains(&format!("help: write `{home}/x.json")),
                    "{} {}: {text}",
                    command.get_name(),
                    arg.get_id()
                );
                let literal = format!("{scheme}./{start}/x.json");
                assert!(text.contains(&format!("is `{literal}`")), "{} {}: {text}", command.get_name(), arg.get_id());
                for valid in [literal, format!("{scheme}/home/ana/x.json"), format!("{scheme}a~/x.json")] {
                    let kind = parse(&valid).err().map(|error| error.kind());
                    assert_ne!(
                        kind,
                        Some(ErrorKind::ValueValidation),
                        "{} {}: {valid}",
                        command.get_name(),
                        arg.get_id()
                    );
                }
            }
        });
        assert!(paths > 40, "only {paths} paths");
    }
}
