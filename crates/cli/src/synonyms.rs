//! Commands and options that other programs name differently: the error for one names what is meant.

use clap::Command;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Words of other programs, each with the options that it may mean. The first one that the command has is suggested.
const SYNONYMS: &[(&[&str], &[&str])] = &[
    (
        &["expires", "expires-at", "expires-in", "expiry", "expiration", "expire", "valid-until", "valid-for", "ttl"],
        &["expiration-date", "overlap"],
    ),
    (&["domain", "origin", "website", "site", "allowed-referer"], &["referer"]),
    (&["domains", "origins", "websites", "sites", "allowed-referers"], &["referers", "referer"]),
    (&["scope", "scopes", "api", "allowed-apis", "permissions"], &["apis", "api"]),
    (&["apis"], &["api"]),
    (&["table", "tileset", "raster", "resource", "name"], &["resource", "source"]),
    (
        &[
            "pattern",
            "patterns",
            "dataset",
            "datasets",
            "sources",
            "resources",
            "tables",
            "tilesets",
            "rasters",
            "names",
        ],
        &["source", "resource"],
    ),
    (&["sql", "statement"], &["query", "source"]),
    (&["query"], &["sql", "source"]),
    (&["namedsource", "stored-query"], &["named-source"]),
    (&["grant", "grants"], &["add-grant", "source"]),
    (&["connection-name", "warehouse", "provider"], &["connection"]),
    (&["database", "registry", "url", "sqlite"], &["db"]),
    (&["file", "policies", "config", "input"], &["policy", "output"]),
    (&["out", "output-file", "report", "to"], &["output"]),
    (&["usage", "decision-log", "decisions"], &["log"]),
    (&["secret", "access-token", "bearer"], &["token-env"]),
    (&["token-file", "stdin"], &["token-stdin"]),
    (&["label", "title"], &["name", "title"]),
    (&["owner", "as"], &["user"]),
    (&["all", "admin", "everyone"], &["all-users"]),
    (&["json"], &["format"]),
    (&["at", "time", "date"], &["now"]),
    (&["limit", "tail", "since", "after", "newest"], &["last"]),
    (&["redirect-uri", "redirect-url", "callback-url"], &["callback"]),
    (&["why", "verbose"], &["explain"]),
    (&["address", "bind", "port"], &["listen"]),
    (&["force", "confirm", "y"], &["yes", "force"]),
];

/// Words of other programs for commands, each with the commands that it may mean. The first one that exists is suggested.
const COMMANDS: &[(&[&str], &[&str])] = &[
    (&["create", "add", "new", "insert", "make", "register", "issue", "generate"], &["create", "add", "init"]),
    (&["delete", "remove", "rm", "del", "destroy", "drop", "erase", "revoke", "disable"], &["delete"]),
    (&["list", "ls", "all", "index", "search", "find"], &["list"]),
    (&["get", "show", "info", "describe", "view", "cat", "read", "display", "details", "inspect"], &["get", "inspect"]),
    (&["update", "edit", "change", "set", "modify", "alter", "patch", "rename", "upsert"], &["update"]),
    (&["rotate", "renew", "roll", "reset", "regenerate", "refresh", "reissue", "extend"], &["rotate"]),
    (&["prune", "clean", "cleanup", "purge", "gc", "expire", "vacuum"], &["prune"]),
    (
        &["token", "tokens", "credential", "client", "clients", "key", "keys", "secret", "secrets", "apikey"],
        &["credentials"],
    ),
    (&["user", "users", "member", "members", "account", "accounts", "role", "roles"], &["workspace"]),
    (&["login", "console", "ui", "web", "admin", "api", "oauth", "manage"], &["workspace"]),
    (&["connection", "conn", "warehouse", "warehouses", "database", "databases"], &["connections"]),
    (&["named-source", "namedsource", "namedsources", "source", "sources", "query", "queries"], &["named-sources"]),
    (&["server", "start", "run", "daemon", "sidecar", "up", "listen", "gateway"], &["serve"]),
    (&["decide", "authorize", "test", "evaluate", "eval", "can", "try", "explain", "allow"], &["check"]),
    (&["verify", "parse", "fmt", "policy", "policies", "check-policy"], &["validate"]),
    (&["build", "bundle", "snapshot"], &["compile"]),
    (&["hash", "sha256", "sha", "sum"], &["digest"]),
    (&["log", "logs", "history", "changes", "events", "journal", "audit-log"], &["trail"]),
    (&["dump", "save", "download"], &["export", "backup"]),
    (&["restore", "load", "upload", "migrate", "seed"], &["import"]),
    (&["copy", "cp"], &["backup"]),
    (&["leaks", "leak", "detect", "grep"], &["scan"]),
    (&["benchmark", "perf", "measure"], &["bench"]),
    (&["setup", "quickstart", "bootstrap"], &["init"]),
    (&["completion", "complete", "shell"], &["completions"]),
    (&["manual", "docs", "manpage"], &["man"]),
    (&["widening", "compare"], &["diff"]),
    (&["whocan", "who"], &["who-can"]),
];

/// Words of other programs for the kinds of credentials.
const KINDS: &[(&[&str], &str)] = &[
    (&["key", "keys", "apikey", "api-key", "api", "secret", "secrets", "credential", "credentials"], "token"),
    (&["app", "apps", "application", "applications", "browser", "web", "single-page"], "spa"),
    (&["client", "clients", "oauth", "machine", "machines", "service", "services", "service-account"], "m2m"),
];

/// Replaces the suggestion of `error` by the command or option that is meant. `args` are the arguments of `command`.
pub(super) fn suggest(error: &mut clap::Error, command: &Command, args: impl IntoIterator<Item = String>) {
    let args: Vec<String> = args.into_iter().collect();
    match error.kind() {
        ErrorKind::InvalidSubcommand => suggest_command(error, command, &args),
        ErrorKind::UnknownArgument => suggest_option(error, command, &args),
        ErrorKind::InvalidValue => suggest_kind(error),
        _ => {}
    }
}

/// Returns the text of a context of `error`.
fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    }
}

/// Returns the subcommand that `args` call, with the words that call it.
fn called<'c>(command: &'c Command, args: &[String]) -> (&'c Command, String) {
    let (mut called, mut words) = (command, command.get_name().to_owned());
    for arg in args {
        if let Some(found) = called.find_subcommand(arg) {
            called = found;
            words = format!("{words} {}", found.get_name());
        }
    }
    (called, words)
}

fn suggest_command(error: &mut clap::Error, command: &Command, args: &[String]) {
    let Some(given) = text(error, ContextKind::InvalidSubcommand) else { return };
    let before: Vec<String> =
        args.iter().take_while(|arg| **arg != given).filter(|arg| *arg != "help").cloned().collect();
    let (parent, words) = called(command, &before);
    let has = |parent: &Command, name: &str| {
        parent.get_subcommands().any(|found| found.get_name() == name && !found.is_hide_set())
    };
    let word = given.replace('_', "-").to_lowercase();
    let meant = COMMANDS.iter().filter(|(words, _)| words.contains(&&*word)).flat_map(|(_, meant)| *meant);
    let meant: Vec<&str> = meant.copied().collect();
    let of = |parent: &Command| {
        let same = parent.get_subcommands().map(Command::get_name).find(|name| *name == word && has(parent, name));
        same.map(ToOwned::to_owned)
            .or_else(|| meant.iter().find(|name| has(parent, name)).map(|name| (*name).to_owned()))
    };
    let is_version = matches!(&*word, "version" | "--version");
    let fix = if is_version {
        Some(format!("{} --version", command.get_name()))
    } else if let Some(name) = of(parent) {
        Some(format!("{words} {name}"))
    } else if has(parent, "token") && error.get(ContextKind::SuggestedSubcommand).is_none() {
        // The kind of the credential is left out: `credentials update tk_5h3f9w2mzq`.
        Some(format!("{words} token"))
    } else {
        // A command of another group: `portcullis lint` is `portcullis audit lint`.
        let mut groups = parent.get_subcommands().filter(|group| !group.is_hide_set() && group.get_name() != "help");
        groups.find_map(|group| Some(format!("{words} {} {}", group.get_name(), of(group)?)))
    };
    if let Some(fix) = fix {
        error.remove(ContextKind::SuggestedSubcommand);
        let tip = StyledStr::from(format!("did you mean `{fix}`?"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
}

fn suggest_option(error: &mut clap::Error, command: &Command, args: &[String]) {
    let Some(given) = text(error, ContextKind::InvalidArg) else { return };
    let (called, words) = called(command, args);
    if let Some(tip) = as_value(&given, called, args) {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
        return;
    }
    if given.starts_with("--") {
        // No argument starts with two dashes.
        error.remove(ContextKind::Suggested);
    }
    let word = given.trim_start_matches('-').split('=').next().unwrap_or_default().replace('_', "-").to_lowercase();
    let has = |name: &str| {
        called.get_arguments().any(|arg| arg.get_long().is_some_and(|long| long == name) && !arg.is_hide_set())
    };
    let meant = SYNONYMS.iter().filter(|(words, _)| words.contains(&&*word)).flat_map(|(_, meant)| *meant);
    if let Some(meant) = meant.copied().find(|name| *name != word && has(name)) {
        error.insert(ContextKind::SuggestedArg, ContextValue::String(format!("--{meant}")));
    } else if matches!(&*word, "output" | "out" | "o" | "output-file") {
        error.remove(ContextKind::SuggestedArg);
        let tip = StyledStr::from(format!("redirect standard output to a file: `{words} … > FILE`"));
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
    }
}

fn suggest_kind(error: &mut clap::Error) {
    let is_kind = text(error, ContextKind::InvalidArg).is_some_and(|arg| arg.contains("KIND"));
    let Some(given) = text(error, ContextKind::InvalidValue).filter(|_| is_kind) else { return };
    let word = given.replace('_', "-").to_lowercase();
    if let Some((_, kind)) = KINDS.iter().find(|(words, _)| words.contains(&&*word)) {
        error.insert(ContextKind::SuggestedValue, ContextValue::String((*kind).to_owned()));
    }
}

/// Explains how to write `given`, which starts with a dash, as the value of the option before it.
fn as_value(given: &str, called: &Command, args: &[String]) -> Option<String> {
    let at = args.iter().position(|arg| arg == given)?;
    let option = args.get(at.checked_sub(1)?)?;
    let long = option.strip_prefix("--")?;
    let arg = called.get_arguments().find(|arg| arg.get_long() == Some(long))?;
    let is_option = called.get_arguments().any(|arg| {
        let name = given.trim_start_matches('-').split('=').next().unwrap_or_default();
        arg.get_long() == Some(name)
            || (name.len() == 1 && arg.get_short().is_some_and(|short| name.starts_with(short)))
    });
    let is_value = arg.get_action().takes_values() && !given.starts_with("--") && !is_option;
    is_value.then(|| format!("to give `{given}` as the value of `{option}`, write `{option}={given}`"))
}

#[cfg(test)]
mod tests {
    use clap::Command;
    use clap::error::{ContextKind, ErrorKind};

    use super::{COMMANDS, suggest};

    /// Returns the text of the error for a command line.
    fn error(line: &str) -> String {
        let words = || line.split_whitespace().map(ToOwned::to_owned);
        let mut error = crate::command().try_get_matches_from(words()).expect_err(line);
        suggest(&mut error, &crate::command(), words().skip(1));
        assert!(error.get(ContextKind::SuggestedSubcommand).is_none() || error.get(ContextKind::Suggested).is_none());
        error.to_string()
    }

    #[cfg(all(feature = "audit", feature = "workspace"))]
    #[test]
    fn commands_of_other_programs_are_suggested_by_their_meaning() {
        for (given, meant) in [
            ("connections create x", "connections add"),
            ("connections new", "connections add"),
            ("connections rm x", "connections delete"),
            ("connections remove x", "connections delete"),
            ("connections show x", "connections get"),
            ("connections edit x", "connections update"),
            ("connections ls", "connections list"),
            ("named-sources add x", "named-sources create"),
            ("named-sources rm x", "named-sources delete"),
            ("named-sources show x", "named-sources get"),
            ("credentials show x", "credentials get"),
            ("credentials info x", "credentials get"),
            ("credentials ls", "credentials list"),
            ("credentials add", "credentials create"),
            ("credentials remove x", "credentials delete"),
            ("credentials renew x", "credentials rotate"),
            ("credentials update tk_5h3f9w2mzq", "credentials update token"),
            ("credentials rotate tk_5h3f9w2mzq", "credentials rotate token"),
            ("users rm ana", "workspace"),
            ("users add ana", "workspace"),
            ("tokens list", "credentials"),
            ("token", "credentials"),
            ("clients", "credentials"),
            ("connection list", "connections"),
            ("named_sources list", "named-sources"),
            ("lint", "audit lint"),
            ("diff a b", "audit diff"),
            ("who-can", "audit who-can"),
            ("whocan", "audit who-can"),
            ("exposure", "audit exposure"),
            ("version", "--version"),
            ("server", "serve"),
            ("start", "serve"),
            ("decide", "check"),
            ("hash", "digest"),
            ("restore x", "import"),
            ("dump", "export"),
            ("log", "trail"),
            ("help tokens", "credentials"),
            ("help connections rm", "connections delete"),
        ] {
            let error = error(&format!("portcullis {given}"));
            assert!(error.contains(&format!("tip: did you mean `portcullis {meant}`?")), "{given}: {error}");
            let line = format!("portcullis {meant} --help");
            let kind = crate::command().try_get_matches_from(line.split(' ')).expect_err(&line).kind();
            assert!(matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion), "{line}");
        }
    }

    #[cfg(all(feature = "audit", feature = "workspace"))]
    #[test]
    fn every_command_of_the_table_exists() {
        fn exists(command: &Command, name: &str) -> bool {
            command.get_subcommands().any(|found| found.get_name() == name || exists(found, name))
        }
        for meant in COMMANDS.iter().flat_map(|(_, meant)| *meant) {
            assert!(exists(&crate::command(), meant), "{meant}");
        }
    }

    #[cfg(all(feature = "audit", feature = "registry"))]
    #[test]
    fn options_and_kinds_of_other_programs_are_suggested_by_their_meaning() {
        for (line, tip) in [
            ("credentials list clients", "'m2m'"),
            ("credentials list machines", "'m2m'"),
            ("credentials list apps", "'spa'"),
            ("credentials delete key x", "'token'"),
            ("trail --since 2026-11-22", "'--last'"),
            ("trail --tail 3", "'--last'"),
            ("export --output f", "`portcullis export … > FILE`"),
            ("export -o f", "`portcullis export … > FILE`"),
            ("audit lint --output f", "`portcullis audit lint … > FILE`"),
            ("compile --out f", "'--output'"),
        ] {
            let error = error(&format!("portcullis {line}"));
            assert!(error.contains("tip: ") && error.contains(tip), "{line}: {error}");
        }
    }

    #[cfg(feature = "registry")]
    #[test]
    fn a_value_with_a_dash_is_explained() {
        for (line, tip) in [
            ("credentials create token --name -x", "to give `-x` as the value of `--name`, write `--name=-x`"),
            ("check --connection -x", "to give `-x` as the value of `--connection`, write `--connection=-x`"),
        ] {
            let error = error(&format!("portcullis {line}"));
            assert!(error.contains(tip), "{line}: {error}");
        }
        let error = error("portcullis credentials get token x --unknown-option");
        assert!(!error.contains("-- --"), "{error}");
    }
}
