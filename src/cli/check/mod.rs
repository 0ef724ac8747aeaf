//! Decisions: one from the arguments, or many from a file of requests.

mod lines;
mod one;
mod sources;
mod stream;
mod tally;

use std::num::NonZero;
use std::path::PathBuf;

use portcullis::base::Timestamp;

use super::Exit;
use super::output::{Color, Format};
use super::policy::PolicyArgs;
use sources::SourceArgs;

const EXAMPLES: &str = "\
Examples:
  # One request. The token comes from the environment: arguments are visible to other users in lists of processes.
  portcullis check --policy policy.json --token-env TOKEN --api maps --connection carto_dw --resource carto.shared.demo
  # Why?
  portcullis check --policy policy.json --token-env TOKEN --api sql --connection carto_dw --query 'SELECT 1' --explain
  # Many requests, one JSON object a line; the answers come in the same order.
  portcullis check --policy policy.json --requests requests.jsonl > answers.jsonl
  tail -f access.jsonl | portcullis check --policy policy.json --requests -

A request: {\"id\": 1, \"token\": \"…\", \"api\": \"maps\", \"connection\": \"carto_dw\", \"resource\": \"carto.shared.demo\"}
  instead of `resource`: `query`, `named_source`, or `sources`: a list of objects with one of the three;
  optional: `id`, `operation`, `referer`, `now`.
An answer: {\"id\": 1, \"decision\": \"allow\", \"token\": \"<id>\", \"grants\": [0]}
  or {\"id\": 1, \"decision\": \"deny\", \"reason\": \"source_not_granted\", \"status\": 403}
  or, for a line that is not a request, {\"line\": 1, \"error\": \"…\"}.

Exit codes: 0 allowed, 1 denied, 2 error. With --requests: 0 all lines were answered, allowed or denied; 2 some were not requests.";

/// Decide one request, or a file of requests
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    one: one::OneArgs,
    /// Requests, one JSON object a line; `-` for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["api", "token", "token_env", "token_stdin"])]
    requests: Option<PathBuf>,
    /// The instant to decide at, RFC 3339 or a date; a request's own `now` goes first [default: the clock's]
    #[arg(long, value_name = "RFC3339")]
    now: Option<Timestamp>,
    /// `text` for people, `json` for programs; requests of a file are always answered in JSON
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    /// With --requests: threads that decide [default: the number of cores]
    #[arg(long, value_name = "N", requires = "requests")]
    threads: Option<NonZero<usize>>,
    /// With --requests: the most bytes of a line; a longer one is answered with an error
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20, hide_short_help = true)]
    max_line: usize,
    /// With --requests: no progress, no summary
    #[arg(short, long, requires = "requests")]
    quiet: bool,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    let Some(requests) = &args.requests else {
        return one::run(&args.one, &args.policy, args.now, args.format, color);
    };
    args.one.refuse()?;
    if requests.as_os_str() == "-" && args.policy.reads_stdin() {
        anyhow::bail!("`--policy -` and `--requests -` both read standard input: name a file for one of them");
    }
    let Some(snapshot) = args.policy.snapshot(color)? else { return Ok(Exit::Failure) };
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let decider = stream::Decider { snapshot: &snapshot, now: args.now, max_line: args.max_line };
    decider.run(requests, threads, args.quiet)
}
