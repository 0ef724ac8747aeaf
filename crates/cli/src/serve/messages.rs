//! The levels of server messages. No value silences errors.

use std::io;

use portcullis::base::{nearest, quoted};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::bounds::expected;
use crate::environment::variable_or;

/// The options of server messages.
#[derive(clap::Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct MessageArgs {
    /// Set the format of server messages: `text` or `json`
    ///
    /// They are printed on standard error.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"], hide_possible_values = true)]
    messages: String,
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = variable_or("PORTCULLIS_MESSAGE_LEVEL", "info"),
        hide_default_value = true,
        value_parser = filter,
        help = "Set the level of server messages [default: info]\n[env: PORTCULLIS_MESSAGE_LEVEL]",
        long_help = "Set the level of server messages [default: info]\n\n\
            `error`, `warn`, `info`, `debug` or `trace`. A list also sets the level of single parts: \
            `info,portcullis=debug`\n\n\
            [env: PORTCULLIS_MESSAGE_LEVEL]"
    )]
    message_level: Targets,
}

impl MessageArgs {
    /// Starts writing server messages to standard error.
    pub(crate) fn init(&self) -> anyhow::Result<()> {
        let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
        let messages = tracing_subscriber::registry().with(self.message_level.clone());
        let started = if self.messages == "json" {
            messages.with(layer.json()).try_init()
        } else {
            messages.with(layer.with_ansi(io::IsTerminal::is_terminal(&io::stderr()))).try_init()
        };
        started.map_err(|error| anyhow::anyhow!("cannot write messages: {error}"))
    }
}

/// The levels, the most severe first.
const LEVELS: [(&str, LevelFilter); 5] = [
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// The level of parts that the list does not name.
const DEFAULT: LevelFilter = LevelFilter::INFO;

/// The crates that write messages.
const PARTS: [&str; 8] =
    ["h2", "hyper_util", "portcullis", "portcullis_server", "portcullis_workspace", "sqlx", "tonic", "tower"];

/// Parses a level, or a list that also sets the level of single parts, such as `info,portcullis=debug`.
fn filter(text: &str) -> Result<Targets, String> {
    let (mut filter, mut is_set) = (Targets::new().with_default(DEFAULT), false);
    for item in text.split(',').map(str::trim) {
        if let Some((part, name)) = item.split_once('=') {
            filter = filter.with_target(known(part)?, level(name, &format!("{part}="))?);
        } else {
            filter = filter.with_default(level(item, "")?);
            if std::mem::replace(&mut is_set, true) {
                return Err(expected("one level for all parts, found two", "info,portcullis=debug"));
            }
        }
    }
    Ok(filter)
}

/// Parses the name of a level. `before` is the rest of its item.
fn level(name: &str, before: &str) -> Result<LevelFilter, String> {
    let found = LEVELS.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, level)| level).ok_or_else(|| {
        let instead = match name.to_ascii_lowercase().as_str() {
            "off" | "none" | "quiet" | "critical" | "fatal" => "error",
            "all" | "verbose" => "trace",
            name => nearest(name, LEVELS.map(|(known, _)| known)).unwrap_or("info"),
        };
        let what = format!("`error`, `warn`, `info`, `debug` or `trace`, found {}", quoted(name));
        expected(what, format_args!("{before}{instead}"))
    })
}

/// Checks that a crate writes messages under the name `part`, which may be followed by a module.
fn known(part: &str) -> Result<&str, String> {
    let name = part.split("::").next().unwrap_or_default();
    if PARTS.contains(&name) {
        return Ok(part);
    }
    let instead = nearest(name, PARTS).unwrap_or("portcullis");
    let what = format!("one of `{}`, found {}", PARTS.join("`, `"), quoted(name));
    Err(expected(what, format_args!("{instead}=debug")))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;

    use super::filter;

    #[test]
    fn every_accepted_value_keeps_errors() {
        for (text, server, other) in [
            ("error", LevelFilter::ERROR, LevelFilter::ERROR),
            ("Warn", LevelFilter::WARN, LevelFilter::WARN),
            ("trace", LevelFilter::TRACE, LevelFilter::TRACE),
            ("portcullis=debug", LevelFilter::DEBUG, LevelFilter::INFO),
            ("portcullis_server::policy=debug", LevelFilter::INFO, LevelFilter::INFO),
            ("warn, h2=error", LevelFilter::WARN, LevelFilter::WARN),
            ("portcullis=trace,error", LevelFilter::TRACE, LevelFilter::ERROR),
        ] {
            let filter = filter(text).unwrap();
            for (target, expected) in [("portcullis_server::tls", server), ("sqlx::query", other)] {
                let level = expected.into_level().unwrap();
                assert!(filter.would_enable(target, &tracing::Level::ERROR), "{text} {target}");
                assert!(filter.would_enable(target, &level), "{text} {target}");
                let next = [tracing::Level::WARN, tracing::Level::INFO, tracing::Level::DEBUG, tracing::Level::TRACE];
                let more = next.into_iter().find(|next| *next > level);
                assert!(more.is_none_or(|more| !filter.would_enable(target, &more)), "{text} {target}");
            }
        }
    }

    #[test]
    fn values_that_match_nothing_are_refused_with_a_valid_one() {
        for (text, instead) in [
            ("warning", "warn"),
            ("err", "error"),
            ("off", "error"),
            ("none", "error"),
            ("verbose", "trace"),
            ("3", "info"),
            ("", "info"),
            ("debug,", "info"),
            ("portcullis=warning", "portcullis=warn"),
            ("portculis=debug", "portcullis=debug"),
            ("nginx=debug", "portcullis=debug"),
            ("info,debug", "info,portcullis=debug"),
            ("portcullis=off", "portcullis=error"),
            ("portcullis", "info"),
        ] {
            let error = filter(text).unwrap_err();
            assert!(error.ends_with(&format!("help: write `{instead}`")), "{text}: {error}");
            assert!(filter(instead).is_ok(), "{instead}");
        }
    }
}
