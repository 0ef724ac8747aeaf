//! Decides the one request of the arguments.

use std::io::{self, Read, Write};

use anyhow::{Context, bail};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::{Timestamp, quoted};
use portcullis::decision::{Decision, Replay, Request, decide};
use portcullis::explain::{Explanation, explain, explain_token};
use portcullis::model::Operation;
use portcullis_http::wire::{WireDecision, unknown_token};
use serde::Serialize;

use super::SourceArgs;
use crate::Exit;
use crate::bounds::expected;
use crate::input::claim_stdin;
use crate::named::{name, variable};
use crate::output::{Color, Format, Painted, Stdout, write_json};
use crate::policy::PolicyArgs;
use crate::secret_input::{self, Origin};

/// The maximum length of a token on standard input, in bytes.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// The API whose requests name no source and no connection.
const SOURCELESS: &str = "lds";

#[derive(clap::Args)]
#[command(next_help_heading = "One request")]
pub(super) struct OneArgs {
    /// Read the token from standard input
    #[arg(long, group = "credential")]
    token_stdin: bool,
    /// Read the token from this environment variable
    ///
    /// Write its name without `$`. Example: `--token-env TOKEN`, after `read -rs TOKEN; export TOKEN`
    #[arg(long, value_name = "VAR", group = "credential", value_parser = variable)]
    token_env: Option<String>,
    /// Use this token; visible to other users
    ///
    /// Lists of processes show arguments, and shells keep them in their history. Prefer `--token-env` or `--token-stdin`.
    #[arg(long, value_name = "SECRET", group = "credential", allow_hyphen_values = true)]
    token: Option<String>,
    /// Use the token with this id, without its secret
    ///
    /// For the owner of the policy. Example: `--token-id store-map --explain`
    #[arg(long, value_name = "ID", group = "credential", value_parser = |text: &str| name(text, "the id of a token", "store-map"))]
    token_id: Option<String>,
    /// Set the API: `maps`, `sql`, `imports` or `lds`
    ///
    /// Or an API that the policy declares.
    #[arg(long, value_name = "API", value_parser = api, requires = "credential", required_unless_present = "requests")]
    api: Option<String>,
    /// Set the operation of `sql`: `query` or `model` [default: query]
    ///
    /// `model` is an aggregate that the API builds over a source.
    #[arg(long, value_name = "OPERATION", value_parser = operation, requires = "api")]
    operation: Option<Operation>,
    /// Set the connection; `lds` needs none
    #[arg(long, value_name = "NAME", requires = "api", value_parser = connection)]
    connection: Option<String>,
    #[command(flatten)]
    sources: SourceArgs,
    /// Set the `Referer` header
    #[arg(long, value_name = "URL", requires = "api")]
    referer: Option<String>,
    /// Show the result of every check
    ///
    /// A denial also shows what nearly matched.
    #[arg(long, requires = "api")]
    explain: bool,
}

impl OneArgs {
    /// Fails if sources are given together with `--requests`.
    pub(super) fn refuse(&self) -> anyhow::Result<()> {
        if self.sources.is_empty() {
            return Ok(());
        }
        bail!("`--requests` cannot be used with a source: add the request to the file, or leave `--requests` out")
    }

    fn secret(&self, policy: &PolicyArgs) -> anyhow::Result<String> {
        if self.token_stdin {
            claim_stdin("--token-stdin")?;
            if policy.reads_stdin() {
                bail!("`--policy -` and `--token-stdin` both read standard input: use `--token-env`");
            }
            return stdin_token();
        }
        match (&self.token, &self.token_env) {
            (Some(token), _) => Ok(token.clone()),
            (None, Some(name)) => {
                let token = variable_value(name)?;
                secret_input::check(&token, Origin::Variable)?;
                Ok(token)
            }
            (None, None) => {
                bail!("the token is missing: give `--token-env` or `--token-stdin`, or its id with `--token-id`")
            }
        }
    }

    /// Makes the checks that a JSON request also gets.
    fn complete(&self) -> anyhow::Result<()> {
        let api = self.api.as_deref().unwrap_or_default();
        if self.operation.is_some() && api != "sql" {
            bail!("`--operation` applies only to `--api sql`: leave it out");
        }
        if api != SOURCELESS && self.connection.is_none() {
            bail!("the connection is missing: give `--connection`");
        }
        if api != SOURCELESS && self.sources.is_empty() {
            bail!("the source is missing: give `--resource`, `--query` or `--named-source`");
        }
        Ok(())
    }
}

pub(super) fn run(
    args: &OneArgs,
    policy: &PolicyArgs,
    now: Option<Timestamp>,
    format: Format,
    color: Color,
) -> anyhow::Result<Exit> {
    args.complete()?;
    let secret = if args.token_id.is_some() { String::new() } else { args.secret(policy)? };
    let Some(snapshot) = policy.snapshot(color)? else { return Ok(Exit::Failure) };
    let sources = args.sources.sources();
    let mut request =
        Request::new(args.api.as_deref().unwrap_or_default(), args.connection.as_deref().unwrap_or_default())
            .secret(&secret)
            .operation(args.operation.unwrap_or_default())
            .sources(&sources);
    request.referer = args.referer.as_deref();
    let now = now.unwrap_or_else(|| SystemClock.now());
    let mut out = Stdout::lock();
    let explanation = match &args.token_id {
        Some(id) => {
            let replay = Replay::new(&snapshot);
            let explained = explain_token(&replay, id, &request, now);
            Some(explained.with_context(|| match id_of_name(policy, id) {
                Some(id) => format!("`--token-id`: expected an id, found a name\nhelp: write `--token-id {id}`"),
                None => format!("`--token-id`: {}", unknown_token(&replay, id)),
            })?)
        }
        None => args.explain.then(|| explain(&snapshot, &request, now)),
    };
    let decision = explanation.as_ref().map_or_else(|| decide(&snapshot, &request, now), Explanation::decision);
    match (format, explanation.as_ref().filter(|_| args.explain)) {
        (Format::Json, Some(explanation)) => json(explanation, &mut out)?,
        (Format::Json, None) => json(&WireDecision::new(None, &decision), &mut out)?,
        (Format::Text, Some(explanation)) => writeln!(out, "{explanation}")?,
        (Format::Text, None) => text(&decision, color.on(&io::stdout()), &mut out)?,
    }
    out.flush()?;
    Ok(if decision.is_allow() { Exit::Success } else { Exit::No })
}

/// Returns the id of the only token of the registry that has the name `name`.
#[cfg(feature = "registry")]
fn id_of_name(policy: &PolicyArgs, name: &str) -> Option<String> {
    use portcullis_registry::{Actor, Location, Registry};

    let location: Location = policy.registry().ok()??.parse().ok()?;
    let all = Actor::new("check", SystemClock.now()).ok()?.for_all_users();
    let token = Registry::open(&location, false).ok()?.token(&all, name).ok()?;
    (token.id != name).then_some(token.id)
}

#[cfg(not(feature = "registry"))]
fn id_of_name(_: &PolicyArgs, _: &str) -> Option<String> {
    None
}

fn json(answer: &impl Serialize, out: &mut impl Write) -> anyhow::Result<()> {
    write_json(&mut *out, answer)?;
    Ok(writeln!(out)?)
}

fn text(decision: &Decision<'_>, paint: bool, out: &mut impl Write) -> io::Result<()> {
    match decision {
        Decision::Allow(allow) => {
            let grants: Vec<_> = allow.grants().iter().map(ToString::to_string).collect();
            let by = match grants.len() {
                0 => String::new(),
                1 => format!(", grant {}", grants.concat()),
                _ => format!(", grants {}", grants.join(", ")),
            };
            writeln!(out, "{}, token {}{by}", Painted::green(paint, "allow"), quoted(allow.token()))
        }
        Decision::Deny(reason) => {
            writeln!(out, "{}: {reason} ({})", Painted::red(paint, "deny"), reason.status())
        }
    }
}

/// Reads the token from the environment variable `name`.
fn variable_value(name: &str) -> anyhow::Result<String> {
    // The argument may be the token itself, by mistake: do not repeat it.
    let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let (which, instead) = if name.len() <= 64 && name.bytes().all(is_plain) {
        (format!("the environment variable `{name}`"), name)
    } else {
        ("the environment variable that `--token-env` names".to_owned(), "TOKEN")
    };
    let help = format!("set it in the shell with `read -rs {instead}; export {instead}`");
    match std::env::var(name) {
        Ok(token) if token.is_empty() => bail!("{which} is empty: expected the token\nhelp: {help}"),
        Ok(token) => Ok(token),
        Err(std::env::VarError::NotPresent) => {
            bail!("cannot read the token from {which}: not set\nhelp: {help}")
        }
        Err(std::env::VarError::NotUnicode(_)) => bail!("cannot read the token from {which}: not UTF-8\nhelp: {help}"),
    }
}

fn operation(name: &str) -> Result<Operation, String> {
    Operation::from_name(name).ok_or_else(|| expected("`query` or `model`", "query"))
}

fn api(text: &str) -> Result<String, String> {
    name(text, "the name of one API", "maps")
}

fn connection(text: &str) -> Result<String, String> {
    name(text, "the name of a connection", "carto_dw")
}

/// Reads the token from standard input, without the line ending that `echo` adds.
fn stdin_token() -> anyhow::Result<String> {
    let mut token = String::new();
    let read = io::stdin().lock().take(MAX_TOKEN_BYTES + 1).read_to_string(&mut token);
    let read = read.context("cannot read the token from standard input")?;
    if read as u64 > MAX_TOKEN_BYTES {
        bail!("standard input has more than {MAX_TOKEN_BYTES} bytes: expected one token");
    }
    let end = token.trim_end_matches(['\n', '\r']).len();
    token.truncate(end);
    secret_input::check(&token, Origin::Stdin)?;
    Ok(token)
}
