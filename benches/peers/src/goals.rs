//! The goals, and whether the results meet them.

use std::fmt::Write;

use crate::field::Field;
use crate::plot::thousands;
use crate::record::Record;

struct Goal {
    what: String,
    measured: Vec<String>,
    holds: bool,
}

impl Goal {
    fn new(what: &str) -> Self {
        Self { what: what.to_owned(), measured: Vec::new(), holds: true }
    }

    fn at_most(&mut self, label: &str, value: f64, max: f64) {
        self.holds &= value <= max;
        self.measured.push(format!("{label}{value:.2}"));
    }

    fn at_least(&mut self, label: &str, value: f64, min: f64) {
        self.holds &= value >= min;
        self.measured.push(format!("{label}{value:.1}"));
    }
}

pub fn write(text: &mut String, record: &Record) {
    let mut goals = Vec::new();
    if !record.fields.is_empty() {
        goals.extend(decisions(&record.fields));
        goals.extend(peers(&record.fields));
        goals.extend(building(&record.fields));
    }
    goals.extend(shapes(record));
    goals.extend(swapping(record));
    let row = |goal: &Goal| {
        let holds = if goal.holds { "yes" } else { "**no**" };
        format!("| {} | {} | {holds} |\n", goal.what, goal.measured.join(", "))
    };
    writeln!(text, "## Goals\n\n| goal | measured | holds |\n| --- | --- | --- |").expect("a string grows");
    text.extend(goals.iter().filter(|goal| !goal.measured.is_empty()).map(row));
}

fn power(tokens: usize) -> String {
    format!("{}: ", thousands(tokens))
}

fn decisions(fields: &[Field]) -> Vec<Goal> {
    let mut full = Goal::new("full decision ÷ hashed floor, at most 1.75");
    let mut tail = Goal::new("full decision, p99.9 ÷ its median single call, at most 5");
    let mut digest = Goal::new("from a digest ÷ fast floor, at most 2.5");
    let mut ahead = Goal::new("plain loop ÷ from a digest, at the median, at least 1");
    let mut ahead_p99 = Goal::new("plain loop ÷ from a digest, p99 of single calls, at least 2");
    for field in fields {
        let at = power(field.tokens);
        let [Some(hashed), Some(fast), Some(secret), Some(known), Some(plain)] =
            ["hashed floor", "fast floor", "portcullis, secret", "portcullis, digest", "plain loop"]
                .map(|name| field.row(name))
        else {
            continue;
        };
        full.at_most(&at, secret.times.median / hashed.times.median, 1.75);
        tail.at_most(&at, secret.times.single[2] / secret.times.single[0], 5.0);
        digest.at_most(&at, known.times.median / fast.times.median, 2.5);
        ahead.at_least(&at, plain.times.median / known.times.median, 1.0);
        ahead_p99.at_least(&at, plain.times.single[1] / known.times.single[1], 2.0);
    }
    vec![full, tail, digest, ahead, ahead_p99]
}

fn peers(fields: &[Field]) -> Vec<Goal> {
    let peers = [("globset", 5.0), ("regex", 5.0), ("cedar-policy", 50.0), ("regorus", 50.0), ("casbin", 30.0)];
    let goals = peers.map(|(name, min)| {
        let mut goal = Goal::new(&format!("{name} ÷ from a digest, at least {min}"));
        for field in fields {
            if let (Some(peer), Some(known)) = (field.median(name), field.median("portcullis, digest")) {
                goal.at_least(&power(field.tokens), peer / known, min);
            }
        }
        goal
    });
    goals.into()
}

fn building(fields: &[Field]) -> Vec<Goal> {
    let mut build = Goal::new("from JSON, million grants a second, at least 1");
    let mut memory = Goal::new("bytes a token at 100,000 tokens, at most 250");
    let mut peak = Goal::new("peak GiB while building 1,000,000 tokens, at most 4");
    for field in fields {
        let Some(row) = field.row("portcullis, digest") else { continue };
        build.at_least(&power(field.tokens), field.grants as f64 / row.built.time.as_secs_f64() / 1e6, 1.0);
        if field.tokens == 100_000 {
            memory.at_most("", row.built.live as f64 / field.tokens as f64, 250.0);
        }
        if field.tokens == 1_000_000 {
            let bytes = field.read.peak.max(field.read.live + field.compile.peak);
            peak.at_most("", bytes as f64 / f64::from(1 << 30), 4.0);
        }
    }
    vec![build, memory, peak]
}

fn shapes(record: &Record) -> Vec<Goal> {
    let mut flat = Goal::new("pattern match alone, ÷ at 10 patterns, at most 1.5");
    let mut globset = Goal::new("one `GlobSet` ÷ portcullis's match, at least 3");
    let first = record.patterns.first().map_or(1.0, |first| first.portcullis);
    for row in &record.patterns {
        flat.at_most(&power(row.count), row.portcullis / first, 1.5);
        if let Ok(set) = row.globset {
            globset.at_least(&power(row.count), set / row.alone, 3.0);
        }
    }
    let mut hostile = Goal::new("hostile shapes ÷ an ordinary decision on a name as long, at most 5");
    for (at, shape) in record.hostile.iter().enumerate() {
        let long = shape.what.contains("4,09");
        let ordinary = record.ordinary[usize::from(long)];
        hostile.at_most(&format!("{}: ", at + 1), shape.nanoseconds / ordinary, 5.0);
    }
    vec![flat, globset, hostile]
}

fn swapping(record: &Record) -> Vec<Goal> {
    let of = |readers, writing| record.swaps.iter().find(|row| row.readers == readers && row.writing == writing);
    let mut scaling =
        Goal::new("two readers ÷ one reader, decisions a second if each has a whole processor, at least 1.8");
    let mut undisturbed = Goal::new("p99.9 of single calls with a writer ÷ without a writer, at most 1.5");
    if let (Some(one), Some(two), Some(with_writer)) = (of(1, false), of(2, false), of(1, true)) {
        scaling.at_least("", two.of_processor * 2.0 / one.of_processor, 1.8);
        undisturbed.at_most("", with_writer.single[2] / one.single[2], 1.5);
    }
    vec![scaling, undisturbed]
}
