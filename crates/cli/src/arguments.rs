//! All arguments of all commands, for tests of rules that every argument obeys.

use clap::{Arg, Command};

/// Calls `visit` with each argument that has a value: its command, the words of a command line with `{}` for the value, and
/// the argument.
pub(crate) fn each(command: &Command, visit: &mut impl FnMut(&Command, &[String], &Arg)) {
    visit_all(command, &[command.get_name().to_owned()], visit);
}

fn visit_all(command: &Command, words: &[String], visit: &mut impl FnMut(&Command, &[String], &Arg)) {
    let mut positional = words.to_vec();
    for arg in command.get_arguments() {
        let has_value = arg.get_action().takes_values();
        let line: Vec<String> = if let Some(long) = arg.get_long() {
            words.iter().cloned().chain([format!("--{long}={{}}")]).collect()
        } else {
            let line = positional.iter().cloned().chain(["{}".to_owned()]).collect();
            positional.push("x".to_owned());
            line
        };
        if has_value {
            visit(command, &line, arg);
        }
    }
    for subcommand in command.get_subcommands() {
        let words: Vec<String> = words.iter().cloned().chain([subcommand.get_name().to_owned()]).collect();
        visit_all(subcommand, &words, visit);
    }
}
