//! Pattern match alone: one token with 10 to 100,000 patterns on one connection, against one `GlobSet` of them.
//!
//! Portcullis makes a whole decision from a digest. The set only matches a path that is already translated, so the
//! comparison favors the set.

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use portcullis::base::Timestamp;
use portcullis::decision::{Request, Source, decide};
use portcullis::model::SecretDigest;
use portcullis::snapshot::{Options, Snapshot};
use portcullis_document::load;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::measure::median_of;
use crate::plain::covers;
use crate::sets::{glob_set, path};
use crate::workload;

/// The results for one number of patterns, in nanoseconds.
pub struct Patterns {
    pub count: usize,
    pub portcullis: f64,
    /// The time of matching alone: the decision, minus the same decision under a grant of all sources.
    pub alone: f64,
    /// The time of the set, or the reason why there is none.
    pub globset: Result<f64, String>,
    pub loops: f64,
    pub disagree: usize,
    pub globset_build: Duration,
}

/// Returns distinct patterns of the three shapes of the workload.
fn patterns(count: usize) -> Vec<String> {
    (0..count)
        .map(|at| match at % 6 {
            0..3 => format!("warehouse_{:02}.schema_{:05}.*", at % 20, at),
            3..5 => format!("warehouse_{:02}.schema_{:05}.raw{}_*", at % 20, at / 3, at % 100),
            _ => format!("warehouse_{:02}.*.p{:05}_*", at % 20, at),
        })
        .collect()
}

/// Returns 1,024 names in random order, which a processor cannot predict. One pattern covers each of three in four
/// names.
fn names(patterns: &[String]) -> Vec<String> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    (0..1024)
        .map(|at| {
            let pattern = &patterns[random.random_range(0..patterns.len())];
            let name = pattern.replace('*', &format!("stores_{at:04}"));
            if random.random_ratio(1, 4) { name.replace("warehouse", "storehouse") } else { name }
        })
        .collect()
}

/// Compiles a policy of one token with these grants on one connection.
pub fn one_token(sources: &[String]) -> Snapshot {
    let mut text = String::from(r#"[{"id":"tk","token":"s3cret","allowed_apis":["maps"],"grants":["#);
    for (at, source) in sources.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"connection_name":"c","source":"{source}"}}"#).expect("a string grows");
    }
    text.push_str("]}]");
    let policy = load::policy(text).expect("a policy");
    Snapshot::compile(&policy, &Options::default()).expect("it compiles")
}

/// Returns the median nanoseconds for each decision on `names`, from a digest.
pub fn time(snapshot: &Snapshot, names: &[String], rounds: usize) -> f64 {
    let now: Timestamp = workload::NOW.parse().expect("an instant");
    let digest = SecretDigest::of("s3cret");
    median_of(rounds, || {
        let start = Instant::now();
        for name in names {
            let request = Request::new("maps", "c").digest(digest).source(Source::Resource(name));
            black_box(decide(snapshot, black_box(&request), now).is_allow());
        }
        start.elapsed().as_nanos() as f64 / names.len() as f64
    })
}

pub fn measure(count: usize, rounds: usize) -> Patterns {
    let patterns = patterns(count);
    let names = names(&patterns);
    let snapshot = one_token(&patterns);
    let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
    let start = Instant::now();
    let set = glob_set(&texts);
    let globset_build = start.elapsed();
    let paths: Vec<String> = names.iter().map(|name| path(name, &mut String::new()).to_owned()).collect();
    // The loop is slow with many patterns and gets fewer names. Agreement is tested on these names.
    let few = &names[..(2_000_000 / count).clamp(8, names.len())];
    let now: Timestamp = workload::NOW.parse().expect("an instant");
    let digest = SecretDigest::of("s3cret");
    let looped = |name: &str| texts.iter().any(|pattern| covers(pattern, name));
    let disagree = few.iter().filter(|name| {
        let request = Request::new("maps", "c").digest(digest).source(Source::Resource(name));
        let allows = decide(&snapshot, &request, now).is_allow();
        let matches = set.as_ref().map(|set| set.is_match(path(name, &mut String::new())));
        allows != looped(name) || matches.is_ok_and(|matches| matches != allows)
    });
    let disagree = disagree.count();
    let globset = set.as_ref().map_err(ToString::to_string).map(|set| {
        let paths = &paths[..few.len().max(64).min(paths.len())];
        median_of(rounds, || {
            let start = Instant::now();
            for path in paths {
                black_box(set.is_match(black_box(path)));
            }
            start.elapsed().as_nanos() as f64 / paths.len() as f64
        })
    });
    let loops = median_of(rounds.min(5), || {
        let start = Instant::now();
        for name in few {
            black_box(looped(black_box(name)));
        }
        start.elapsed().as_nanos() as f64 / few.len() as f64
    });
    let all = one_token(&["*".to_owned()]);
    let [portcullis, rest] = [&snapshot, &all].map(|snapshot| time(snapshot, &names, rounds));
    Patterns { count, portcullis, alone: (portcullis - rest).max(1.0), globset, loops, disagree, globset_build }
}
