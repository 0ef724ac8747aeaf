//! Writes a record as Markdown.

use std::fmt::Write;

use crate::agree::Agreement;
use crate::field::Field;
use crate::patterns::Patterns;
use crate::plot::{Figure, Line, thousands};
use crate::record::Record;

macro_rules! line {
    ($text:expr, $($arguments:tt)*) => { writeln!($text, $($arguments)*).expect("a string grows") };
}

impl Record {
    pub fn markdown(&self, date: &str, machine: &[String], effort: &str) -> String {
        let mut text = format!("# Decisions compared with floors and peers, {date}\n\n");
        for fact in machine {
            line!(text, "- {fact}");
        }
        line!(text, "- {effort}");
        paragraph(
            &mut text,
            "This record compares the decisions of Portcullis with two floors and six peers. [The method](../README.md) \
             explains how to read it, and what is unfair in it.",
        );
        text.push('\n');
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

/// Writes an empty line and a paragraph, wrapped at 118 columns.
fn paragraph(text: &mut String, words: &str) {
    let mut columns = 0;
    for word in words.split(' ') {
        let length = word.chars().count();
        let is_first = columns == 0;
        if is_first || columns + 1 + length > 118 {
            text.push('\n');
            columns = length;
        } else {
            text.push(' ');
            columns += 1 + length;
        }
        text.push_str(word);
    }
    text.push('\n');
}

/// Formats a number with one decimal if it is below 10, and otherwise as an integer with separated thousands.
fn nanoseconds(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { thousands(value.round() as usize) }
}

/// Returns the figure of each engine's median by the number of tokens.
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
    line!(text, "\n## {} tokens", thousands(field.tokens));
    let words = format!(
        "{} grants; {} % of the requests are allowed. Times are nanoseconds for each decision. The clock's own {:.0} ns are \
         subtracted from single calls.",
        thousands(field.grants),
        field.allowed,
        field.clock
    );
    paragraph(text, &words);
    text.push('\n');
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
    line!(text, "\n## Building and holding");
    paragraph(
        text,
        "From the policy file to the first decision, on one core. The time of the peers does not include reading the \
         policy file.",
    );
    text.push('\n');
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
            "| | … reading the policy file | {:.3} | {} | {:.0} | {:.1} |",
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
        // The policy stays in memory while it is compiled.
        let mebibytes = |bytes: usize| bytes >> 20;
        line!(
            text,
            "| | … peak, including the policy file: {} MiB reading, {} MiB compiling | | | | |",
            thousands(mebibytes(read.peak)),
            thousands(mebibytes(read.live + compile.peak))
        );
    }
}

fn answers(text: &mut String, fields: &[Field]) {
    line!(text, "\n## Answers\n");
    line!(text, "| tokens | compared with | requests | different | how |");
    line!(text, "| ---: | --- | ---: | ---: | --- |");
    let mut row = |tokens: usize, name: &str, agreement: &Agreement| {
        let disagree: usize = agreement.disagree.values().sum();
        let how: Vec<String> =
            agreement.disagree.iter().take(5).map(|(how, times)| format!("{times} × {how}")).collect();
        line!(
            text,
            "| {} | {name} | {} | {disagree} | {} |",
            thousands(tokens),
            thousands(agreement.requests),
            how.join("; ")
        );
    };
    for field in fields {
        row(field.tokens, "the intended decision", &field.intention);
        if let Some(reference) = &field.reference {
            row(field.tokens, "the reference: reason, token and grant", reference);
        }
        for engine in field.rows.iter().filter(|row| row.agreement.requests > 0 && !row.name.starts_with("portcullis"))
        {
            row(field.tokens, engine.name, &engine.agreement);
        }
    }
}

fn patterns(text: &mut String, patterns: &[Patterns]) {
    line!(text, "\n## Pattern match alone");
    paragraph(
        text,
        "One token, one connection. The column *portcullis* is the whole decision from a digest. *match* is that time \
         minus the time of the same decision under a grant of all sources. The other engines only match.",
    );
    text.push('\n');
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
    line!(text, "\n## Hostile shapes");
    let words = format!(
        "An ordinary decision from a digest, on a token of four grants: {} ns for a name of 21 bytes, {} ns for a name of \
         4,096 bytes.",
        nanoseconds(short),
        nanoseconds(long)
    );
    paragraph(text, &words);
    text.push('\n');
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
