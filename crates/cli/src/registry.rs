//! The registry of a command, its user, and the output of its errors.

use std::io::{self, IsTerminal, Write};

use etcetera::{BaseStrategy, choose_base_strategy};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::{Escaped, Timestamp};
use portcullis_document::load::{Diagnostic, Input};
use portcullis_registry::{Actor, Advice, Location, Registry, RegistryError};
use serde::Serialize;

use super::Exit;
use super::environment::registry_of_environment;
use super::named::name;
use super::output::{Color, Format, Inputs, Painted, Stdout, counted, show_once, write_json_lines};
use super::plain::plain;
use super::table::Table;

/// The registry of a command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Registry")]
pub(super) struct DbArgs {
    #[arg(
        long,
        value_name = "URL",
        help = "Use this registry: `sqlite:registry.db` or `postgres://…`\n[env: PORTCULLIS_DB]",
        long_help = "Use this registry: `sqlite:registry.db` or `postgres://…`\n\n\
            `credentials create`, `connections add`, `named-sources create`, `import` and `workspace` create a missing registry. The \
            default is `portcullis/registry.db` in the user's data directory. A password belongs into PGPASSWORD or \
            ~/.pgpass. Example: `--db postgres://ana@db.example.com/portcullis`\n\n\
            [env: PORTCULLIS_DB]"
    )]
    db: Option<String>,
}

/// The registry and the user of a command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Registry")]
pub(super) struct RegistryArgs {
    #[command(flatten)]
    db: DbArgs,
    /// Act as this user [default: the system user]
    ///
    /// Tokens and clients belong to the user who created them.
    #[arg(long, value_name = "NAME", value_parser = |text: &str| name(text, "the name of a user", "ana"))]
    user: Option<String>,
    /// Include the credentials of all users, as an administrator
    #[arg(long)]
    all_users: bool,
}

/// The options of registry commands with text and JSON output.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// Print `text` or `json`
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub(super) format: Format,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

impl RegistryArgs {
    /// Opens an existing registry to read it, and names the user.
    pub(super) fn open(&self) -> anyhow::Result<(Registry, Actor)> {
        self.opened(|location| Registry::open(location, false))
    }

    /// Opens an existing registry to change it, and names the user.
    pub(super) fn open_to_change(&self) -> anyhow::Result<(Registry, Actor)> {
        self.opened(Registry::open_to_change)
    }

    /// Calls `add` with the registry and the user. Creates a missing registry, unless `add` fails.
    pub(super) fn add_to<T>(
        &self,
        add: impl FnOnce(&mut Registry, &Actor) -> Result<T, RegistryError>,
    ) -> anyhow::Result<Result<T, RegistryError>> {
        let (location, actor) = self.checked()?;
        Ok(Registry::add_to(&location, |registry| add(registry, &actor)))
    }

    fn opened(
        &self,
        open: impl FnOnce(&Location) -> Result<Registry, RegistryError>,
    ) -> anyhow::Result<(Registry, Actor)> {
        let (location, actor) = self.checked()?;
        Ok((open(&location)?, actor))
    }

    /// Returns the registry and the user. Standard output must not be the registry.
    fn checked(&self) -> anyhow::Result<(Location, Actor)> {
        let actor = self.actor()?;
        let location = self.db.location()?;
        Inputs::check_stdout_of_registry(&location)?;
        Ok((location, actor))
    }

    pub(super) fn shows_all_users(&self) -> bool {
        self.all_users
    }

    /// Returns the location of the registry.
    pub(super) fn location(&self) -> anyhow::Result<Location> {
        self.db.location()
    }

    /// Whether an option or the environment names the registry.
    pub(super) fn is_named(&self) -> bool {
        self.db.db.is_some() || registry_of_environment().is_some()
    }

    /// Returns the name of the user.
    pub(super) fn user(&self) -> anyhow::Result<String> {
        match &self.user {
            Some(user) => Ok(user.clone()),
            None => Ok(whoami::username()
                .map_err(|_| invalid("cannot find the name of the system user", "give a name with `--user NAME`"))?),
        }
    }

    fn actor(&self) -> anyhow::Result<Actor> {
        let actor = Actor::new(self.user()?, now())?;
        Ok(if self.all_users { actor.for_all_users() } else { actor })
    }
}

impl DbArgs {
    pub(super) fn location(&self) -> anyhow::Result<Location> {
        match &self.db {
            Some(url) => argument(url),
            None => registry_of_environment().map_or_else(default_location, |url| Ok(url.parse()?)),
        }
    }
}

/// Hides an option from the help of a command on which it has no effect.
pub(super) fn hidden(arg: clap::Arg) -> clap::Arg {
    arg.hide(true)
}

pub(super) fn now() -> Timestamp {
    SystemClock.now()
}

/// Reads the policy of an existing registry. It is never created: a mistyped name would become an empty policy.
pub(super) fn policy(url: &str) -> anyhow::Result<Input> {
    let location: Location = url.parse()?;
    Inputs::check_stdout_of_registry(&location)?;
    Ok(Input::generated(location.to_string(), Registry::open(&location, false)?.policy_document()?))
}

/// Adds the files of the registry at `url`.
pub(super) fn add_files(url: &str, inputs: &mut Inputs) -> anyhow::Result<()> {
    inputs.add_registry(&url.parse()?);
    Ok(())
}

/// Checks that standard output is not a file of the registry at `url`.
pub(super) fn check_stdout(url: &str) -> anyhow::Result<()> {
    Inputs::check_stdout_of_registry(&url.parse()?)
}

/// Reads the URL of a registry in an argument. Other users of the machine can read arguments, so it may hold no password.
pub(super) fn argument(url: &str) -> anyhow::Result<Location> {
    let location: Location = url.parse()?;
    if location.has_password() {
        return Err(invalid(
            "the URL of `--db` has a password: other users of this machine can read the arguments of a command",
            "remove it, and give it as `PGPASSWORD` or in `~/.pgpass`; or give the whole URL as `PORTCULLIS_DB`",
        )
        .into());
    }
    Ok(location)
}

fn default_location() -> anyhow::Result<Location> {
    let strategy = choose_base_strategy().map_err(|_| {
        invalid("cannot find the data directory of the user", "give a registry with `--db sqlite:registry.db`")
    })?;
    Ok(Location::default_file(strategy.data_dir().join("portcullis").join("registry.db")))
}

/// A usage error.
pub(super) fn invalid(message: impl Into<String>, help: impl Into<String>) -> RegistryError {
    RegistryError::Invalid(Advice::new(message, help))
}

/// A refusal, with exit code 1.
pub(super) fn refused(message: impl Into<String>, help: impl Into<String>) -> RegistryError {
    RegistryError::Refused(Advice::new(message, help))
}

/// Prints an error of the registry on standard error, and returns the exit code.
pub(super) fn report(error: &RegistryError, color: Color) -> Exit {
    let mut stderr = io::stderr().lock();
    let paint = color.on(&stderr);
    let mut write_error = |message: &str, help: &str| {
        // A failure to write to standard error cannot be reported.
        let _ = writeln!(stderr, "{} {}", Painted::red(paint, "error:"), Escaped::lines(&plain(message)));
        let _ = writeln!(stderr, "{} {}", Painted::bold(paint, "help:"), Escaped::lines(&plain(help)));
    };
    match error {
        RegistryError::Definition(diagnostics) => {
            for Diagnostic { code, message, help, .. } in diagnostics {
                write_error(message, in_options(code, help).unwrap_or(help));
            }
        }
        RegistryError::Invalid(advice) | RegistryError::Refused(advice) | RegistryError::Storage(advice) => {
            write_error(&advice.message, &advice.help);
        }
        RegistryError::Several(errors) => {
            for error in errors {
                report(error, color);
            }
        }
        other => write_error(&other.to_string(), "see `portcullis help`"),
    }
    if error.is_refusal() { Exit::No } else { Exit::Failure }
}

/// The help for problems whose usual help names fields of a document.
fn in_options(code: &str, help: &str) -> Option<&'static str> {
    match code {
        "grants_empty" => Some("add a grant: `--connection NAME --source SOURCE`; only `lds` needs none"),
        "apis_empty" => Some("give one or more APIs: `--apis maps,sql`; also `imports`, `lds`"),
        "source_unclear" if help.starts_with("write the type `query`") => Some(
            "write a query that begins with `select`, `with`, `from`, `call`, `values` or `table`; other statements cannot \
             be granted",
        ),
        _ => None,
    }
}

/// Prints warnings on standard error.
pub(super) fn warn(warnings: &[Diagnostic], color: Color) -> io::Result<()> {
    warnings.iter().try_for_each(|Diagnostic { message, help, .. }| warn_of(message, help, color))
}

/// Prints a warning on standard error.
pub(super) fn warn_of(message: &str, help: &str, color: Color) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    let paint = color.on(&stderr);
    writeln!(stderr, "{} {}", Painted::bold(paint, "warning:"), Escaped::lines(message))?;
    writeln!(stderr, "{} {}", Painted::bold(paint, "help:"), Escaped::lines(help))
}

/// Asks for confirmation on a terminal. Without one, only `yes` confirms.
pub(super) fn confirm(yes: bool, why: &str, help: &str) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(refused(why, help).into());
    }
    write!(io::stderr(), "{}. Continue? [y/N] ", Escaped::lines(why))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { Err(refused("nothing was changed", help).into()) }
}

/// Notes on standard error that other users have `count` records, called `noun`, which the command left out.
pub(super) fn note_of_others(count: u64, noun: &str, color: Color) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let mut stderr = io::stderr().lock();
    let note = Painted::bold(color.on(&stderr), "note:");
    writeln!(stderr, "{note} other users have {}: `--all-users` includes them", counted(count, noun))
}

/// Prints a value as JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<Exit> {
    let mut out = Stdout::lock();
    write_json_lines(&mut out, value)?;
    out.flush()?;
    Ok(Exit::Success)
}

/// Prints the result of a command: `value` as JSON, or one line of text.
pub(super) fn answer(format: Format, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<Exit> {
    match format {
        Format::Json => json(value),
        Format::Text => lines([&*text()]),
    }
}

/// Prints a table.
pub(super) fn print_table(table: &Table, color: Color) -> anyhow::Result<Exit> {
    let mut out = Stdout::lock();
    table.print(color.on(&io::stdout()), &mut out)?;
    out.flush()?;
    Ok(Exit::Success)
}

/// Prints a new secret. `help` states what to do if nobody could read it: the change is committed.
pub(super) fn secret(text: &[&str], help: impl FnOnce() -> String) -> anyhow::Result<Exit> {
    match show_once(text) {
        Ok(()) => Ok(Exit::Success),
        Err(error) => {
            let message = format!("the change was made, but its secret was not shown: {error}");
            Err(RegistryError::Storage(Advice::new(message, help())).into())
        }
    }
}

/// Prints lines of text.
pub(super) fn lines<'l>(lines: impl IntoIterator<Item = &'l str>) -> anyhow::Result<Exit> {
    let mut out = Stdout::lock();
    for line in lines {
        writeln!(out, "{}", Escaped::lines(line))?;
    }
    out.flush()?;
    Ok(Exit::Success)
}
