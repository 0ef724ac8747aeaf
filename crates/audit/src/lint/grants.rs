//! Finds grants that change no decision: other grants of the token cover them, or the connection rejects them.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Collector;
use super::finding::{Fix, Raw, Witness};
use super::replay::Claim;
use super::rule::{DUPLICATE_GRANT, QUERY_NEVER_ACCEPTED, REDUNDANT_GRANT, Rule, SHADOWED_PATTERN};
use super::subject::Subject;
use portcullis::base::quoted;
use portcullis::model::{Grant, GrantKind, GrantKinds, GrantSource, Operation};
use portcullis::name::{Dialect, NameDisplay, STAR};
use portcullis::pattern::literal_characters;
use portcullis_diff::patterns::PatternIndex;

/// Max bytes of a witness. The text of a longer name may exceed the limit of names because of its quotes.
const LONGEST: usize = 2048;

pub(super) fn look(subject: &Subject<'_>, found: &mut Collector<'_>) {
    let grants = subject.token.grants();
    for (index, grant) in grants.iter().enumerate() {
        let refuses = subject.connection(grant).filter(|connection| connection.named_sources_only());
        if let (Some(connection), GrantSource::Query(_)) = (refuses, grant.source()) {
            let connection = quoted(connection.name());
            let message = format!("{connection} accepts named sources only: the query is denied whatever the grants");
            let fix = Fix::remove("remove it, or grant a named source", subject.grant_path(index));
            let (document, token, path) = (subject.origin.document, Some(subject.index), subject.source_path(index));
            found.add(Raw { rule: &QUERY_NEVER_ACCEPTED, document, token, path, message, fix, witness: None });
        }
    }
    if grants.len() < 2 {
        return;
    }
    for Redundant { grant, coverers } in redundant(subject) {
        let (Some(covered), Some(&first)) = (grants.get(grant), coverers.first()) else { continue };
        let Some(wider) = grants.get(first) else { continue };
        let path = |index: usize| format!("`grants[{index}]`");
        let text = quoted(&subject.display(covered));
        let wider_grants: Vec<String> = coverers
            .iter()
            .filter_map(|&at| Some(format!("{} of {}", quoted(&subject.display(grants.get(at)?)), path(at))))
            .collect();
        let (rule, message): (&'static Rule, String) = if covered == wider {
            (&DUPLICATE_GRANT, format!("{text} is granted already, by {}", path(first)))
        } else {
            let both = covered.source().kind() == GrantKind::Pattern && wider.source().kind() == GrantKind::Pattern;
            let rule = if both { &SHADOWED_PATTERN } else { &REDUNDANT_GRANT };
            (rule, format!("every request that {text} allows is allowed by {} anyway", wider_grants.join(" and ")))
        };
        let witness = witness(subject, covered);
        if let Some(witness) = &witness
            && found.is_enabled(rule)
        {
            let claims = coverers.iter().filter_map(|&at| grants.get(at)).cloned();
            found.claims.extend(claims.map(|grant| Claim { grant, witness: witness.clone() }));
        }
        let widest = coverers.iter().find(|&&at| grants.get(at).is_some_and(|it| *it.source() == GrantSource::All));
        let fix = match widest {
            _ if covered == wider => Fix::remove("remove it: no decision changes", subject.grant_path(grant)),
            // The narrow grant is what the token needs, as far as anybody has written it down.
            Some(&all) => Fix::say(format!(
                "remove {}, which covers all sources, if the token needs only its other grants; else remove this one",
                path(all)
            )),
            None => Fix::remove(
                format!(
                    "remove it: no decision changes; or remove {}, if the token is meant to be narrow",
                    path(first)
                ),
                subject.grant_path(grant),
            ),
        };
        let (document, token, path) = (subject.origin.document, Some(subject.index), subject.source_path(grant));
        found.add(Raw { rule, document, token, path, message, fix, witness });
    }
}

/// A grant that can be removed, and the remaining grants that cover it under every API that considers it.
struct Redundant {
    grant: usize,
    coverers: Vec<usize>,
}

/// Returns the grants that can all be removed at once without changing a decision or its reason.
///
/// Comparing pairs of grants is enough. A name of a pattern may have a character that no other pattern contains. So if
/// several grants together cover all names of the pattern, one of them covers all.
fn redundant(subject: &Subject<'_>) -> Vec<Redundant> {
    let contexts = contexts(subject);
    let mut found = Vec::new();
    let mut connections: HashMap<_, Vec<usize>, RandomState> = HashMap::default();
    for (index, grant) in subject.token.grants().iter().enumerate() {
        connections.entry(grant.connection()).or_default().push(index);
    }
    for indices in connections.into_values().filter(|indices| indices.len() > 1) {
        found.extend(OnConnection::new(subject.token.grants(), &indices).redundant(&contexts));
    }
    found.sort_unstable_by_key(|redundant| redundant.grant);
    found
}

/// Returns the kinds of grant that the token's requests are checked against, for each API and operation.
fn contexts(subject: &Subject<'_>) -> Vec<GrantKinds> {
    let apis = subject.token.apis().iter().filter_map(|api| subject.policy.apis().get(api));
    let mut contexts = Vec::new();
    for kinds in apis.flat_map(|api| [Operation::Query, Operation::Model].map(|operation| api.considers(operation))) {
        if !contexts.contains(&kinds) {
            contexts.push(kinds);
        }
    }
    contexts
}

/// The grants of one token on one connection.
struct OnConnection<'g> {
    grants: &'g [Grant],
    /// Indexes of grants, the most specific first; of equal grants, the last first.
    order: Vec<usize>,
    /// The first of equal grants.
    first: HashMap<&'g GrantSource, usize, RandomState>,
    /// Patterns, each by the index of its grant.
    patterns: PatternIndex,
    all: Option<usize>,
}

impl<'g> OnConnection<'g> {
    fn new(grants: &'g [Grant], indices: &[usize]) -> Self {
        let (mut first, mut patterns) = (HashMap::default(), Vec::new());
        let mut all = None;
        let mut order = Vec::with_capacity(indices.len());
        for &index in indices {
            let Some(source) = grants.get(index).map(Grant::source) else { continue };
            let specific = match source {
                GrantSource::Resource(_) | GrantSource::Query(_) | GrantSource::NamedSource(_) => usize::MAX,
                GrantSource::Pattern(pattern) => 1 + literal_characters(pattern.as_bytes()),
                GrantSource::All => 0,
            };
            order.push((std::cmp::Reverse(specific), std::cmp::Reverse(index)));
            if first.contains_key(source) {
                continue;
            }
            first.insert(source, index);
            match source {
                GrantSource::Pattern(pattern) => {
                    patterns.push((u32::try_from(index).unwrap_or(u32::MAX), pattern.as_bytes()));
                }
                GrantSource::All => all = Some(index),
                _ => {}
            }
        }
        order.sort_unstable();
        let order = order.into_iter().map(|(_, std::cmp::Reverse(index))| index).collect();
        Self { grants, order, first, patterns: PatternIndex::new(patterns), all }
    }

    fn redundant(&self, contexts: &[GrantKinds]) -> Vec<Redundant> {
        let mut redundant = Vec::new();
        // Wider grants come later, so a grant that covers this one is kept, or covered itself.
        for &grant in &self.order {
            let Some(source) = self.grants.get(grant).map(Grant::source) else { continue };
            let coverers = match self.first.get(source) {
                Some(&first) if first != grant => vec![first],
                _ => self.coverers(grant, source, contexts),
            };
            if !coverers.is_empty() {
                redundant.push(Redundant { grant, coverers });
            }
        }
        redundant
    }

    /// Returns the widest grants that cover this one under every API that considers it; empty if there are none.
    fn coverers(&self, grant: usize, source: &GrantSource, contexts: &[GrantKinds]) -> Vec<usize> {
        let bytes = match source {
            GrantSource::Resource(name) => Some(name.as_bytes()),
            GrantSource::Pattern(pattern) => Some(pattern.as_bytes()),
            GrantSource::Query(_) | GrantSource::NamedSource(_) => None,
            GrantSource::All => return Vec::new(),
        };
        let covering = bytes.map(|bytes| self.patterns.covering(bytes)).unwrap_or_default();
        let wider = covering.iter().map(|&index| index as usize).filter(|&index| index != grant);
        let widest = wider.map(|index| (self.literal(index), index)).min();
        let candidates: Vec<usize> = self.all.into_iter().chain(widest.map(|(_, index)| index)).collect();
        let kind_of = |index: usize| self.grants.get(index).map_or(GrantKind::All, |grant| grant.source().kind());
        let mut chosen = Vec::new();
        // Another rule reports grants that no API considers.
        for kinds in contexts.iter().filter(|kinds| kinds.contains(source.kind())) {
            let Some(&coverer) = candidates.iter().find(|&&index| kinds.contains(kind_of(index))) else {
                return Vec::new();
            };
            if !chosen.contains(&coverer) {
                chosen.push(coverer);
            }
        }
        chosen
    }

    fn literal(&self, index: usize) -> usize {
        match self.grants.get(index).map(Grant::source) {
            Some(GrantSource::Pattern(pattern)) => literal_characters(pattern.as_bytes()),
            _ => 0,
        }
    }
}

/// Returns a name that the grant covers.
fn witness(subject: &Subject<'_>, grant: &Grant) -> Option<Witness> {
    let connection = subject.connection(grant)?;
    let resource = match grant.source() {
        GrantSource::Resource(name) => name.display(connection.dialect()).to_string(),
        GrantSource::Pattern(pattern) => example(pattern.as_bytes(), connection.dialect()),
        GrantSource::Query(_) | GrantSource::NamedSource(_) | GrantSource::All => return None,
    };
    let witness = Witness { connection: connection.name().to_owned(), resource, covered: true };
    (witness.resource.len() <= LONGEST).then_some(witness)
}

/// Returns a name that the pattern covers, with an `x` for each star.
pub(super) fn example(pattern: &[u8], dialect: Dialect) -> String {
    let x = dialect.bare_fold().apply_ascii(b'x');
    let bytes: Vec<u8> = pattern.iter().map(|&byte| if byte == STAR { x } else { byte }).collect();
    NameDisplay { bytes: bytes.into(), dialect }.to_string()
}
