//! The text format of Prometheus, parsed strictly by its specification, and by `promtool` if it is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use super::running::{ask, options, serve};
use super::util::policy;

/// One sample: its labels with their values, and its value.
type Samples = Vec<(BTreeMap<String, String>, f64)>;

/// A metric.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    help: String,
    /// The samples, by name.
    samples: BTreeMap<String, Samples>,
}

/// Parses the text. Panics at whatever Prometheus, or a strict reader of its specification, does not accept.
fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n') && !text.contains('\r') && !text.contains("\n\n"), "{text}");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (keyword, rest) = comment.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            let (name, rest) = rest.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(name), "{line}");
            match keyword {
                "HELP" => {
                    let family = Family { help: rest.to_owned(), ..Family::default() };
                    assert!(families.insert(name.to_owned(), family).is_none(), "twice: {line}");
                    name.clone_into(&mut current);
                }
                "TYPE" => {
                    assert!(["counter", "gauge", "histogram", "summary", "untyped"].contains(&rest), "{line}");
                    let family = families.get_mut(name).unwrap_or_else(|| panic!("no help: {line}"));
                    assert!(name == current && family.kind.is_empty() && family.samples.is_empty(), "{line}");
                    rest.clone_into(&mut family.kind);
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        assert!(!line.starts_with('#'), "{line}");
        let (name, labels, value) = sample(line);
        let family = families.get_mut(&current).unwrap_or_else(|| panic!("{line}"));
        let suffix = name.strip_prefix(&*current).unwrap_or_else(|| panic!("not a sample of {current}: {line}"));
        let suffixes: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(suffixes.contains(&suffix), "{line}");
        let samples = family.samples.entry(name).or_default();
        assert!(samples.iter().all(|(others, _)| *others != labels), "twice: {line}");
        samples.push((labels, value));
    }
    families
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || "_:".contains(first))
        && characters.all(|character| character.is_ascii_alphanumeric() || "_:".contains(character))
}

/// Parses `name{label="value",…} value`.
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(label) && !label.contains(':'), "{line}");
            let (mut value, mut characters) = (String::new(), after.char_indices());
            let end = loop {
                match characters.next().unwrap_or_else(|| panic!("{line}")) {
                    (at, '"') => break at,
                    (_, '\\') => match characters.next() {
                        Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                        Some((_, 'n')) => value.push('\n'),
                        _ => panic!("{line}"),
                    },
                    (_, character) => value.push(character),
                }
            };
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = &after[end + 1..];
            match rest.chars().next() {
                Some(',') => rest = &rest[1..],
                Some('}') => break,
                _ => panic!("{line}"),
            }
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "one value, and no time: {line}");
    (name.to_owned(), labels, value.parse().unwrap())
}

/// Checks the text of Prometheus, and that it has the samples of `open`, the same metrics in `OpenMetrics`.
pub(super) fn check(text: &str, open: &str) {
    let families = parse(text);
    for (name, family) in &families {
        assert!(!family.samples.is_empty(), "{name} has no sample");
        assert!(!family.help.is_empty() && family.help != *name, "{name} has no help");
        assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name} is a {}", family.kind);
        if family.kind == "histogram" {
            check_histogram(name, family);
        }
    }
    let samples = |text: &str| -> BTreeSet<String> {
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    };
    assert_eq!(samples(text), samples(open));
    promtool(text);
}

fn check_histogram(name: &str, family: &Family) {
    let only = |suffix: &str| match &*family.samples[&format!("{name}{suffix}")] {
        [(labels, value)] if labels.is_empty() => *value,
        other => panic!("{other:?}"),
    };
    let buckets = &family.samples[&format!("{name}_bucket")];
    let bounds: Vec<f64> = buckets.iter().map(|(labels, _)| labels["le"].parse().unwrap()).collect();
    assert!(bounds.windows(2).all(|two| two[0] < two[1]) && bounds.last() == Some(&f64::INFINITY), "{bounds:?}");
    assert!(buckets.windows(2).all(|two| two[0].1 <= two[1].1), "{buckets:?}");
    assert!((buckets.last().unwrap().1 - only("_count")).abs() < f64::EPSILON, "{buckets:?}");
    assert!(only("_sum") >= 0.0);
}

/// Runs `promtool check metrics`, of the Debian package `prometheus`.
fn promtool(text: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        eprintln!("left out: promtool is not installed. The format is checked by the parser of this test only");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{text}");
}

#[test]
fn parser_rejects_what_prometheus_does_not_accept() {
    let rejects = |text: &str| {
        let parsed = std::panic::catch_unwind(|| parse(text));
        assert!(parsed.is_err(), "{text}: {parsed:?}");
    };
    let head = "# HELP a_total A\n# TYPE a_total counter\n";
    for line in
        ["a_total 1\n", "a_total{x=\"a\\\"\\\\\\nb\",y=\"\"} 1.5\n", "a_total{x=\"1\"} 1\na_total{x=\"2\"} 1e-7\n"]
    {
        parse(&format!("{head}{line}"));
    }
    for line in [
        "a_total 1",
        "a 1\n",
        "b_total 1\n",
        "a_total 1\na_total 2\n",
        "a_total{x=\"1\",x=\"2\"} 1\n",
        "a_total{x=\"1\",} 1\n",
        "a_total{x=\"\\x\"} 1\n",
        "a_total{1x=\"\"} 1\n",
        "a_total 1 1700000000 # {}\n",
        "a_total one\n",
        "# EOF\n",
        "# UNIT a_total seconds\n",
        "# TYPE a_total counter\n",
        "# HELP a_total A\n# TYPE a_total counter\n",
    ] {
        rejects(&format!("{head}{line}"));
    }
    rejects("# HELP a A\n# TYPE a info\n");
    rejects("a_total 1\n");
}

#[test]
fn metrics_are_answered_in_the_format_that_the_client_prefers() {
    let server = serve(Some(&policy("t")), options());
    let scrape = |accept: &[(&str, &str)]| ask(server.admin, "GET /metrics", accept, "");
    let (open, plain) = (scrape(&[]), scrape(&[("accept", "text/plain;version=0.0.4;q=0.5, */*;q=0.1")]));
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(open.body.ends_with("# EOF\n") && !plain.body.contains("# EOF"));
    let families = parse(&plain.body);
    assert_eq!(families["portcullis_build_info"].kind, "gauge");
    assert_eq!(families["portcullis_decisions_total"].kind, "counter");
    assert!(families.len() > 20, "{}", families.len());
    promtool(&plain.body);
}
