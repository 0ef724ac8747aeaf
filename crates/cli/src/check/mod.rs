//! Decisions: one from the arguments, or many from a file of requests.

mod counts;
mod one;
mod sources;
mod stream;

use std::num::NonZero;
use std::path::PathBuf;

use portcullis::base::Timestamp;
use portcullis::decision::Replay;

use super::Exit;
use super::bounds::{MAX_BYTES, byte_count, threads};
use super::output::{Color, Format};
use super::policy::PolicyArgs;
use super::pump::Pump;
use sources::SourceArgs;

const USAGE: &str = "\
portcullis check --policy <FILE> --token-env <VAR> --api <API>
           --connection <NAME> --resource <NAME> [OPTIONS]
       portcullis check --policy <FILE> --requests <FILE> [OPTIONS]";

const EXAMPLES: &str = "\
Examples:
  # One request. The token is in the environment: other users see arguments.
  portcullis check --policy policy.json --token-env TOKEN \\
      --api maps --connection carto_dw --resource carto.shared.demo
  # Why?
  portcullis check --policy policy.json --token-env TOKEN --explain \\
      --api sql --connection carto_dw --query 'SELECT 1'
  # Why, for a token whose secret you do not have?
  portcullis check --policy policy.json --token-id store-map --explain \\
      --api maps --connection carto_dw --resource carto.shared.demo
  # Many requests, one JSON object a line. The answers are in the same order.
  portcullis check --policy policy.json --requests requests.jsonl > answers
  tail -f access.jsonl | portcullis check --policy policy.json --requests -

A request:
  {\"id\": 1, \"token\": \"…\", \"api\": \"maps\", \"connection\": \"dw\",
   \"resource\": \"carto.shared.demo\"}
  Instead of `resource`: `query`, `named_source` or `sources`, a list of objects
  with one of the three. Optional: `id`, `operation`, `referer`, `now`.
Its answer:
  {\"id\": 1, \"decision\": \"allow\", \"token\": \"<id>\", \"grants\": [0]}
  {\"id\": 1, \"decision\": \"deny\", \"reason\": \"source_not_granted\", \"status\": 403}
  {\"line\": 1, \"error\": \"…\"}   for a line that is not a valid request

A line of a decision log is a request of the token `token_id` at its `time`. The
answer has `logged` if the decision differs, or `skipped` if it cannot be made:
  {\"id\": \"r1\", \"decision\": \"allow\", \"token\": \"<id>\", \"grants\": [0],
   \"logged\": \"token_expired\"}
  {\"id\": \"r2\", \"line\": 2, \"skipped\": \"…\"}

Exit codes: 0 allowed; 1 denied; 2 error.
With `--requests`: 0 all requests were decided; 2 some lines are not valid
requests.";

/// Decide one request or a file of requests
#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES, override_usage = USAGE)]
pub(super) struct Args {
    /// Decide at this instant [default: now]
    ///
    /// A date or an RFC 3339 instant. The `now` of a request in a file takes precedence. Example: `--now 2026-11-24`
    #[arg(long, value_name = "INSTANT", value_parser = crate::bounds::instant)]
    now: Option<Timestamp>,
    /// Print `text` or `json`
    ///
    /// Answers to `--requests` are always JSON.
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    one: one::OneArgs,
    /// Read requests as JSON Lines; `-` is standard input
    ///
    /// The file may be compressed with gzip or zstd.
    #[arg(long, value_name = "FILE", help_heading = "Many requests", conflicts_with_all = ["api", "token", "token_env", "token_stdin", "token_id"])]
    requests: Option<PathBuf>,
    /// Decide on this many threads [default: number of cores]
    #[arg(long, help_heading = "Many requests", value_name = "N", conflicts_with = "api", value_parser = threads)]
    threads: Option<NonZero<usize>>,
    /// Limit the length of a line
    ///
    /// A longer line is answered with an error.
    #[arg(long, help_heading = "Many requests", conflicts_with = "api", value_name = "BYTES", default_value_t = 8 << 20, hide_short_help = true, value_parser = byte_count::<1, MAX_BYTES>)]
    max_line: usize,
    /// Hide the progress bar and the summary
    #[arg(short, long, help_heading = "Many requests", conflicts_with = "api")]
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
    let pump = Pump { threads, max_line: args.max_line, quiet: args.quiet };
    stream::Decider { replay: &Replay::new(&snapshot), now: args.now }.run(requests, pump)
}
