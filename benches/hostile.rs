//! Measures policies and names that were made to be slow, as multiples of an ordinary decision on a name of equal
//! length.
//!
//! Every shape is one token with many patterns on one connection that hashes cannot distinguish, and names. In the
//! first shapes, a hostile client selects names for a policy that was written in good faith. In the other shapes,
//! policy and names are made for each other. `docs/design.md` explains the bounds.
//!
//! ```console
//! cargo bench -p portcullis-benches --bench hostile                  # all shapes
//! # Only shapes with `order` in their description, with 20,000 patterns each:
//! cargo bench -p portcullis-benches --bench hostile -- order 20000
//! ```
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::too_many_lines,
    clippy::unwrap_used,
    missing_docs,
    reason = "a benchmark that fails should stop"
)]

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use portcullis::base::Timestamp;
use portcullis::decision::{Request, Source, decide};
use portcullis::model::SecretDigest;
use portcullis::name::{Dialect, Name};
use portcullis::pattern::Pattern;
use portcullis::snapshot::{Options, Snapshot};
use portcullis_document::load;

/// The maximum length of a name.
const LONGEST: usize = 4096;

/// A policy and the requested names.
struct Shape {
    what: String,
    patterns: Vec<String>,
    names: Vec<(&'static str, String)>,
}

/// Concatenates `parts` up to the maximum length of a name. With `fill`, appends `x` up to this length.
fn name(parts: impl IntoIterator<Item = String>, fill: bool) -> String {
    let mut name = String::from("db.");
    for part in parts {
        if name.len() + part.len() + 2 > LONGEST {
            break;
        }
        name.push_str(&part);
    }
    if fill {
        name.push_str(&"x".repeat(LONGEST - 2 - name.len()));
    }
    name + ".t"
}

/// Returns numbers below `count` in a pseudorandom order.
fn scattered(count: usize) -> impl Iterator<Item = usize> {
    let mut state = 1_u64;
    std::iter::from_fn(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((state >> 33) as usize % count)
    })
}

/// Returns a sequence in which each combination of three of 16 letters occurs at most once.
fn each_three() -> String {
    // A De Bruijn sequence by the greedy rule: appends the highest letter that gives a new combination of three.
    let mut used = vec![false; 1 << 12];
    let mut letters = vec![0_usize; 3];
    used[0] = true;
    while letters.len() < LONGEST - 5 {
        let last = (letters[letters.len() - 2] << 4 | letters[letters.len() - 1]) & 0xff;
        let Some(next) = (0..16).rev().find(|letter| !used[last << 4 | letter]) else { break };
        used[last << 4 | next] = true;
        letters.push(next);
    }
    letters.into_iter().map(|letter| char::from(b'a' + letter as u8)).collect()
}

fn in_good_faith(scale: usize) -> Vec<Shape> {
    let of = |letter: char, range: std::ops::Range<usize>| range.map(move |at| format!("{letter}{at}"));
    let rare = || of('c', scale * 9 / 10..scale);
    let three = Shape {
        what: "`db.*a{n%97}*b{n%1009}*c{n}*.t`".into(),
        patterns: (0..scale).map(|n| format!("db.*a{}*b{}*c{n}*.t", n % 97, n % 1009)).collect(),
        names: vec![
            ("short, covered", "db.xa5yb12zc12.t".into()),
            ("short, not covered", "db.road_accidents_2024.t".into()),
            ("long, no literal of theirs", name(vec!["road_accidents_".into(); 999], false)),
            ("full of their literals", name(vec!["a1b2c3".into(); 999], false)),
            ("as many rare literals as fit", name(rare(), false)),
            ("the same after all other literals", name(of('a', 0..97).chain(of('b', 0..300)).chain(rare()), false)),
            ("all in the wrong order", name(rare().take(300).chain(of('b', 0..300)).chain(of('a', 0..97)), true)),
            (
                "wrong order, twice",
                name(
                    rare()
                        .take(100)
                        .chain(of('b', 0..150))
                        .chain(of('a', 0..97))
                        .chain(rare().take(100))
                        .chain(of('b', 0..150)),
                    true,
                ),
            ),
            ("all digits", name(scattered(scale).map(|n| n.to_string()), false)),
        ],
    };
    let one = Shape {
        what: "`db.*c{n}*.t`".into(),
        patterns: (0..scale).map(|n| format!("db.*c{n}*.t")).collect(),
        names: vec![
            ("as many as fit", name(rare(), false)),
            ("each of one letter", name(vec!["c".into(); 4096], false)),
        ],
    };
    let shapes = Shape {
        what: "300 shapes, `db.{s × n%300}*.{n/300}*`".into(),
        patterns: (0..scale).map(|n| format!("db.{}*.{}*", "s".repeat(n % 300 + 1), n / 300)).collect(),
        names: vec![
            ("not covered", "db.sssssssssss.z".into()),
            ("covered by many", format!("db.{}.77", "s".repeat(300))),
            ("long", format!("db.{}.77", "s".repeat(4000))),
        ],
    };
    let words = ["road", "rail", "river", "bridge", "tunnel", "signal", "station", "accident", "traffic", "speed"];
    let word = |n: usize| words[n % 10];
    let common = Shape {
        what: "common words, `db.*{word}*{word}*_{n}*.t`".into(),
        patterns: (0..scale).map(|n| format!("db.*{}*{}*_{n}_*.t", word(n), word(n / 10))).collect(),
        names: vec![
            ("short, covered", "db.raw_road_rail_10_x.t".into()),
            ("all words, over and over", name(vec![words.concat(); 99], false)),
            (
                "and as many numbers as fit",
                name(vec![words.concat(); 2].into_iter().chain(scattered(scale).map(|n| format!("_{n}_"))), false),
            ),
        ],
    };
    let one_letter = Shape {
        what: "`*a{n}*.*a{n}*. …` of 16 segments".into(),
        patterns: (0..scale / 4).map(|n| vec![format!("*a{n}*"); 16].join(".")).collect(),
        names: vec![
            ("one in each segment", (0..16).map(|n| format!("a{n}")).collect::<Vec<_>>().join(".")),
            ("all but one", format!("{}.a18", vec!["a17"; 15].join("."))),
            (
                "many in each",
                (0..16).map(|part| of('a', part..part + 40).collect::<String>()).collect::<Vec<_>>().join("."),
            ),
        ],
    };
    vec![three, one, shapes, common, one_letter]
}

fn conspiring(scale: usize) -> Vec<Shape> {
    let side = (scale as f64).cbrt() as usize;
    let all = |letter: char| (0..side).map(move |at| format!("{letter}{at}_"));
    let cubes = Shape {
        what: format!("`db.*a{{i}}_*b{{j}}_*c{{k}}_*.t`, each of {side}³"),
        patterns: (0..side * side * side)
            .map(|n| format!("db.*a{}_*b{}_*c{}_*.t", n % side, n / side % side, n / side / side))
            .collect(),
        names: vec![
            ("all, in the right order", name(all('a').chain(all('b')).chain(all('c')), false)),
            ("backwards", name(all('c').chain(all('b')).chain(all('a')), false)),
            ("the first two in order", name(all('c').chain(all('a')).chain(all('b')), false)),
            ("the last two in order", name(all('b').chain(all('c')).chain(all('a')), false)),
            ("backwards twice", name(all('c').chain(all('b')).chain(all('a')).cycle().take(6 * side), false)),
            ("backwards twice, long", name(all('c').chain(all('b')).chain(all('a')).cycle().take(6 * side), true)),
        ],
    };
    let bits = scale.ilog2() as usize;
    let bit = |at: usize, which: usize| format!("{}{}", char::from(b'a' + at as u8), which);
    let both = |at: usize| bit(at, 0) + &bit(at, 1);
    let subsets = Shape {
        what: format!("2^{bits} choices of `a0` or `a1`, `b0` or `b1`, …"),
        patterns: (0..1_usize << bits)
            .map(|n| {
                (0..bits).map(|at| bit(at, n >> at & 1)).fold("db.*".into(), |all: String, bit| all + &bit + "*") + ".t"
            })
            .collect(),
        names: vec![
            ("all but those of the last", name((0..bits - 1).map(both), false)),
            ("all but those of the middle", name((0..bits).filter(|&at| at != bits / 2).map(both), false)),
            ("the last one first", name(std::iter::once(both(bits - 1)).chain((0..bits - 1).map(both)), false)),
            ("the same, long", name(std::iter::once(both(bits - 1)).chain((0..bits - 1).map(both)), true)),
            (
                "long, each one over and over but the last",
                name(vec![(0..bits - 1).map(both).collect::<String>(); 99], false),
            ),
        ],
    };
    let nested = Shape {
        what: "nested literals, `db.*{a × n%1000}*b{n}*.t`".into(),
        patterns: (0..scale / 100).map(|n| format!("db.*{}*b{n}*.t", "a".repeat(n % 1000 + 1))).collect(),
        names: vec![
            ("full of them", name(vec!["a".into(); 4096], false)),
            ("and numbers", name(vec!["a".repeat(1000)].into_iter().chain((0..700).map(|n| format!("b{n}"))), false)),
        ],
    };
    let covering = Shape {
        what: "1,000 patterns that all cover, `db.*{a × n}*.t`".into(),
        patterns: (1..=1000).map(|n| format!("db.*{}*.t", "a".repeat(n))).collect(),
        names: vec![("full of them", name(vec!["a".into(); 4096], false))],
    };
    let threes = each_three();
    let at = |offset: usize| &threes[offset..offset + 3];
    let ordered = |backwards: bool| {
        let pairs = scattered(threes.len() / 2 - 3).zip(scattered(1_000_003)).take(scale);
        let of = pairs.map(|(first, second)| {
            let (first, second) = (at(first), at(threes.len() / 2 + second % (threes.len() / 2 - 3)));
            let (first, second) = if backwards { (second, first) } else { (first, second) };
            format!("db.*{first}*{second}*.t")
        });
        of.collect()
    };
    let orders = [true, false].map(|backwards| Shape {
        what: format!("two of 4,096 literals, {}", if backwards { "backwards" } else { "in order" }),
        patterns: ordered(backwards),
        names: vec![("each of them once", format!("db.{threes}.t"))],
    });
    let letters = |n: usize, count: usize, of: usize| {
        let mut left = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut letter = || {
            left = left.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'a' + (left >> 40) as u8 % of as u8)
        };
        (0..count).map(|_| letter()).collect::<String>()
    };
    let single = Shape {
        what: "24 of 8 letters in any order, `db.*a*c*b*…*.t`".into(),
        patterns: (0..scale)
            .map(|n| {
                letters(n, 24, 8).chars().fold(String::from("db.*"), |all, letter| format!("{all}{letter}*")) + ".t"
            })
            .collect(),
        names: vec![
            ("60 letters in any order", name([letters(7, 60, 8)], false)),
            ("4,000 letters in any order", name([letters(7, 4000, 8)], false)),
            ("sorted", name(["a".repeat(500), "b".repeat(500), "c".repeat(500)], false)),
        ],
    };
    let two_letters = Shape {
        what: "16 of 2 letters and 16 more, `db.*abba…*baab…*.t`".into(),
        patterns: (0..scale).map(|n| format!("db.*{}*{}*.t", letters(n, 16, 2), letters(n + scale, 16, 2))).collect(),
        names: vec![("4,000 of them in any order", name([letters(7, 4000, 2)], false))],
    };
    vec![cubes, subsets, nested, covering].into_iter().chain(orders).chain([single, two_letters]).collect()
}

fn compiled(sources: &[String]) -> (Snapshot, Duration) {
    let mut text = String::from(r#"[{"id":"tk","token":"s3cret","allowed_apis":["maps"],"grants":["#);
    for (at, source) in sources.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(text, r#"{comma}{{"connection_name":"c","source":"{source}"}}"#).unwrap();
    }
    text.push_str("]}]");
    let policy = load::policy(text).unwrap();
    let start = Instant::now();
    let snapshot = Snapshot::compile(&policy, &Options::default()).unwrap();
    (snapshot, start.elapsed())
}

/// Returns the minimum of several times in nanoseconds, and whether the name is allowed. Other load only increases
/// times.
fn time(snapshot: &Snapshot, name: &str, measured: bool) -> (f64, bool) {
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let request = Request::new("maps", "c").digest(SecretDigest::of("s3cret")).source(Source::Resource(name));
    let once = || decide(black_box(snapshot), black_box(&request), now).is_allow();
    let start = Instant::now();
    let covered = once();
    if !measured {
        return (start.elapsed().as_nanos() as f64, covered);
    }
    let calls = (500_000 / start.elapsed().as_nanos().max(1)).clamp(1, 500) as usize;
    let rounds = if calls == 1 { 3 } else { 40 };
    let round = |_| {
        let start = Instant::now();
        for _ in 0..calls {
            black_box(once());
        }
        start.elapsed().as_nanos() as f64 / calls as f64
    };
    ((0..rounds).map(round).fold(f64::INFINITY, f64::min), covered)
}

fn main() {
    // As a test, checks the decisions on small policies.
    let (options, arguments): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let measured = options.iter().any(|option| option == "--bench");
    let default = if measured { 100_000 } else { 600 };
    let scale = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(default);
    let filters: Vec<&String> = arguments.iter().filter(|argument| argument.parse::<usize>().is_err()).collect();
    let few = ["db.sales.*", "db.geo.raw_*", "db.geo.roads", "db.*.fct_*"].map(String::from);
    let (ordinary, _) = compiled(&few);
    println!("{:>60} | {:>43} | {:>5} | {:>11} | {:>9}", "patterns", "name", "bytes", "ns", "× ordinary");
    for Shape { what, patterns, names } in in_good_faith(scale).into_iter().chain(conspiring(scale)) {
        let wanted = |name: &str| filters.iter().all(|text| format!("{what} {name}").contains(text.as_str()));
        if !names.iter().any(|(name, _)| wanted(name)) {
            continue;
        }
        let (snapshot, build) = compiled(&patterns);
        let report = snapshot.report();
        println!(
            "{} patterns {what}: compiled in {:.2} s, {} bytes a pattern in the matcher; {}",
            patterns.len(),
            build.as_secs_f64(),
            report.matcher_bytes / patterns.len(),
            report.connections[0].why,
        );
        for (which, name) in names.iter().filter(|(name, _)| wanted(name)) {
            let as_long = format!("db.geo.raw_{}", "x".repeat(name.len().saturating_sub(11)));
            let (ordinary, _) = time(&ordinary, &as_long, measured);
            let (nanoseconds, covered) = time(&snapshot, name, measured);
            let read = Name::parse(name, Dialect::Generic).unwrap();
            let covers = |text: &String| Pattern::parse(text, Dialect::Generic).unwrap().covers(&read);
            assert_eq!(covered, patterns.iter().any(covers), "{what}: {which}");
            let covered = if covered { "allowed" } else { "denied" };
            println!(
                "{:>60} | {which:>43} | {:>5} | {nanoseconds:>11.0} | {:>9.2} {covered}",
                "",
                name.len(),
                nanoseconds / ordinary
            );
        }
    }
}
