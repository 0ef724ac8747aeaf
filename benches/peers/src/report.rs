//! The record, as Markdown.

use std::fmt::Write;

use crate::agree::Agreement;
use crate::field::{Field, Row};
use crate::hostile::Hostile;
use crate::patterns::Patterns;
use crate::plot::{Figure, Line, thousands};
use crate::swaps::Swaps;

/// All that a run measured.
#[derive(Default)]
pub struct Record {
    pub fields: Vec<Field>,
    pub patterns: Vec<Patterns>,
    /// Of 24 and of 4,096 bytes.
    pub ordinary: [f64; 2],
    pub hostile: Vec<Hostile>,
    pub swaps: Vec<Swaps>,
    pub swaps_tokens: usize,
}

macro_rules! line {
    ($text:expr, $($arguments:tt)*) => { writeln!($text, $($arguments)*).expect("a string grows") };
}

impl Record {
    pub fn markdown(&self, date: &str, machine: &[String], effort: &str) -> String {
        let mut text = format!("# Decisions beside floors and peers, {date}\n\n");
        for fact in machine {
            line!(text, "- {fact}");
        }
        line!(text, "- {effort}");
        line!(text, "\nHow to read it, and what is unfair in it: [the method](../README.md).\n");
        crate::goals::write(&mut text, self);
        for field in &self.fields {
            decisions(&mut text, field);
        }
        if !self.fields.is_empty() {
            builds(&mut text, &self.fields);
            answers(&mut text, &self.fields);
        }
        if !self.patterns.is_empty() {
            patterns(&mut text, &self.patterns);
        }
        if !self.hostile.is_empty() {
            hostile(&mut text, self);
        }
        if !self.swaps.is_empty() {
            swaps(&mut text, self);
        }
        text
    }
}

impl Field {
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    pub fn median(&self, name: &str) -> Option<f64> {
        self.row(name).map(|row| row.times.median)
    }
}

/// Three digits that matter, with thousands set apart.
pub fn nanoseconds(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { thousands(value.round() as usize) }
}

/// Each engine's median, by the number of tokens.
pub fn figure(fields: &[Field]) -> Figure {
    let mut names: Vec<&'static str> = Vec::new();
    for row in fields.iter().flat_map(|field| &field.rows) {
        if !names.contains(&row.name) {
            names.push(row.name);
        }
    }
    let line = |name: &'static str| Line {
        name,
        class: if name.starts_with("portcullis") {
            "own"
        } else if name.ends_with("floor") {
            "floor"
        } else {
            "peer"
        },
        points: fields.iter().filter_map(|field| Some((field.tokens, field.median(name)?))).collect(),
    };
    Figure { what: "Nanoseconds a decision", by: "number of tokens", lines: names.into_iter().map(line).collect() }
}

fn decisions(text: &mut String, field: &Field) {
    line!(text, "\n## {} tokens\n", thousands(field.tokens));
    line!(
        text,
        "{} grants; {} % of the requests are allowed. Nanoseconds a decision; the clock's own {:.0} ns are taken off single calls.\n",
        thousands(field.grants),
        field.allowed,
        field.clock
    );
    line!(
        text,
        "| engine | median | ÷ hashed floor | ÷ fast floor | ÷ portcullis, digest | single p50 | p99 | p99.9 | calls |"
    );
    line!(text, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let ratio = |value: f64, by: &str| match field.median(by) {
        Some(by) if value / by < 100.0 => format!("{:.2}", value / by),
        Some(by) => thousands((value / by) as usize),
        None => String::new(),
    };
    for row in &field.rows {
        let [p50, p99, p999] = row.times.single.map(nanoseconds);
        let median = row.times.median;
        let (hashed, fast, own) =
            (ratio(median, "hashed floor"), ratio(median, "fast floor"), ratio(median, "portcullis, digest"));
        let (name, median, calls) = (row.name, nanoseconds(median), thousands(row.times.calls));
        line!(text, "| {name} | {median} | {hashed} | {fast} | {own} | {p50} | {p99} | {p999} | {calls} |");
    }
}

fn builds(text: &mut String, fields: &[Field]) {
    line!(text, "\n## Building and holding\n");
    line!(
        text,
        "From the document to the first decision, on one core. The peers' time is without reading the document.\n"
    );
    line!(text, "| tokens | engine | seconds | grants a second | bytes a token | bytes a grant |");
    line!(text, "| ---: | --- | ---: | ---: | ---: | ---: |");
    for field in fields {
        for row in field.rows.iter().filter(|row| row.name != "portcullis, secret") {
            let (seconds, live) = (row.built.time.as_secs_f64(), row.built.live as f64);
            let (tokens, grants) = row.holds;
            let name = row.name.trim_end_matches(", digest");
            line!(
                text,
                "| {} | {name} | {seconds:.3} | {} | {:.0} | {:.1} |",
                thousands(field.tokens),
                thousands((grants as f64 / seconds) as usize),
                live / tokens as f64,
                live / grants as f64
            );
        }
        let (read, compile) = (field.read, field.compile);
        line!(
            text,
            "| | … reading the document | {:.3} | {} | {:.0} | {:.1} |",
            read.time.as_secs_f64(),
            thousands((field.grants as f64 / read.time.as_secs_f64()) as usize),
            read.live as f64 / field.tokens as f64,
            read.live as f64 / field.grants as f64
        );
        line!(
            text,
            "| | … compiling it | {:.3} | {} | | |",
            compile.time.as_secs_f64(),
            thousands((field.grants as f64 / compile.time.as_secs_f64()) as usize)
        );
        // The policy stays while it is compiled.
        let mebibytes = |bytes: usize| bytes >> 20;
        line!(
            text,
            "| | … at most, document and all: {} MiB reading, {} MiB compiling | | | | |",
            thousands(mebibytes(read.peak)),
            thousands(mebibytes(read.live + compile.peak))
        );
    }
}

fn answers(text: &mut String, fields: &[Field]) {
    line!(text, "\n## Answers\n");
    line!(text, "| tokens | engine | asked | disagrees | how |");
    line!(text, "| ---: | --- | ---: | ---: | --- |");
    let mut row = |tokens: usize, name: &str, agreement: &Agreement| {
        let disagree: usize = agreement.disagree.values().sum();
        let how: Vec<String> =
            agreement.disagree.iter().take(5).map(|(how, times)| format!("{times} × {how}")).collect();
        line!(
            text,
            "| {} | {name} | {} | {disagree} | {} |",
            thousands(tokens),
            thousands(agreement.asked),
            how.join("; ")
        );
    };
    for field in fields {
        row(field.tokens, "what the request was built for", &field.intention);
        if let Some(reference) = &field.reference {
            row(field.tokens, "the reference: reason, token and grant", reference);
        }
        for engine in field.rows.iter().filter(|row| row.agreement.asked > 0 && !row.name.starts_with("portcullis")) {
            row(field.tokens, engine.name, &engine.agreement);
        }
    }
}

fn patterns(text: &mut String, patterns: &[Patterns]) {
    line!(text, "\n## Pattern match alone\n");
    line!(
        text,
        "One token, one connection. Portcullis makes the whole decision from a digest; *match* is what is left of it less the same decision under a grant of all sources. The others match, and nothing else.\n"
    );
    line!(
        text,
        "| patterns | portcullis | ÷ at 10 | match | one `GlobSet` | ÷ portcullis | ÷ match | plain loop | disagree |"
    );
    line!(text, "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let first = patterns.first().map_or(1.0, |first| first.portcullis);
    for row in patterns {
        let (set, ratio) = match &row.globset {
            Ok(time) => (nanoseconds(*time), format!("{:.1} | {:.1}", time / row.portcullis, time / row.alone)),
            Err(why) => (format!("not built: {why}"), " | ".to_owned()),
        };
        line!(
            text,
            "| {} | {} | {:.2} | {} | {set} (built in {:.2} s) | {ratio} | {} | {} |",
            thousands(row.count),
            nanoseconds(row.portcullis),
            row.portcullis / first,
            nanoseconds(row.alone),
            row.globset_build.as_secs_f64(),
            nanoseconds(row.loops),
            row.disagree
        );
    }
}

fn hostile(text: &mut String, record: &Record) {
    let [short, long] = record.ordinary;
    line!(text, "\n## Hostile shapes\n");
    line!(
        text,
        "An ordinary decision from a digest, on a token of four grants: {} ns for a name of 21 bytes, {} ns for one of 4,096.\n",
        nanoseconds(short),
        nanoseconds(long)
    );
    line!(text, "| shape | ns a decision | ÷ ordinary | ÷ ordinary of 4,096 bytes | built in s |");
    line!(text, "| --- | ---: | ---: | ---: | ---: |");
    for shape in &record.hostile {
        let time = shape.nanoseconds;
        line!(
            text,
            "| {} | {} | {:.1} | {:.2} | {:.2} |",
            shape.what,
            nanoseconds(time),
            time / short,
            time / long,
            shape.build.as_secs_f64()
        );
    }
}

fn swaps(text: &mut String, record: &Record) {
    line!(text, "\n## Reading while swapping\n");
    line!(
        text,
        "{} tokens, through `Authorizer`, from a digest; the writer swaps without a pause.\n",
        thousands(record.swaps_tokens)
    );
    line!(
        text,
        "| readers | writer | decisions a second | … of processor time | swaps a second | single p50 | p99 | p99.9 |"
    );
    line!(text, "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for row in &record.swaps {
        let [p50, p99, p999] = row.single.map(nanoseconds);
        let writer = if row.writing { "swaps" } else { "none" };
        line!(
            text,
            "| {} | {writer} | {} | {} | {} | {p50} | {p99} | {p999} |",
            row.readers,
            thousands(row.decisions as usize),
            thousands(row.of_processor as usize),
            thousands(row.swaps as usize)
        );
    }
}
