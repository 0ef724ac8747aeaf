//! Policies and names that were made to be slow. The record shows their times as multiples of an ordinary decision of
//! the same run.

use std::time::{Duration, Instant};

use crate::patterns::{one_token, time};
use crate::plot::thousands;

/// The results of one shape.
pub struct Hostile {
    pub what: String,
    pub nanoseconds: f64,
    pub build: Duration,
}

pub fn measure(scale: usize, rounds: usize) -> Vec<Hostile> {
    let count = thousands(scale);
    let repeated = |name: String| vec![name; 64];
    let inner: Vec<String> = (0..scale).map(|at| format!("db.*a{}*b{}*c{}*.t", at % 97, at % 1009, at)).collect();
    let grants: Vec<String> = (0..scale)
        .map(|at| match at % 4 {
            0 => format!("db.s{at}.*"),
            1 => format!("db.*.p{at}_*"),
            _ => format!("db.s{}.table_{at}", at % 1000),
        })
        .collect();
    let shapes: Vec<String> = (0..scale).map(|at| format!("db.{}*.{}*", "s".repeat(at % 300 + 1), at / 300)).collect();
    let backtracking: Vec<String> = (1..=1000).map(|at| format!("db.{}b{at}", "*a".repeat(20) + "*")).collect();
    let stars = vec![format!("db.{}", "*a".repeat(1000) + "*b")];
    let long = |segment: &str| format!("db.{}", segment.repeat((4096 - 3) / segment.len()));
    let covered = |names: &[&str]| names.iter().cycle().take(64).map(|&name| name.to_owned()).collect::<Vec<_>>();
    vec![
        shape(
            &format!("{count} patterns of three inner stars, a name that one covers"),
            &inner,
            &covered(&["db.xa5yb12zc12.t", "db.a1b1c1.t"]),
            rounds,
        ),
        shape("the same, a name that none covers", &inner, &repeated("db.road_accidents_2024.t".into()), rounds),
        shape(
            "the same, a name of 4,096 bytes full of their literals",
            &inner,
            &repeated(format!("{}.t", &long("a1b2c3")[..4000])),
            rounds,
        ),
        shape(
            &format!("one token of {count} grants, covered"),
            &grants,
            &covered(&["db.s4.x", "db.y.p5_x", "db.s7.table_7"]),
            rounds,
        ),
        shape("the same, not covered", &grants, &repeated("db.z.table_1".into()), rounds),
        shape("the same, a name of 4,096 bytes", &grants, &repeated(long("x")), rounds),
        shape(
            &format!("{count} patterns of 300 shapes, not covered"),
            &shapes,
            &repeated("db.sssssssssss.z".into()),
            rounds,
        ),
        shape("1,000 patterns `*a*a*…*b`, a name of 4,093 `a`", &backtracking, &repeated(long("a")), rounds),
        shape("the same, a name of 40 `a`", &backtracking, &repeated(format!("db.{}", "a".repeat(40))), rounds),
        shape("one pattern of 1,001 stars, a name of 4,093 `a`", &stars, &repeated(long("a")), rounds),
    ]
}

/// Measures decisions of an ordinary token on names of 21 and 4,096 bytes, which shows the cost of the length alone.
pub fn ordinary(rounds: usize) -> [f64; 2] {
    let snapshot = one_token(&["db.sales.*".into(), "db.geo.raw_*".into(), "db.geo.roads".into(), "db.*.fct_*".into()]);
    let short = vec!["db.geo.raw_roads_0001".to_owned(); 64];
    let long = vec![format!("db.geo.raw_{}", "x".repeat(4085)); 64];
    [time(&snapshot, &short, rounds), time(&snapshot, &long, rounds)]
}

fn shape(what: &str, sources: &[String], names: &[String], rounds: usize) -> Hostile {
    eprintln!("hostile: {what}");
    let start = Instant::now();
    let snapshot = one_token(sources);
    let build = start.elapsed();
    Hostile { what: what.to_owned(), nanoseconds: time(&snapshot, names, rounds), build }
}
