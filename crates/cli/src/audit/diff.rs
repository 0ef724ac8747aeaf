//! The differences between what two policies allow.

use std::io::{self, Write};

use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::{Escaped, Timestamp};
use portcullis::model::Expiry;
use portcullis_audit::names_diff::{Names, NamesChange, NamesDiff};
use portcullis_audit::reads::Followed;
use portcullis_diff::compare::{Diff, Gain, Gained, Side, TokenDiff, diff};
use serde::Serialize;

use super::Format;
use super::catalog::{self, CatalogArgs};
use super::reads::{self, ReadsArgs};
use crate::Exit;
use crate::output::is_stdin;
use crate::output::{Color, Csv, Painted, Stdout, counted, grouped, printable, write_json_lines};
use crate::paths::path_or_url;
use crate::policy::PolicyArgs;

const EXAMPLES: &str = "\
Examples:
  portcullis audit diff main.json branch.json
  portcullis audit diff policy.pcls sqlite:registry.db --fail-on-widening
  portcullis audit diff old.json new.json --catalog catalog.csv --format json

Tokens are paired by their secrets. A gain is shown with a request that the new
policy allows and the old one denies; both have decided it. `?` marks a gain
that may exist but has no such request. With a catalog, the names that a token
gains or loses are listed too.

Exit codes: 0 compared; 1 widened, with `--fail-on-widening`; 2 error, or the
catalog was not read completely.";

/// Compare two policies: what each token gains and loses
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Old policy: a document, a compiled file or a registry URL
    ///
    /// `-` is standard input, for one of the two. Example of a registry: `sqlite:registry.db`
    #[arg(value_parser = path_or_url)]
    old: String,
    /// New policy, in any of the same forms
    #[arg(value_parser = path_or_url)]
    new: String,
    /// Exit with 1 if the new policy allows anything more
    #[arg(long)]
    fail_on_widening: bool,
    /// Compare from this instant on [default: now]
    ///
    /// A date or an RFC 3339 instant. Example: `--since 2026-11-24`
    #[arg(long, value_name = "INSTANT", value_parser = crate::bounds::instant)]
    since: Option<Timestamp>,
    /// Print `table`, `json` or `csv`
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    reads: ReadsArgs,
    #[command(flatten)]
    catalog: CatalogArgs,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    if is_stdin(args.old.as_ref()) && is_stdin(args.new.as_ref()) {
        anyhow::bail!("`-` is given twice: standard input can be read only once");
    }
    if args.catalog.catalog.as_deref().is_some_and(is_stdin)
        && (is_stdin(args.old.as_ref()) || is_stdin(args.new.as_ref()))
    {
        anyhow::bail!("a policy and `--catalog` are both `-`: standard input can be read only once");
    }
    let [old_args, new_args] = [&args.old, &args.new].map(|text| PolicyArgs::named(text));
    let Some((old, before)) = old_args.model(color)? else { return Ok(Exit::Failure) };
    let Some((new, after)) = new_args.model(color)? else { return Ok(Exit::Failure) };
    let since = args.since.unwrap_or_else(|| SystemClock.now());
    let diff = diff(&Side::with_snapshot(&old, before), &Side::with_snapshot(&new, after), since)?;
    let (mut names, mut complete, mut unfollowed) = (None, true, Vec::new());
    if let Some(path) = &args.catalog.catalog {
        let followed = (
            Followed::of(&old, &args.reads.named_sources(&old_args, &[&old, &new], color)?),
            Followed::of(&new, &args.reads.named_sources(&new_args, &[&old, &new], color)?),
        );
        let mut by_name = NamesDiff::new(&diff, (&old, Some(&followed.0)), (&new, Some(&followed.1)), since);
        complete =
            catalog::each(path, &args.catalog, &[&new, &old], color, |connection, name| by_name.see(connection, name))?
                .complete;
        unfollowed = reads::unfollowed(&followed.1, &new, |_| true);
        names = Some(ByName { total: by_name.count(), changes: by_name.changes() });
    }
    let mut out = Stdout::lock();
    match args.format {
        Format::Table => text(&diff, names.as_ref(), color, &mut out)?,
        Format::Json => json(&diff, names.as_ref(), &mut out)?,
        Format::Csv => csv(&diff, names.as_ref(), &mut out)?,
    }
    out.flush()?;
    reads::note(&unfollowed, color)?;
    let Some((token, gain)) = diff.widening().filter(|_| args.fail_on_widening) else {
        return Ok(if complete { Exit::Success } else { Exit::Failure });
    };
    let mut stderr = io::stderr().lock();
    let paint = color.on(&stderr);
    let (old, new) = (Escaped::whole(&args.old), Escaped::whole(&args.new));
    writeln!(stderr, "{} `{new}` allows more than `{old}`", Painted::red(paint, "widened:"))?;
    writeln!(stderr, "  token `{}`: {}", printable(token), printable(&gain.gained.to_string()))?;
    match &gain.witness {
        Some(witness) => writeln!(stderr, "  newly allowed: {}", printable(&witness.to_string()))?,
        None => writeln!(stderr, "  no example was found; this counts as wider because it cannot be excluded")?,
    }
    Ok(Exit::No)
}

/// The changes for the names of a catalog.
struct ByName {
    /// The number of names in the catalog.
    total: u64,
    /// One change for each token of the diff, in the same order.
    changes: Vec<NamesChange>,
}

fn text(diff: &Diff, names: Option<&ByName>, color: Color, out: &mut Stdout) -> anyhow::Result<()> {
    let paint = color.on(&io::stdout());
    let green = |sign| Painted::green(paint, sign);
    let red = |sign| Painted::red(paint, sign);
    for (index, token) in diff.tokens.iter().enumerate() {
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
                writeln!(out, "  {} {}", green(sign), printable(&gain.gained.to_string()))?;
            }
            if let Some(witness) = &gain.witness {
                writeln!(out, "      now allowed: {}", printable(&witness.to_string()))?;
            }
        }
        for loss in token.losses.iter().filter(|loss| loss.gained != Gained::Token) {
            writeln!(out, "  {} {}", red("-"), printable(&loss.gained.to_string()))?;
        }
        if let Some(change) = names.and_then(|names| names.changes.get(index)) {
            let sides =
                [(green("+"), &change.gained, change.gained_through), (red("-"), &change.lost, change.lost_through)];
            for (sign, side, through) in sides.iter().filter(|(_, side, _)| side.count > 0) {
                let by_query =
                    if *through > 0 { format!(", {} only through queries", grouped(*through)) } else { String::new() };
                writeln!(out, "  {sign} {} of the catalog{by_query}", counted(side.count, "name"))?;
                for name in &side.examples {
                    writeln!(out, "      {sign} {}", printable(name))?;
                }
                let left = side.count - side.examples.len() as u64;
                if left > 0 {
                    writeln!(out, "        and {} more", grouped(left))?;
                }
            }
            for (sign, calls) in [(green("+"), &change.gained_calls), (red("-"), &change.lost_calls)] {
                for call in calls {
                    writeln!(out, "  {sign} call that may read more names: {}", printable(call))?;
                }
            }
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
    if let Some(names) = names {
        let tokens = |of: fn(&NamesChange) -> u64| names.changes.iter().filter(|change| of(change) > 0).count() as u64;
        writeln!(
            out,
            "catalog: {}; {} gained names, {} lost names",
            counted(names.total, "name"),
            counted(tokens(|change| change.gained.count), "token"),
            counted(tokens(|change| change.lost.count), "token"),
        )?;
        let may_gain = tokens(|change| change.gained_calls.len() as u64);
        if may_gain > 0 {
            writeln!(out, "{} may have gained more names through calls in queries", counted(may_gain, "token"))?;
        }
    }
    Ok(())
}

/// `Some(true)` for a new token, `Some(false)` for a removed one, `None` for a changed one.
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
    /// `None` without a catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    names: Option<NamesJson<'d>>,
}

#[derive(Serialize)]
struct NamesJson<'d> {
    gained: SideJson<'d>,
    lost: SideJson<'d>,
}

#[derive(Serialize)]
struct SideJson<'d> {
    names: u64,
    through_queries: u64,
    examples: &'d [String],
    /// Calls of queries that may read more names, each after its connection.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    calls: &'d [String],
}

impl<'d> From<&'d NamesChange> for NamesJson<'d> {
    fn from(change: &'d NamesChange) -> Self {
        let side = |side: &'d Names, through_queries, calls: &'d [String]| SideJson {
            names: side.count,
            through_queries,
            examples: &side.examples,
            calls,
        };
        Self {
            gained: side(&change.gained, change.gained_through, &change.gained_calls),
            lost: side(&change.lost, change.lost_through, &change.lost_calls),
        }
    }
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
    /// A request in the form of `portcullis check`, without the secret; `null` if none was found.
    witness: Option<WitnessJson<'d>>,
}

#[derive(Serialize)]
struct WitnessJson<'d> {
    token: &'d str,
    api: &'d str,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
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
            operation: (witness.api == "sql").then_some(witness.operation.as_str()),
            connection: &witness.connection,
            kind: witness.source.parts().map(|(kind, _)| kind),
            source: witness.source.parts().map(|(_, text)| text),
            referer: witness.referer.as_deref(),
            at: witness.at.to_string(),
        });
        let plain = |what, value| Self { what, value, ..Self::default() };
        let gained = match &gain.gained {
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
        Self { witness, ..gained }
    }
}

fn json(diff: &Diff, names: Option<&ByName>, out: &mut Stdout) -> anyhow::Result<()> {
    let tokens = diff.tokens.iter().enumerate().map(|(index, token)| TokenJson {
        token: &token.id,
        was: token.was.as_deref(),
        gains: token.gains.iter().map(GainJson::from).collect(),
        losses: token.losses.iter().map(GainJson::from).collect(),
        names: names.and_then(|names| names.changes.get(index)).map(NamesJson::from),
    });
    let diff = DiffJson { widened: diff.widening().is_some(), unchanged: diff.unchanged, tokens: tokens.collect() };
    Ok(write_json_lines(out, &diff)?)
}

fn csv(diff: &Diff, names: Option<&ByName>, out: &mut Stdout) -> anyhow::Result<()> {
    let mut csv = Csv::new(out, ["token", "change", "what", "witness"])?;
    for token in &diff.tokens {
        for (change, gains) in [("+", &token.gains), ("-", &token.losses)] {
            for gain in gains {
                let witness = gain.witness.as_ref().map(ToString::to_string).unwrap_or_default();
                csv.row([token.id.as_str(), change, &gain.gained.to_string(), &witness])?;
            }
        }
    }
    for (token, change) in diff.tokens.iter().zip(names.map(|names| names.changes.as_slice()).unwrap_or_default()) {
        for (sign, side) in [("+", &change.gained), ("-", &change.lost)].iter().filter(|(_, side)| side.count > 0) {
            let count = format!("{} of the catalog", counted(side.count, "name"));
            csv.row([token.id.as_str(), sign, &count, &side.examples.join(", ")])?;
        }
        for (sign, calls) in [("+", &change.gained_calls), ("-", &change.lost_calls)] {
            for call in calls {
                csv.row([token.id.as_str(), sign, &format!("call that may read more names: {call}"), ""])?;
            }
        }
    }
    csv.finish()?;
    Ok(())
}
