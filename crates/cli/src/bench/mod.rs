//! Decisions a second and how long each takes, on the user's own policy and requests.

mod histogram;
mod measure;
mod report;

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis_http::wire::WireRequest;

use super::Exit;
use super::bounds::threads;
use super::output::{Color, Format, Inputs};
use super::policy::PolicyArgs;
use measure::Work;

/// The most bytes of requests: all of them are kept in memory.
const MOST_BYTES: u64 = 1 << 30;

const EXAMPLES: &str = "\
Examples:
  portcullis bench --policy policy.json --requests requests.jsonl
  portcullis bench --policy policy.json --requests requests.jsonl --threads 8 --format json

Requests are as for `portcullis check --requests`. They are read once and then decided
round and round; reading JSON is not measured. Throughput is measured without looking at
the clock between decisions; latency is, and the clock's own cost is measured and taken off.";

/// Measure decisions a second and their latency on your own policy
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Requests, one JSON object a line; `-` for standard input
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,
    /// How long to measure each: latency, and the throughput of each number of threads
    #[arg(long, value_name = "N", default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// Measure throughput with 1, 2, 4 … up to this many threads [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZero<usize>>,
    /// When to decide, for requests without `now`: RFC 3339, or a date [default: the clock]
    #[arg(long, value_name = "INSTANT")]
    now: Option<Timestamp>,
    /// `text` for people, `json` for programs
    #[arg(long, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    format: Format,
    #[command(flatten)]
    policy: PolicyArgs,
}

pub(super) fn run(args: &Args, color: Color) -> anyhow::Result<Exit> {
    if args.requests.as_os_str() == "-" && args.policy.reads_stdin() {
        bail!("`--policy -` and `--requests -` both read standard input: name a file for one of them");
    }
    let text = read(&args.requests)?;
    let name = args.requests.display();
    let requests = parse(&text).with_context(|| format!("cannot read the requests `{name}`"))?;
    let Some(snapshot) = args.policy.snapshot(color)? else { return Ok(Exit::Failure) };
    let now = args.now.unwrap_or_else(|| SystemClock.now());
    let sources: Vec<_> = requests.iter().map(WireRequest::sources).collect();
    let asked: Vec<_> = requests
        .iter()
        .zip(&sources)
        .map(|(request, sources)| (request.with(sources), request.now().unwrap_or(now)))
        .collect();
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let work = Work { snapshot: &snapshot, requests: &asked, duration: args.seconds };
    let measured = work.measure(threads)?;
    match args.format {
        Format::Text => report::text(&measured, color)?,
        Format::Json => report::json(&measured)?,
    }
    Ok(Exit::Success)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let name = path.display();
    Inputs::check_stdout(path)?;
    let read = |reader: &mut dyn Read| {
        let mut text = Vec::new();
        reader.take(MOST_BYTES + 1).read_to_end(&mut text).map(|_| text)
    };
    let text = if path == Path::new("-") {
        read(&mut std::io::stdin().lock())
    } else {
        std::fs::File::open(path).and_then(|mut file| read(&mut file))
    };
    let text = text.with_context(|| format!("cannot read the requests `{name}`"))?;
    if text.len() as u64 > MOST_BYTES {
        bail!("the requests `{name}` are more than 1 GiB: a sample of them measures the same");
    }
    Ok(text)
}

/// Every line, or what is wrong with the first that is no request: a benchmark of errors measures nothing.
fn parse(text: &[u8]) -> anyhow::Result<Vec<WireRequest<'_>>> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let lines = (1_u64..).zip(text.split(|byte| *byte == b'\n'));
    let read = |(number, line)| WireRequest::read(line).with_context(|| format!("line {number}"));
    let requests: Vec<_> = lines.map(read).collect::<anyhow::Result<_>>()?;
    Ok(requests)
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected a number of seconds such as `2` or `0.5`".to_owned())?;
    if (0.001..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("expected from 0.001 to 3600 seconds".to_owned())
    }
}
