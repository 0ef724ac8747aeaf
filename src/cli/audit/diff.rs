//! What one policy allows that another does not.

use std::io::{self, Write};

use portcullis::audit::compare::{Diff, Gain, Gained, Side, TokenDiff, diff};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::model::Expiry;
use serde::Serialize;

use super::Format;
use crate::cli::Exit;
use crate::cli::output::{Color, Painted, Stdout, counted, printable};
use crate::cli::policy::{PolicyArgs, is_stdin};

const EXAMPLES: &str = "\
Examples:
  portcullis audit diff main.json branch.json
  portcullis audit diff policy.pcls sqlite:registry.db --fail-on-widening
  portcullis audit diff old.json new.json --format json

Tokens are the same where their secrets are. Each gain is shown by a request that the new policy
allows and the old one denies; both have decided it. A gain marked `?` could not be excluded.

Exit codes: 0 compared, or nothing is widened, 1 widened, with `--fail-on-widening`, 2 error.";

/// Tell what each token gains and loses from one policy to another
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The policy before: a document, what `portcullis compile` wrote, or a registry's URL
    old: String,
    /// The policy after
    new: String,
    /// Fail if anything is newly allowed
    #[arg(long)]
    fail_on_widening: bool,
    /// Compare for requests from this instant on, instead of from now: RFC 3339, or a date
    #[arg(long, value_name = "INSTANT")]
    since: Option<Timestamp>,
    /// `table` for people; `json` or `csv` for programs
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    format: Format,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    if is_stdin(args.old.as_ref()) && is_stdin(args.new.as_ref()) {
        anyhow::bail!("`-` is given twice: standard input can be read only once");
    }
    let Some((old, before)) = PolicyArgs::named(&args.old).model(color)? else { return Ok(Exit::Failure) };
    let Some((new, after)) = PolicyArgs::named(&args.new).model(color)? else { return Ok(Exit::Failure) };
    let since = args.since.unwrap_or_else(|| SystemClock.now());
    let diff = diff(&Side::with_snapshot(&old, before), &Side::with_snapshot(&new, after), since)?;
    let mut out = Stdout::lock();
    match args.format {
        Format::Table => text(&diff, color, &mut out)?,
        Format::Json => json(&diff, &mut out)?,
        Format::Csv => csv(&diff, &mut out)?,
    }
    out.flush()?;
    let Some((token, gain)) = diff.widening().filter(|_| args.fail_on_widening) else { return Ok(Exit::Success) };
    let mut stderr = io::stderr().lock();
    let paint = color.on(&stderr);
    writeln!(stderr, "{} `{}` is wider than `{}`", Painted::red(paint, "widened:"), args.new, args.old)?;
    writeln!(stderr, "  token `{}`: {}", printable(token), gain.gained)?;
    match &gain.witness {
        Some(witness) => writeln!(stderr, "  newly allowed: {}", printable(&witness.to_string()))?,
        None => writeln!(stderr, "  whether this allows more could not be found out, so it counts as more")?,
    }
    Ok(Exit::No)
}

fn text(diff: &Diff, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
    let paint = color.on(&io::stdout());
    let green = |sign| Painted::green(paint, sign);
    let red = |sign| Painted::red(paint, sign);
    for token in &diff.tokens {
        let id = printable(&token.id);
        match whole(token) {
            Some(true) => writeln!(out, "{} token {id}", green("+"))?,
            Some(false) => writeln!(out, "{} token {id}", red("-"))?,
            None => writeln!(out, "{} token {id}", Painted::bold(paint, "~"))?,
        }
        if let Some(was) = &token.was {
            writeln!(out, "    was {}", printable(was))?;
        }
        for gain in &token.gains {
            if gain.gained != Gained::Token {
                let sign = if gain.witness.is_some() { "+" } else { "?" };
                writeln!(out, "  {} {}", green(sign), gain.gained)?;
            }
            if let Some(witness) = &gain.witness {
                writeln!(out, "      now allowed: {}", printable(&witness.to_string()))?;
            }
        }
        for loss in token.losses.iter().filter(|loss| loss.gained != Gained::Token) {
            writeln!(out, "  {} {}", red("-"), loss.gained)?;
        }
    }
    let count = |is: Option<bool>| diff.tokens.iter().filter(|token| whole(token) == is).count();
    let (added, removed, changed) = (count(Some(true)), count(Some(false)), count(None));
    let sum = |of: fn(&TokenDiff) -> &[Gain]| diff.tokens.iter().map(|token| of(token).len() as u64).sum::<u64>();
    let (gains, losses) = (sum(|token| &token.gains), sum(|token| &token.losses));
    writeln!(
        out,
        "{added} added, {removed} removed, {changed} changed, {} unchanged; {}, {}",
        counted(diff.unchanged as u64, "token"),
        counted(gains, "gain"),
        if losses == 1 { "1 loss".to_owned() } else { format!("{losses} losses") },
    )?;
    Ok(())
}

/// Whether the whole token is new, or gone.
fn whole(token: &TokenDiff) -> Option<bool> {
    let is = |gains: &[Gain]| gains.iter().any(|gain| gain.gained == Gained::Token);
    is(&token.gains).then_some(true).or_else(|| is(&token.losses).then_some(false))
}

#[derive(Serialize)]
struct DiffJson<'d> {
    widened: bool,
    unchanged: usize,
    tokens: Vec<TokenJson<'d>>,
}

#[derive(Serialize)]
struct TokenJson<'d> {
    token: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<&'d str>,
    gains: Vec<GainJson<'d>>,
    losses: Vec<GainJson<'d>>,
}

#[derive(Serialize, Default)]
struct GainJson<'d> {
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    apis: Option<&'d [String]>,
    /// A request, as `portcullis check` reads it, but for the secret; `null` where none could be found.
    witness: Option<WitnessJson<'d>>,
}

#[derive(Serialize)]
struct WitnessJson<'d> {
    token: &'d str,
    api: &'d str,
    operation: &'static str,
    connection: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'d str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<&'d str>,
    at: String,
}

impl<'d> From<&'d Gain> for GainJson<'d> {
    fn from(gain: &'d Gain) -> Self {
        let witness = gain.witness.as_ref().map(|witness| WitnessJson {
            token: &witness.token,
            api: &witness.api,
            operation: witness.operation.as_str(),
            connection: &witness.connection,
            kind: witness.asked.parts().map(|(kind, _)| kind),
            source: witness.asked.parts().map(|(_, text)| text),
            referer: witness.referer.as_deref(),
            at: witness.at.to_string(),
        });
        let plain = |what, value| Self { what, value, ..Self::default() };
        let told = match &gain.gained {
            Gained::Token => plain("token", None),
            Gained::Api(name) => plain("api", Some(name.clone())),
            Gained::Referer(entry) => plain("referer", entry.clone()),
            Gained::Until(Expiry::Never) => plain("until", None),
            Gained::Until(Expiry::At(end)) => plain("until", Some(end.to_string())),
            Gained::Grant { connection, kind, source, apis } => Self {
                what: "grant",
                kind: Some(kind.as_str()),
                connection: Some(connection),
                source: Some(source),
                apis: Some(apis),
                ..Self::default()
            },
        };
        Self { witness, ..told }
    }
}

fn json(diff: &Diff, out: &mut Stdout) -> anyhow::Result<()> {
    let tokens = diff.tokens.iter().map(|token| TokenJson {
        token: &token.id,
        was: token.was.as_deref(),
        gains: token.gains.iter().map(GainJson::from).collect(),
        losses: token.losses.iter().map(GainJson::from).collect(),
    });
    let told = DiffJson { widened: diff.widening().is_some(), unchanged: diff.unchanged, tokens: tokens.collect() };
    serde_json::to_writer_pretty(&mut *out, &told)?;
    writeln!(out)?;
    Ok(())
}

fn csv(diff: &Diff, out: &mut Stdout) -> anyhow::Result<()> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(["token", "change", "what", "witness"])?;
    for token in &diff.tokens {
        for (change, gains) in [("+", &token.gains), ("-", &token.losses)] {
            for gain in gains {
                let witness = gain.witness.as_ref().map(ToString::to_string).unwrap_or_default();
                csv.write_record([&token.id, change, &gain.gained.to_string(), &witness])?;
            }
        }
    }
    csv.flush()?;
    Ok(())
}
