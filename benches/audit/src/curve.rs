//! Measures the nanoseconds for each name on one core, by the number of distinct patterns on its connection.

use std::path::PathBuf;
use std::time::Duration;

use arrow_array::StringArray;
use cpu_time::ThreadTime;
use portcullis::model::{GrantSource, Limits};
use portcullis::name::Dialect;
use portcullis_audit::coverage::{Kernel, Matches};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::peers::{Each, Globs, Measured, Regexes, measure};
use crate::point::Point;
use crate::record;

/// The number of names in a batch, as in the command.
const BATCH: usize = 4096;

#[derive(clap::Args)]
pub struct Args {
    /// Numbers of patterns, with one measurement for each
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1000, 10_000, 100_000, 1_000_000])]
    patterns: Vec<usize>,
    /// Number of names
    #[arg(long, default_value_t = 1_000_000)]
    names: usize,
    /// Number of rounds. The result is their median
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Do not measure the peers
    #[arg(long)]
    alone: bool,
    /// Maximum time to build a peer, in seconds. A slower peer is not tried with more patterns
    #[arg(long, default_value_t = 20)]
    patience: u64,
    /// Date of the record
    #[arg(long, default_value = "undated")]
    date: String,
    /// Write the record and the figure to this folder
    #[arg(long)]
    record: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let mut points: Vec<Point> = Vec::new();
    for &count in &args.patterns {
        eprintln!("{count} patterns");
        let point = point(count, args, points.last());
        points.push(point);
    }
    record::write(&points, &args.date, args.record.as_deref())
}

const PREFIXES: [&str; 8] = ["raw", "stg", "mart", "dim", "fct", "tmp", "geo", "agg"];

/// Returns pattern number `at`. Each schema has ten patterns, and each database has a hundred schemas. All are
/// distinct.
fn pattern(at: usize) -> String {
    let (database, schema) = schema_path(at / 10);
    let path = format!("warehouse_{database:04}.schema_{schema:02}");
    match at % 10 {
        0 => format!("{path}.*"),
        prefix @ 1..5 => format!("{path}.{}_*", PREFIXES[prefix]),
        suffix @ 5..7 => format!("{path}.*_{}", suffix + 2020),
        7 => format!("{path}.raw_*_2024"),
        8 => format!("{path}.*_stores_*"),
        _ => format!("warehouse_{database:04}.*.raw_{schema:02}*"),
    }
}

fn schema_path(schema: usize) -> (usize, usize) {
    (schema / 100, schema % 100)
}

/// Returns names in the order of a catalog, with equally many in each schema. One in eight is in a database without
/// grants.
fn names(count: usize, patterns: usize) -> Vec<String> {
    let schemas = patterns.div_ceil(10);
    let each = count.div_ceil(schemas);
    let name = |at: usize| {
        let (schema, table) = (at / each, at % each);
        let (database, schema) = schema_path(schema);
        let kept = if table % 8 == 7 { "archive" } else { "warehouse" };
        let word = ["stores", "roads", "parcels"][table / 8 % 3];
        format!(
            "{kept}_{database:04}.schema_{schema:02}.{}_{word}_{:05}_{}",
            PREFIXES[table % 8],
            table,
            2020 + table % 7
        )
    };
    let mut names: Vec<String> = (0..count).map(name).collect();
    names.sort_unstable();
    names
}

fn point(count: usize, args: &Args, before: Option<&Point>) -> Point {
    let patterns: Vec<String> = (0..count).map(pattern).collect();
    let read = |text: &String| GrantSource::guess(text, Dialect::Generic, &Limits::default());
    let sources: Vec<GrantSource> = patterns.iter().map(read).collect::<Result<_, _>>().expect("they are patterns");
    let begun = ThreadTime::now();
    let kernel = Kernel::new(Dialect::Generic, &sources);
    let build = begun.elapsed();
    drop(sources);
    let names = names(args.names, count);
    let match_batch =
        |batch: &[String], matches: &mut Matches| kernel.covering(batch.iter().map(String::as_str), matches);
    let ordered = nanoseconds(&names, args.rounds, match_batch);
    let arrays: Vec<StringArray> =
        names.chunks(BATCH).map(|batch| StringArray::from_iter_values(batch.iter())).collect();
    let arrays = median(args.rounds, || {
        for array in &arrays {
            std::hint::black_box(kernel.covering_array(array).expect("a batch has few matches"));
        }
    }) / names.len() as f64;
    let mut shuffled = names.clone();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    let shuffled = nanoseconds(&shuffled, args.rounds, match_batch);
    let covering = average(&kernel, &names);
    let peers = if args.alone { Vec::new() } else { peers(&patterns, &kernel, &names, args, before) };
    Point { patterns: count, names: names.len(), covering, build, ordered, arrays, shuffled, peers }
}

/// Returns the mean number of patterns that cover a name.
fn average(kernel: &Kernel, names: &[String]) -> f64 {
    let (mut matches, mut found) = (Matches::default(), 0);
    for batch in names.chunks(BATCH) {
        kernel.covering(batch.iter().map(String::as_str), &mut matches);
        found += (0..batch.len()).filter_map(|at| matches.get(at)).map(<[u32]>::len).sum::<usize>();
    }
    found as f64 / names.len() as f64
}

fn nanoseconds(names: &[String], rounds: usize, mut match_batch: impl FnMut(&[String], &mut Matches)) -> f64 {
    let mut matches = Matches::default();
    median(rounds, || names.chunks(BATCH).for_each(|batch| match_batch(batch, &mut matches))) / names.len() as f64
}

fn median(rounds: usize, mut run: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..rounds.max(1))
        .map(|_| {
            let begun = ThreadTime::now();
            run();
            begun.elapsed().as_nanos() as f64
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

fn peers(
    patterns: &[String],
    kernel: &Kernel,
    names: &[String],
    args: &Args,
    before: Option<&Point>,
) -> Vec<(&'static str, Result<Measured, String>)> {
    let time = Duration::from_millis(1500);
    let patience = Duration::from_secs(args.patience);
    // A peer that failed or was slow to build with fewer patterns is not tried with more.
    let tried = |name: &'static str, run: &dyn Fn() -> Result<Measured, String>| {
        let before = before.and_then(|point| point.peers.iter().find(|(known, _)| *known == name));
        let result = match before {
            Some((_, Err(why))) => Err(why.clone()),
            Some((_, Ok(found))) if found.build > patience => Err(format!(
                "not tried: with a tenth of the patterns it took {:.0} s to build",
                found.build.as_secs_f64()
            )),
            _ => run(),
        };
        (name, result)
    };
    vec![
        tried("globset", &|| measure(|| Globs::new(patterns), kernel, names, time)),
        tried("RegexSet", &|| measure(|| Regexes::new(patterns), kernel, names, time)),
        tried("each by itself", &|| measure(|| Each::new(patterns), kernel, names, time)),
    ]
}
