//! The registry that a command works on, who works on it, and how its refusals are told.

use std::io::{self, IsTerminal, Write};

use etcetera::{BaseStrategy, choose_base_strategy};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis_document::load::{Diagnostic, Input};
use portcullis_registry::{Actor, Advice, Location, Registry, RegistryError};
use serde::Serialize;

use super::Exit;
use super::output::{Color, Format, Inputs, Painted, Stdout};
use super::policy::registry_of_environment;

/// Which registry, and who.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Registry")]
pub(super) struct RegistryArgs {
    #[arg(
        long,
        value_name = "URL",
        help = "The registry, such as `sqlite:registry.db`; made on first use [env: PORTCULLIS_DB] [default: `portcullis/registry.db` among the user's data]"
    )]
    db: Option<String>,
    /// Who does this: tokens and clients belong to who made them [default: the user of the system]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Also what is other users': for administrators
    #[arg(long)]
    all_users: bool,
}

/// What every command of the registry takes that answers in either format.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// `text` for people, `json` for programs
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

impl RegistryArgs {
    /// The registry, made if it is not there, and who acts on it.
    pub(super) fn open(&self) -> anyhow::Result<(Registry, Actor)> {
        let location = self.location()?;
        Inputs::check_stdout_of_registry(location.path())?;
        Ok((Registry::open(&location, true)?, self.actor()?))
    }

    pub(super) fn shows_all_users(&self) -> bool {
        self.all_users
    }

    fn location(&self) -> anyhow::Result<Location> {
        match &self.db {
            Some(url) => Ok(url.parse()?),
            None => registry_of_environment().map_or_else(default_location, |url| Ok(url.parse()?)),
        }
    }

    fn actor(&self) -> anyhow::Result<Actor> {
        let user = match &self.user {
            Some(user) => user.clone(),
            None => whoami::username()
                .map_err(|_| invalid("the system does not say who you are", "name yourself with `--user`"))?,
        };
        let actor = Actor::new(user, now())?;
        Ok(if self.all_users { actor.for_all_users() } else { actor })
    }
}

pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

/// The policy of a registry that must be there: decisions are not made by an empty one that a mistyped name made.
pub(super) fn policy(url: &str) -> anyhow::Result<Input> {
    let location: Location = url.parse()?;
    Inputs::check_stdout_of_registry(location.path())?;
    Ok(Input::new(location.to_string(), Registry::open(&location, false)?.policy_document()?))
}

/// Adds the files of the registry at `url`.
pub(super) fn add_files(url: &str, inputs: &mut Inputs) -> anyhow::Result<()> {
    inputs.add_registry(url.parse::<Location>()?.path());
    Ok(())
}

/// Checks that standard output is not a file of the registry at `url`.
pub(super) fn check_stdout(url: &str) -> anyhow::Result<()> {
    Inputs::check_stdout_of_registry(url.parse::<Location>()?.path())
}

fn default_location() -> anyhow::Result<Location> {
    let strategy = choose_base_strategy()
        .map_err(|_| invalid("the system does not say where your data is kept", "name the registry with `--db`"))?;
    Ok(Location::file(strategy.data_dir().join("portcullis").join("registry.db")))
}

/// What is wrong with how a command is used.
pub(super) fn invalid(message: impl Into<String>, help: impl Into<String>) -> RegistryError {
    RegistryError::Invalid(Advice { message: message.into(), help: help.into() })
}

pub(super) fn refused(message: impl Into<String>, help: impl Into<String>) -> RegistryError {
    RegistryError::Refused(Advice { message: message.into(), help: help.into() })
}

/// Tells on standard error why the registry did not do what was asked.
pub(super) fn tell(error: &RegistryError, color: Color) -> Exit {
    let mut stderr = io::stderr().lock();
    let paint = color.on(&stderr);
    let mut say = |message: &str, help: &str| {
        // There is nowhere left to report that this fails.
        let _ = writeln!(stderr, "{} {message}", Painted::red(paint, "error:"));
        let _ = writeln!(stderr, "{} {help}", Painted::bold(paint, "help:"));
    };
    match error {
        RegistryError::Definition(diagnostics) => {
            for Diagnostic { code, message, help, .. } in diagnostics {
                say(message, in_options(code).unwrap_or(help));
            }
        }
        RegistryError::Invalid(advice) | RegistryError::Refused(advice) | RegistryError::Storage(advice) => {
            say(&advice.message, &advice.help);
        }
        other => say(&other.to_string(), "see `portcullis help`"),
    }
    if matches!(error, RegistryError::Refused(_)) { Exit::No } else { Exit::Failure }
}

/// What to do about a problem whose usual help speaks of a document's fields.
fn in_options(code: &str) -> Option<&'static str> {
    match code {
        "grants_empty" => Some("give at least one `--connection` with its `--source`: only `lds` needs none"),
        "apis_empty" => Some("give `--apis`, one or more of `maps`, `sql`, `imports`, `lds`"),
        _ => None,
    }
}

/// Tells on standard error what is legal but surely unintended.
pub(super) fn warn(warnings: &[Diagnostic], color: Color) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    let paint = color.on(&stderr);
    for Diagnostic { message, help, .. } in warnings {
        writeln!(stderr, "{} {message}", Painted::bold(paint, "warning:"))?;
        writeln!(stderr, "{} {help}", Painted::bold(paint, "help:"))?;
    }
    Ok(())
}

/// Asks on a terminal; elsewhere only `yes` is a yes.
pub(super) fn confirm(yes: bool, why: &str, help: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(refused(why, help).into());
    }
    write!(io::stderr(), "{why}. Is that what you want? [y/N] ")?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(refused("nothing was changed", help).into()) }
}

/// Prints one value for programs.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<Exit> {
    let mut out = Stdout::lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    out.flush()?;
    Ok(Exit::Success)
}

/// Prints lines for people.
pub(super) fn lines<'l>(lines: impl IntoIterator<Item = &'l str>) -> anyhow::Result<Exit> {
    let mut out = Stdout::lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    Ok(Exit::Success)
}
