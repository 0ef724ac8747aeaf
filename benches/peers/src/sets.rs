//! `globset` and `regex`: one set of all patterns for each token and connection, and a hash set of exact names.

use std::collections::HashSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use regex::bytes::{RegexSet, RegexSetBuilder};

use crate::door::Door;
use crate::engine::Engine;
use crate::policy::{Document, Token};
use crate::requests::ParsedRequest;

/// The sources that the token may read on one connection.
struct Grants<S> {
    connection: Box<str>,
    all: bool,
    exact: HashSet<Box<str>, foldhash::fast::RandomState>,
    patterns: Option<S>,
}

fn grants<S>(token: &Token<'_>, set: impl Fn(&[&str]) -> S) -> Vec<Grants<S>> {
    let of = |(connection, sources): (&str, Vec<&str>)| {
        let patterns: Vec<&str> =
            sources.iter().copied().filter(|source| source.len() > 1 && source.contains('*')).collect();
        Grants {
            connection: connection.into(),
            all: sources.contains(&"*"),
            exact: sources.iter().filter(|source| !source.contains('*')).map(|&source| source.into()).collect(),
            patterns: (!patterns.is_empty()).then(|| set(&patterns)),
        }
    };
    token.by_connection().into_iter().map(of).collect()
}

fn decide<S>(door: &Door<Vec<Grants<S>>>, asked: &ParsedRequest<'_>, matches: impl FnOnce(&S) -> bool) -> bool {
    let grants =
        door.enter(asked).and_then(|grants| grants.iter().find(|grants| *grants.connection == *asked.connection));
    grants.is_some_and(|grants| {
        grants.all || grants.exact.contains(asked.resource) || grants.patterns.as_ref().is_some_and(matches)
    })
}

/// One `GlobSet` for each token and connection. Dots are replaced with slashes, which its stars do not span.
pub struct Globs {
    door: Door<Vec<Grants<GlobSet>>>,
    // A reused buffer, so that translating a name does not allocate.
    path: String,
}

/// Builds a set of these patterns.
pub fn glob_set(patterns: &[&str]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        set.add(GlobBuilder::new(&pattern.replace('.', "/")).literal_separator(true).build()?);
    }
    set.build()
}

/// Translates a name to a path for a [`glob_set`].
pub fn path<'p>(name: &str, path: &'p mut String) -> &'p str {
    path.clear();
    path.extend(name.chars().map(|c| if c == '.' { '/' } else { c }));
    path
}

impl Globs {
    pub fn new(document: &Document<'_>, now: i64) -> Self {
        let set = |patterns: &[&str]| glob_set(patterns).expect("the workload's patterns are globs");
        Self { door: Door::new(document, now, |_, token| grants(token, set)), path: String::new() }
    }
}

impl Engine for Globs {
    fn decide(&mut self, asked: &ParsedRequest<'_>) -> bool {
        decide(&self.door, asked, |set| set.is_match(path(asked.resource, &mut self.path)))
    }
}

/// One `RegexSet` for each token and connection.
pub struct Regexes(Door<Vec<Grants<RegexSet>>>);

impl Regexes {
    pub fn new(document: &Document<'_>, now: i64) -> Self {
        let set = |patterns: &[&str]| {
            let expressions =
                patterns.iter().map(|pattern| format!("^{}$", regex::escape(pattern).replace("\\*", "[^.]*")));
            RegexSetBuilder::new(expressions).unicode(false).size_limit(1 << 30).build().expect("they are expressions")
        };
        Self(Door::new(document, now, |_, token| grants(token, set)))
    }
}

impl Engine for Regexes {
    fn decide(&mut self, asked: &ParsedRequest<'_>) -> bool {
        decide(&self.0, asked, |set| set.is_match(asked.resource.as_bytes()))
    }
}
