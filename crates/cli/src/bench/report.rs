//! Prints the results of a benchmark.

use std::io::{self, IsTerminal, Write};

use hdrhistogram::Histogram;
use portcullis::decision::Reason;
use serde::Serialize;

use super::histogram::lines;
use super::measure::{Measured, Throughput};
use crate::output::{Color, Painted, Stdout, counted, grouped, nanoseconds, rate};

/// The percentiles that are printed.
const PERCENTILES: [f64; 3] = [50.0, 99.0, 99.9];

pub(super) fn text(measured: &Measured, color: Color) -> anyhow::Result<()> {
    let paint = color.on(&io::stdout());
    let block = if io::stdout().is_terminal() { '█' } else { '#' };
    let mut out = Stdout::lock();
    writeln!(
        out,
        "{} over {}; the clock costs {}, subtracted from each latency\n",
        counted(measured.requests as u64, "request"),
        counted(measured.tokens as u64, "token"),
        nanoseconds(measured.timer)
    )?;
    let head = Painted::bold(paint, "latency, 1 thread");
    writeln!(out, "{head:<26} {:>12} {:>10} {:>10} {:>10} {:>10}", "decisions", "p50", "p99", "p99.9", "max")?;
    row(&mut out, "all", &measured.latency)?;
    for (outcome, latency) in &measured.outcomes {
        row(&mut out, &format!("  {}", name(*outcome)), latency)?;
    }
    writeln!(out)?;
    for line in lines(&measured.latency, block) {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "\n{}", Painted::bold(paint, "throughput"))?;
    for one in &measured.throughput {
        let threads = counted(one.threads as u64, "thread");
        writeln!(out, "{threads:<11} {:>12} decisions/s", grouped(per_second(one)))?;
    }
    Ok(out.flush()?)
}

fn row(out: &mut impl Write, name: &str, latency: &Histogram<u64>) -> io::Result<()> {
    let [p50, p99, p999] = PERCENTILES.map(|percentile| nanoseconds(latency.value_at_percentile(percentile)));
    let max = nanoseconds(latency.max());
    writeln!(out, "{name:<26} {:>12} {p50:>10} {p99:>10} {p999:>10} {max:>10}", grouped(latency.len()))
}

fn name(outcome: Option<Reason>) -> &'static str {
    outcome.map_or("allow", Reason::code)
}

fn per_second(throughput: &Throughput) -> u64 {
    rate(throughput.decisions, throughput.elapsed.as_nanos())
}

#[derive(Serialize)]
struct MeasuredJson {
    requests: usize,
    tokens: usize,
    timer_ns: u64,
    latency: LatencyJson,
    outcomes: Vec<OutcomeJson>,
    throughput: Vec<ThroughputJson>,
}

#[derive(Serialize)]
struct LatencyJson {
    decisions: u64,
    p50_ns: u64,
    p99_ns: u64,
    p99_9_ns: u64,
    max_ns: u64,
}

#[derive(Serialize)]
struct OutcomeJson {
    outcome: &'static str,
    #[serde(flatten)]
    latency: LatencyJson,
}

#[derive(Serialize)]
struct ThroughputJson {
    threads: usize,
    decisions: u64,
    decisions_per_second: u64,
}

impl LatencyJson {
    fn of(latency: &Histogram<u64>) -> Self {
        let [p50_ns, p99_ns, p99_9_ns] = PERCENTILES.map(|percentile| latency.value_at_percentile(percentile));
        Self { decisions: latency.len(), p50_ns, p99_ns, p99_9_ns, max_ns: latency.max() }
    }
}

pub(super) fn json(measured: &Measured) -> anyhow::Result<()> {
    let outcome = |(outcome, latency): (&Option<Reason>, &Histogram<u64>)| OutcomeJson {
        outcome: name(*outcome),
        latency: LatencyJson::of(latency),
    };
    let throughput = |one: &Throughput| ThroughputJson {
        threads: one.threads,
        decisions: one.decisions,
        decisions_per_second: per_second(one),
    };
    let measured = MeasuredJson {
        requests: measured.requests,
        tokens: measured.tokens,
        timer_ns: measured.timer,
        latency: LatencyJson::of(&measured.latency),
        outcomes: measured.outcomes.iter().map(outcome).collect(),
        throughput: measured.throughput.iter().map(throughput).collect(),
    };
    let mut out = Stdout::lock();
    serde_json::to_writer_pretty(&mut out, &measured)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
