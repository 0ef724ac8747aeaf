//! Measures the latency and throughput of decisions on the user's own policy and requests.

mod histogram;
mod measure;
mod report;

use std::io::Read;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis_document::load::unpack;
use portcullis_http::wire::WireRequest;

use super::Exit;
use super::bounds::{seconds, threads};
use super::input::Opened;
use super::output::{Color, Format};
use super::policy::PolicyArgs;
use super::pump::no_request;
use measure::Work;

/// The maximum size of all requests, in bytes: they are kept in memory.
const MAX_BYTES: u64 = 1 << 30;

const EXAMPLES: &str = "\
Examples:
  portcullis bench --policy policy.json --requests requests.jsonl
  portcullis bench --policy policy.json --requests requests.jsonl \\
      --threads 8 --format json

The format of requests is that of `portcullis check --requests`. They are parsed
once and then decided in a loop; parsing is not measured. Throughput is measured
without reading the clock between decisions. The cost of the clock is measured
and subtracted from each latency.";

/// Measure decisions per second and latency on your policy
#[derive(Debug, clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct Args {
    /// Read requests as JSON Lines; `-` is standard input
    ///
    /// The file may be compressed with gzip or zstd.
    #[arg(long, value_name = "FILE")]
    requests: PathBuf,
    /// Run each measurement for this many seconds
    ///
    /// The measurements are latency, and throughput for each number of threads.
    #[arg(long, value_name = "N", default_value = "2", value_parser = seconds)]
    seconds: Duration,
    /// Use up to this many threads [default: number of cores]
    ///
    /// Throughput is measured with 1, 2, 4 … threads, up to this number.
    #[arg(long, value_name = "N", value_parser = threads)]
    threads: Option<NonZero<usize>>,
    /// Decide at this instant [default: now]
    ///
    /// A date or an RFC 3339 instant. The `now` of a request takes precedence. Example: `--now 2026-11-24`
    #[arg(long, value_name = "INSTANT", value_parser = crate::bounds::instant)]
    now: Option<Timestamp>,
    /// Print `text` or `json`
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
    let timed: Vec<_> = requests
        .iter()
        .zip(&sources)
        .map(|(request, sources)| (request.with(sources), request.now().unwrap_or(now)))
        .collect();
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let work = Work { snapshot: &snapshot, requests: &timed, duration: args.seconds };
    let measured = work.measure(threads)?;
    match args.format {
        Format::Text => report::text(&measured, color)?,
        Format::Json => report::json(&measured)?,
    }
    Ok(Exit::Success)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let unreadable = || format!("cannot read the requests `{name}`");
    let unpacked = unpack(Opened::open(path, "--requests")?).with_context(unreadable)?;
    if let Some(foreign) = unpacked.foreign {
        bail!("cannot read `{name}`: expected JSON Lines, {foreign}");
    }
    let mut text = Vec::new();
    unpacked.text.take(MAX_BYTES + 1).read_to_end(&mut text).with_context(unreadable)?;
    if text.len() as u64 > MAX_BYTES {
        bail!("the requests `{name}` are larger than 1 GiB: use a sample of them");
    }
    if text.is_empty() {
        return Err(no_request(path));
    }
    Ok(text)
}

/// Parses every line. Fails at the first invalid request: a benchmark of errors measures nothing.
fn parse(text: &[u8]) -> anyhow::Result<Vec<WireRequest<'_>>> {
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let lines = (1_u64..).zip(text.split(|byte| *byte == b'\n'));
    let read = |(number, line)| WireRequest::read(line).with_context(|| format!("line {number}"));
    let requests: Vec<_> = lines.map(read).collect::<anyhow::Result<_>>()?;
    Ok(requests)
}
