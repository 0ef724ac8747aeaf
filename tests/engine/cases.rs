//! Runs the cases of `tests/data` against the engine and the naive implementations.

use portcullis::model::{GrantKind, GrantSource, Limits};
use portcullis::name::{Dialect, Name};
use portcullis::pattern::Pattern;
use portcullis::query::{NormalForm, Query};
use portcullis::referer::{Entry, Referer, RefererSet};
use serde::Deserialize;
use serde::de::DeserializeOwned;

fn cases<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let path = crate::repository().join("tests/data").join(file);
    let cases: Vec<T> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(cases.len() >= 10, "{file} has only {} cases", cases.len());
    cases
}

#[derive(Deserialize)]
struct NameCase {
    dialect: String,
    #[serde(default)]
    case_sensitive: bool,
    text: String,
    segments: Option<Vec<String>>,
    why: String,
}

#[test]
fn names_are_parsed_as_the_cases_expect() {
    for NameCase { dialect, case_sensitive, text, segments, why } in cases("names.json") {
        let mut dialect: Dialect = dialect.parse().unwrap();
        if case_sensitive {
            dialect = dialect.with_case_sensitive(true).unwrap();
        }
        let name = Name::parse(&text, dialect).ok();
        let found = name.as_ref().map(|name| name.segments().collect::<Vec<_>>());
        assert_eq!(found, segments, "{dialect} {text:?}: {why}");
        assert_eq!(portcullis::name::naive::segments(&text, dialect), segments, "reference, {dialect} {text:?}: {why}");
        if let Some(name) = name {
            let written = name.display(dialect).to_string();
            assert_eq!(Name::parse(&written, dialect), Ok(name), "{dialect} {text:?} is displayed as {written:?}");
        }
    }
}

#[derive(Deserialize)]
struct PatternCase {
    dialect: String,
    pattern: String,
    covers: Vec<String>,
    leaves: Vec<String>,
    why: String,
}

#[test]
fn patterns_cover_the_names_that_the_cases_expect() {
    for PatternCase { dialect, pattern: text, covers, leaves, why } in cases("patterns.json") {
        let dialect: Dialect = dialect.parse().unwrap();
        let pattern = Pattern::parse(&text, dialect).unwrap();
        let names = covers.iter().map(|name| (name, true)).chain(leaves.iter().map(|name| (name, false)));
        for (name, expected) in names {
            let parsed = Name::parse(name, dialect).unwrap();
            assert_eq!(pattern.covers(&parsed), expected, "{text} and {name} in {dialect}: {why}");
        }
        let written = pattern.display(dialect).to_string();
        assert_eq!(Pattern::parse(&written, dialect), Ok(pattern), "{text} is displayed as {written}");
    }
}

#[derive(Deserialize)]
struct QueryCase {
    query: String,
    covers: Vec<String>,
    leaves: Vec<String>,
    why: String,
}

#[test]
fn queries_equal_the_texts_that_the_cases_expect() {
    for QueryCase { query: text, covers, leaves, why } in cases("queries.json") {
        let query = Query::parse(&text, usize::MAX).unwrap();
        let asked = covers.iter().map(|asked| (asked, true)).chain(leaves.iter().map(|asked| (asked, false)));
        for (asked, expected) in asked {
            let form = NormalForm::of(asked, usize::MAX).unwrap();
            assert_eq!(form.is(query.as_str()), expected, "{text:?} and {asked:?}: {why}");
            let naive = portcullis::query::naive::normal(asked);
            assert_eq!(naive.as_deref() == Some(query.as_str()), expected, "reference, {text:?} and {asked:?}: {why}");
        }
    }
}

#[derive(Deserialize)]
struct RefererCase {
    entries: Vec<String>,
    accepts: Vec<String>,
    refuses: Vec<String>,
    why: String,
}

#[test]
fn referer_sets_accept_the_headers_that_the_cases_expect() {
    for RefererCase { entries, accepts, refuses, why } in cases("referers.json") {
        let set = RefererSet::new(entries.iter().map(|entry| Entry::parse(entry).unwrap()));
        let headers = accepts.iter().map(|header| (header, true)).chain(refuses.iter().map(|header| (header, false)));
        for (header, expected) in headers {
            let found = Referer::parse(header).is_some_and(|referer| set.matches(&referer));
            assert_eq!(found, expected, "{entries:?} and {header:?}: {why}");
        }
    }
}

#[derive(Deserialize)]
struct SourceCase {
    source: String,
    kind: Option<String>,
    why: String,
}

#[test]
fn sources_without_a_type_get_the_kind_that_the_cases_expect() {
    for SourceCase { source, kind, why } in cases("sources.json") {
        let guessed = GrantSource::guess(&source, Dialect::Generic, &Limits::default());
        let found = guessed.as_ref().ok().map(GrantSource::kind).map(GrantKind::as_str);
        assert_eq!(found, kind.as_deref(), "{source:?}: {why}: {guessed:?}");
    }
}
