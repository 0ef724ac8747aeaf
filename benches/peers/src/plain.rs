//! The plain loop: a map from secret to rules, and a loop over the rules. An engineer writes this in an afternoon. It
//! is the strongest peer.

use crate::door::Door;
use crate::engine::Engine;
use crate::policy::Document;
use crate::requests::ParsedRequest;

pub struct Plain(Door<Vec<Rule>>);

struct Rule {
    connection: Box<str>,
    source: Source,
}

enum Source {
    Table(Box<str>),
    Pattern(Box<str>),
    All,
}

impl Plain {
    pub fn new(document: &Document<'_>, now: i64) -> Self {
        Self(Door::new(document, now, |_, token| {
            let rule = |grant: &crate::policy::Grant<'_>| Rule {
                connection: grant.connection.into(),
                source: match grant.source {
                    "*" => Source::All,
                    source if source.contains('*') => Source::Pattern(source.into()),
                    source => Source::Table(source.into()),
                },
            };
            token.grants.iter().map(rule).collect()
        }))
    }
}

impl Engine for Plain {
    fn decide(&mut self, asked: &ParsedRequest<'_>) -> bool {
        self.0.enter(asked).is_some_and(|rules| {
            rules.iter().any(|rule| {
                *rule.connection == *asked.connection
                    && match &rule.source {
                        Source::Table(name) => **name == *asked.resource,
                        Source::Pattern(pattern) => covers(pattern, asked.resource),
                        Source::All => true,
                    }
            })
        })
    }
}

/// Whether `pattern` covers `name`, segment by segment. A star matches any characters of its segment.
pub fn covers(pattern: &str, name: &str) -> bool {
    let (mut patterns, mut names) = (pattern.split('.'), name.split('.'));
    loop {
        match (patterns.next(), names.next()) {
            (None, None) => return true,
            (Some(pattern), Some(segment)) if segment_covers(pattern, segment) => {}
            _ => return false,
        }
    }
}

fn segment_covers(pattern: &str, segment: &str) -> bool {
    let Some((prefix, rest)) = pattern.split_once('*') else { return pattern == segment };
    let Some(segment) = segment.strip_prefix(prefix) else { return false };
    let (inner, suffix) = rest.rsplit_once('*').map_or((None, rest), |(inner, suffix)| (Some(inner), suffix));
    let Some(mut segment) = segment.strip_suffix(suffix) else { return false };
    for run in inner.into_iter().flat_map(|inner| inner.split('*')) {
        match segment.split_once(run) {
            Some((_, after)) => segment = after,
            None => return false,
        }
    }
    true
}
