//! Compares all patterns with all names of a small alphabet.
//!
//! Names and patterns have two segments. Names use `a` and `b`, and patterns use `a`, `b` and `*` without adjacent
//! stars. A pattern covers a name if each of its segments covers the segment of the name. So one table of segments
//! gives the expected results. The naive implementation fills the table, and a regular expression checks each entry.

use portcullis::decision::Reason;
use portcullis::name::{Dialect, Name, naive as name_naive};
use portcullis::pattern::{Pattern, naive};
use portcullis::snapshot::Options;
use portcullis_testkit::reference::ReferenceDecision;
use serde_json::{Value, json};

use crate::document;
use crate::engine::{by_engine, for_each_strategy, policy, snapshot};
use crate::request::{OwnedRequest, OwnedSource, Presented};

/// Returns all texts of up to `max` characters of `alphabet`, without adjacent stars.
fn segments(alphabet: &str, max: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut last = vec![String::new()];
    for _ in 0..max {
        let longer = |text: &String| alphabet.chars().map(|character| format!("{text}{character}")).collect::<Vec<_>>();
        last = last.iter().flat_map(longer).filter(|text| !text.contains("**")).collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// The segments of names and patterns, and the expected results.
struct Small {
    names: Vec<String>,
    patterns: Vec<String>,
    /// For each segment of a pattern and each segment of a name, whether the first covers the second.
    table: Vec<Vec<bool>>,
}

impl Small {
    fn new(max: usize) -> Self {
        let (names, patterns) = (segments("ab", max), segments("ab*", max));
        let covers = |pattern: &String, name: &String| {
            // A star in another segment makes the text a pattern, even if `pattern` has no star.
            let whole = naive::parse(&format!("{pattern}.*"), Dialect::Generic).unwrap();
            let covers = naive::covers(&whole, &name_naive::segments(&format!("{name}.x"), Dialect::Generic).unwrap());
            let glob = regex::Regex::new(&format!("^{}$", pattern.replace('*', ".*"))).unwrap();
            assert_eq!(covers, glob.is_match(name), "{pattern:?} {name:?}");
            covers
        };
        let table = patterns.iter().map(|pattern| names.iter().map(|name| covers(pattern, name)).collect()).collect();
        Self { names, patterns, table }
    }

    /// Returns each pattern of two segments with at least one star: its text, and the indexes of its segments.
    fn patterns(&self) -> impl Iterator<Item = (String, [usize; 2])> {
        let segments = || self.patterns.iter().enumerate();
        let pairs = segments().flat_map(move |first| segments().map(move |second| (first, second)));
        let starred = pairs.filter(|((_, first), (_, second))| first.contains('*') || second.contains('*'));
        starred.map(|((at, first), (then, second))| (format!("{first}.{second}"), [at, then]))
    }

    /// Returns each name of two segments: its text, and the indexes of its segments.
    fn names(&self) -> impl Iterator<Item = (String, [usize; 2])> {
        let segments = || self.names.iter().enumerate();
        let pairs = segments().flat_map(move |first| segments().map(move |second| (first, second)));
        pairs.map(|((at, first), (then, second))| (format!("{first}.{second}"), [at, then]))
    }

    fn is_covered(&self, pattern: [usize; 2], name: [usize; 2]) -> bool {
        self.table[pattern[0]][name[0]] && self.table[pattern[1]][name[1]]
    }
}

fn token(index: usize, patterns: &[String]) -> Value {
    let grant = |source: &String| json!({ "connection_name": "dw", "source": source, "type": "pattern" });
    let grants: Vec<Value> = patterns.iter().map(grant).collect();
    json!({ "id": format!("{index}"), "token": format!("secret-{index}"), "allowed_apis": ["maps"], "grants": grants })
}

fn asked(index: usize, name: &str) -> OwnedRequest {
    OwnedRequest {
        credential: Presented::Secret(format!("secret-{index}")),
        api: "maps".to_owned(),
        operation: portcullis::model::Operation::Query,
        connection: "dw".to_owned(),
        sources: vec![OwnedSource::Resource(name.to_owned())],
        referer: None,
        now: portcullis::base::Timestamp::from_unix(0, 0),
    }
}

#[test]
fn each_pattern_covers_what_its_glob_matches() {
    let small = Small::new(4);
    let names: Vec<(Name, [usize; 2])> =
        small.names().map(|(text, at)| (Name::parse(&text, Dialect::Generic).unwrap(), at)).collect();
    let mut pairs = 0_usize;
    for (text, at) in small.patterns() {
        let pattern = Pattern::parse(&text, Dialect::Generic).unwrap();
        for (name, indexes) in &names {
            assert_eq!(pattern.covers(name), small.is_covered(at, *indexes), "{text} {name:?}");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 7_749 * 900);
}

/// Each token has one pattern, and allows the names that the pattern covers.
#[test]
fn each_pattern_allows_what_its_glob_matches() {
    let small = Small::new(3);
    let patterns: Vec<(String, [usize; 2])> = small.patterns().collect();
    let tokens: Vec<Value> =
        patterns.iter().enumerate().map(|(index, (text, _))| token(index, std::slice::from_ref(text))).collect();
    let document = json!({ "tokens": tokens });
    let snapshot = snapshot(&policy(&document), &Options::default());
    for (index, (text, at)) in patterns.iter().enumerate() {
        let mut request = asked(index, "");
        for (name, indexes) in small.names() {
            let expected = if small.is_covered(*at, indexes) {
                ReferenceDecision::Allow { token: format!("{index}"), grants: vec![0] }
            } else {
                ReferenceDecision::Deny(Reason::SourceNotGranted)
            };
            request.sources = vec![OwnedSource::Resource(name)];
            assert_eq!(by_engine(&snapshot, &request), expected, "{text} {request:?}");
        }
    }
}

/// Tokens have a few, many or all patterns. With every strategy, the first of the most specific covering patterns
/// allows.
#[test]
fn most_specific_covering_pattern_allows() {
    let small = Small::new(3);
    let patterns: Vec<(String, [usize; 2])> = small.patterns().collect();
    // Adjacent patterns in the list are similar. A stride gives each token a mixture.
    let stride = 389;
    let mixed: Vec<&(String, [usize; 2])> =
        (0..patterns.len()).map(|at| &patterns[at * stride % patterns.len()]).collect();
    let mut chunks: Vec<&[&(String, [usize; 2])]> = vec![&mixed];
    chunks.extend(mixed.chunks(64));
    // The larger chunks have every pattern already.
    chunks.extend(mixed.chunks(9).step_by(4));
    let texts = |chunk: &[&(String, [usize; 2])]| chunk.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>();
    let tokens: Vec<Value> = chunks.iter().enumerate().map(|(index, chunk)| token(index, &texts(chunk))).collect();
    let policy = policy(&json!({ "tokens": tokens }));

    let mut questions: Vec<(OwnedRequest, ReferenceDecision)> = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        for (name, indexes) in small.names() {
            let covering = (0_u32..).zip(*chunk).filter(|(_, (_, at))| small.is_covered(*at, indexes));
            let literal = |text: &str| text.chars().filter(|&character| character != '*').count();
            let best = covering.max_by_key(|(grant, (text, _))| (literal(text), std::cmp::Reverse(*grant)));
            let expected = match best {
                Some((grant, _)) => ReferenceDecision::Allow { token: format!("{index}"), grants: vec![grant] },
                None => ReferenceDecision::Deny(Reason::SourceNotGranted),
            };
            questions.push((asked(index, &name), expected));
        }
    }
    for_each_strategy(|strategy, options| {
        let snapshot = snapshot(&policy, options);
        for (question, expected) in &questions {
            assert_eq!(by_engine(&snapshot, question), *expected, "{strategy}: {question:?}");
        }
    });
    // Compares the reference with the table only on a part: the reference tries every pattern for every name.
    let reference = document::reference(&json!({ "tokens": tokens }));
    for (question, expected) in questions.iter().step_by(29) {
        assert_eq!(question.with(|request, now| reference.decide(request, now)), *expected, "{question:?}");
    }
}
