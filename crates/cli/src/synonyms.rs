//! Options that other programs name differently: the error for one names the option that is meant.

use clap::Command;
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
    (&["limit", "tail"], &["last"]),
    (&["redirect-uri", "redirect-url", "callback-url"], &["callback"]),
    (&["why", "verbose"], &["explain"]),
    (&["address", "bind", "port"], &["listen"]),
    (&["force", "confirm", "y"], &["yes", "force"]),
];

/// Adds the option that is meant to the error for an unknown option of `command`, whose arguments are `args`.
pub(super) fn suggest(error: &mut clap::Error, command: &Command, args: impl IntoIterator<Item = String>) {
    if error.kind() != ErrorKind::UnknownArgument {
        return;
    }
    let Some(ContextValue::String(given)) = error.get(ContextKind::InvalidArg) else { return };
    let given = given.trim_start_matches('-').split('=').next().unwrap_or_default().replace('_', "-").to_lowercase();
    let mut subcommand = command;
    for arg in args {
        subcommand = subcommand.find_subcommand(&arg).unwrap_or(subcommand);
    }
    let has = |name: &str| {
        subcommand.get_arguments().any(|arg| arg.get_long().is_some_and(|long| long == name) && !arg.is_hide_set())
    };
    let meant = SYNONYMS.iter().filter(|(words, _)| words.contains(&&*given)).flat_map(|(_, meant)| *meant);
    if let Some(meant) = meant.copied().find(|name| *name != given && has(name)) {
        error.insert(ContextKind::SuggestedArg, ContextValue::String(format!("--{meant}")));
    }
}
