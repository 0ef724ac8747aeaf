//! All patterns against all names of a world that is small enough to go through.
//!
//! Two segments; names over `a` and `b`, patterns over `a`, `b` and `*`, without adjacent stars. A pattern covers a name
//! where each segment covers its segment, so one table of segments says what is right; the table itself is made by the
//! naive half, and checked against the same glob as a regular expression.

use portcullis::decision::Reason;
use portcullis::name::{Dialect, Name, naive as name_naive};
use portcullis::pattern::{Pattern, naive};
use portcullis::snapshot::Options;
use portcullis_testkit::reference::ReferenceDecision;
use serde_json::{Value, json};

use crate::document;
use crate::engine::{by_engine, for_each_strategy, policy, snapshot};
use crate::request::{Asked, AskedSource, Presented};

/// All texts of up to `most` characters of `alphabet`, without adjacent stars.
fn segments(alphabet: &str, most: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut last = vec![String::new()];
    for _ in 0..most {
        let longer = |text: &String| alphabet.chars().map(|character| format!("{text}{character}")).collect::<Vec<_>>();
        last = last.iter().flat_map(longer).filter(|text| !text.contains("**")).collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// A world, and what is right in it.
struct Small {
    names: Vec<String>,
    patterns: Vec<String>,
    /// For each segment of a pattern, the segments of names that it covers.
    table: Vec<Vec<bool>>,
}

impl Small {
    fn new(most: usize) -> Self {
        let (names, patterns) = (segments("ab", most), segments("ab*", most));
        let covers = |pattern: &String, name: &String| {
            // A star of its own in another segment makes it a pattern, whatever the segment is.
            let whole = naive::parse(&format!("{pattern}.*"), Dialect::Generic).unwrap();
            let covers = naive::covers(&whole, &name_naive::segments(&format!("{name}.x"), Dialect::Generic).unwrap());
            let glob = regex::Regex::new(&format!("^{}$", pattern.replace('*', ".*"))).unwrap();
            assert_eq!(covers, glob.is_match(name), "{pattern:?} {name:?}");
            covers
        };
        let table = patterns.iter().map(|pattern| names.iter().map(|name| covers(pattern, name)).collect()).collect();
        Self { names, patterns, table }
    }

    /// Each pattern of two segments with at least one star: its text, and the places of its segments.
    fn patterns(&self) -> impl Iterator<Item = (String, [usize; 2])> {
        let segments = || self.patterns.iter().enumerate();
        let pairs = segments().flat_map(move |first| segments().map(move |second| (first, second)));
        let starred = pairs.filter(|((_, first), (_, second))| first.contains('*') || second.contains('*'));
        starred.map(|((at, first), (then, second))| (format!("{first}.{second}"), [at, then]))
    }

    /// Each name of two segments: its text, and the places of its segments.
    fn names(&self) -> impl Iterator<Item = (String, [usize; 2])> {
        let segments = || self.names.iter().enumerate();
        let pairs = segments().flat_map(move |first| segments().map(move |second| (first, second)));
        pairs.map(|((at, first), (then, second))| (format!("{first}.{second}"), [at, then]))
    }

    fn is_covered(&self, [first, second]: [usize; 2], [name, behind]: [usize; 2]) -> bool {
        self.table[first][name] && self.table[second][behind]
    }
}

fn token(index: usize, patterns: &[String]) -> Value {
    let grant = |source: &String| json!({ "connection_name": "dw", "source": source, "type": "pattern" });
    let grants: Vec<Value> = patterns.iter().map(grant).collect();
    json!({ "id": format!("{index}"), "token": format!("secret-{index}"), "allowed_apis": ["maps"], "grants": grants })
}

fn asked(index: usize, name: &str) -> Asked {
    Asked {
        credential: Presented::Secret(format!("secret-{index}")),
        api: "maps".to_owned(),
        operation: portcullis::model::Operation::Query,
        connection: "dw".to_owned(),
        sources: vec![AskedSource::Resource(name.to_owned())],
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
        for (name, behind) in &names {
            assert_eq!(pattern.covers(name), small.is_covered(at, *behind), "{text} {name:?}");
            pairs += 1;
        }
    }
    assert_eq!(pairs, 7_749 * 900);
}

/// Tokens of one pattern each: what one allows is what its pattern covers.
#[test]
fn each_pattern_allows_what_its_glob_matches() {
    let small = Small::new(3);
    let patterns: Vec<(String, [usize; 2])> = small.patterns().collect();
    let tokens: Vec<Value> =
        patterns.iter().enumerate().map(|(index, (text, _))| token(index, std::slice::from_ref(text))).collect();
    let document = json!({ "tokens": tokens });
    let snapshot = snapshot(&policy(&document), &Options::default());
    for (index, (text, at)) in patterns.iter().enumerate() {
        let mut question = asked(index, "");
        for (name, behind) in small.names() {
            let expected = if small.is_covered(*at, behind) {
                ReferenceDecision::Allow { token: format!("{index}"), grants: vec![0] }
            } else {
                ReferenceDecision::Deny(Reason::SourceNotGranted)
            };
            question.sources = vec![AskedSource::Resource(name)];
            assert_eq!(by_engine(&snapshot, &question), expected, "{text} {question:?}");
        }
    }
}

/// Tokens of a few patterns, of many, and of all: the answer is the most specific of those that cover the name, then
/// the first, whatever a compilation chooses.
#[test]
fn the_most_specific_of_the_covering_patterns_allows() {
    let small = Small::new(3);
    let patterns: Vec<(String, [usize; 2])> = small.patterns().collect();
    // Neighbours in the list are alike; each token shall have patterns of all sorts.
    let stride = 389;
    let mixed: Vec<&(String, [usize; 2])> =
        (0..patterns.len()).map(|at| &patterns[at * stride % patterns.len()]).collect();
    let mut chunks: Vec<&[&(String, [usize; 2])]> = vec![&mixed];
    chunks.extend(mixed.chunks(64));
    chunks.extend(mixed.chunks(9));
    let texts = |chunk: &[&(String, [usize; 2])]| chunk.iter().map(|(text, _)| text.clone()).collect::<Vec<_>>();
    let tokens: Vec<Value> = chunks.iter().enumerate().map(|(index, chunk)| token(index, &texts(chunk))).collect();
    let policy = policy(&json!({ "tokens": tokens }));

    let mut questions: Vec<(Asked, ReferenceDecision)> = Vec::new();
    for (index, chunk) in chunks.iter().enumerate() {
        for (name, behind) in small.names() {
            let covering = (0_u32..).zip(*chunk).filter(|(_, (_, at))| small.is_covered(*at, behind));
            let literal = |text: &str| text.chars().filter(|&character| character != '*').count();
            let best = covering.max_by_key(|(place, (text, _))| (literal(text), std::cmp::Reverse(*place)));
            let expected = match best {
                Some((place, _)) => ReferenceDecision::Allow { token: format!("{index}"), grants: vec![place] },
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
    // The reference agrees with the table, on a part: it goes through every pattern for every name.
    let reference = document::reference(&json!({ "tokens": tokens }));
    for (question, expected) in questions.iter().step_by(29) {
        assert_eq!(question.ask(|request, now| reference.decide(request, now)), *expected, "{question:?}");
    }
}
