//! Compares Portcullis with its floors and peers: all of them decide one workload, in one process.
//!
//! ```text
//! peers [--quick] [--n 1000,10000] [--date 2026-11-22] [--record DIR] [--only fields,patterns,hostile,swaps]
//! [--engines portcullis,hashed]
//! ```

mod agree;
mod casbins;
mod cedar;
mod door;
mod engine;
mod field;
mod floors;
mod gate;
mod goals;
mod hostile;
mod machine;
mod measure;
mod memory;
mod patterns;
mod plain;
mod plot;
mod policy;
mod profile;
mod record;
mod rego;
mod report;
mod requests;
mod sets;
mod swaps;
#[path = "../../workload/mod.rs"]
mod workload;

use std::path::PathBuf;
use std::time::Duration;

use measure::Effort;
use record::Record;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

struct Arguments {
    quick: bool,
    sizes: Option<Vec<usize>>,
    date: String,
    record: Option<PathBuf>,
    only: Vec<String>,
    engines: Vec<String>,
    profile: Option<String>,
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments {
        quick: false,
        sizes: None,
        date: "undated".into(),
        record: None,
        only: Vec::new(),
        engines: Vec::new(),
        profile: None,
    };
    let mut rest = std::env::args().skip(1);
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("expected a value after `{argument}`"));
        match argument.as_str() {
            "--quick" => found.quick = true,
            "--n" => {
                let sizes: Result<_, _> = value()?.split(',').map(str::parse).collect();
                found.sizes = Some(sizes.map_err(|_| "expected numbers after `--n`, such as `1000,10000`")?);
            }
            "--date" => found.date = value()?,
            "--record" => found.record = Some(value()?.into()),
            "--profile" => found.profile = Some(value()?),
            "--engines" => found.engines = value()?.split(',').map(str::to_owned).collect(),
            "--only" => found.only = value()?.split(',').map(str::to_owned).collect(),
            _ => return Err(format!("unknown argument `{argument}`")),
        }
    }
    Ok(found)
}

fn main() -> Result<(), String> {
    let arguments = arguments()?;
    let quick = arguments.quick;
    if let Some(what) = &arguments.profile {
        let tokens = arguments.sizes.and_then(|sizes| sizes.first().copied()).unwrap_or(10_000);
        return profile::profile(what, tokens, if quick { 1 } else { 500 });
    }
    let wanted = |part: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == part);
    let rounds = if quick { 8 } else { 64 };
    let turn = Duration::from_millis(if quick { 5 } else { 20 });
    let effort = Effort { rounds, decisions: 4096, turn };
    let sizes = if quick { vec![1000, 10_000] } else { vec![1000, 10_000, 100_000, 1_000_000] };
    let mut record = Record { swaps_tokens: 10_000, ..Record::default() };
    if wanted("fields") {
        for tokens in arguments.sizes.unwrap_or(sizes) {
            eprintln!("{tokens} tokens");
            record.fields.push(field::field(tokens, effort, 1, &arguments.engines));
        }
    }
    let clock = record.fields.first().map_or(0.0, |field| field.clock);
    let scale = if quick { 1000 } else { 100_000 };
    if wanted("patterns") {
        let counts = [10, 100, 1000, 10_000, 100_000].into_iter().filter(|count| *count <= scale);
        record.patterns = counts.map(|count| patterns::measure(count, rounds)).collect();
    }
    if wanted("hostile") {
        record.ordinary = hostile::ordinary(rounds);
        record.hostile = hostile::measure(scale, rounds);
    }
    if wanted("swaps") {
        let time = Duration::from_millis(if quick { 300 } else { 3000 });
        record.swaps = swaps::measure(record.swaps_tokens, time, clock);
    }
    let how = if quick { "a quick run, too short to be quoted" } else { "a full run" };
    let effort = format!("{how}: {rounds} turns of up to {} decisions for each engine", effort.decisions);
    let text = record.markdown(&arguments.date, &machine::describe(), &effort);
    print!("{text}");
    if let Some(folder) = arguments.record {
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).map_err(|error| error.to_string());
        write(&format!("{}-{}.md", arguments.date, machine::slug()), &text)?;
        if !record.fields.is_empty() {
            write("decide.svg", &plot::svg(&report::figure(&record.fields)))?;
        }
    }
    Ok(())
}
