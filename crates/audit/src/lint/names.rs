//! Compares existing names with the patterns and resources of a policy.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;

use super::texts::push_look_key;
use portcullis::model::{ConnectionId, GrantSource, Policy, Token};
use portcullis::name::{CanonicalName, Dialect, Name, NameBuffer};
use portcullis::pattern::{covers, segment_covers};
use portcullis_diff::patterns::{Lookup, PatternIndex};

/// Max names kept of those that a pattern would cover in another reading. Several are kept because some may be granted.
const WITNESSES: usize = 4;

/// Evidence for each pattern and resource of a policy, from names of a catalog that are added one by one and not kept.
///
/// Memory depends on the distinct patterns and resources of the policy, not on the number of names.
///
/// ```
/// use portcullis_audit::lint::Names;
///
/// let policy = portcullis_document::read_policy(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
///     "grants": [{"connection_name": "dw", "source": "db.s.*"}]}]"#)?;
/// let mut names = Names::of(&policy);
/// assert!(names.see("dw", "db.s.roads"));
/// assert!(!names.see("dw", "db..roads"));
/// # Ok::<(), portcullis_document::load::LoadError>(())
/// ```
#[derive(Debug)]
pub struct Names {
    connections: Vec<OnConnection>,
    numbers: HashMap<Box<str>, usize>,
}

/// The evidence for one pattern.
#[derive(Debug, Default)]
pub(super) struct PatternEvidence {
    /// The number of names of the catalog that the pattern covers.
    pub(super) count: u64,
    /// The first names that the pattern would cover if stars matched dots.
    pub(super) across_dots: Vec<Name>,
    /// The first names that the pattern would cover if it ignored case.
    pub(super) other_case: Vec<Name>,
}

/// The evidence for one resource.
#[derive(Debug, Default)]
pub(super) struct ResourceEvidence {
    /// Whether the catalog has the resource.
    pub(super) exists: bool,
    /// A name of the catalog that looks like the resource.
    pub(super) like: Option<String>,
}

#[derive(Debug, Default)]
struct OnConnection {
    dialect: Dialect,
    /// The number of names of the catalog.
    names: u64,
    patterns: PatternIndex,
    near: Lookup,
    canonical: Vec<Box<[u8]>>,
    numbers: HashMap<Box<[u8]>, usize, RandomState>,
    evidence: Vec<PatternEvidence>,
    /// The same patterns in lower case.
    folded: PatternIndex,
    near_folded: Lookup,
    /// Patterns by the prefix before their first star. Patterns with enough names across dots are removed.
    by_prefix: HashMap<Box<[u8]>, Across, RandomState>,
    prefix_lengths: BTreeSet<usize>,
    resources: HashMap<Box<[u8]>, ResourceEvidence, RandomState>,
    /// Resources by their look key.
    looks: HashMap<String, Vec<Box<[u8]>>, RandomState>,
    /// The min segments of any pattern. Names with no more segments match the same whether stars match dots or not.
    least_segments: Option<usize>,
    /// The look key of the current name.
    look: String,
    /// The current name in lower case.
    lower: Vec<u8>,
}

#[derive(Debug)]
struct Across {
    patterns: Vec<usize>,
    /// The min segments of these patterns.
    segments: usize,
}

impl Names {
    /// Creates the evidence without a catalog. The resources that the policy grants count as existing names.
    pub fn of(policy: &Policy) -> Self {
        let mut numbers = HashMap::new();
        let mut connections = Vec::new();
        for connection in policy.connections() {
            numbers.insert(connection.name().into(), connections.len());
            connections.push(OnConnection { dialect: connection.dialect(), ..OnConnection::default() });
        }
        let mut names = Self { connections, numbers };
        for grant in policy.tokens().iter().flat_map(Token::grants) {
            let Some(on) = names.connections.get_mut(grant.connection().index()) else { continue };
            match grant.source() {
                GrantSource::Pattern(pattern) => on.pattern(pattern.as_bytes()),
                GrantSource::Resource(name) => on.resource(name.as_bytes()),
                GrantSource::Query(_) | GrantSource::NamedSource(_) | GrantSource::All => {}
            }
        }
        for on in &mut names.connections {
            let folded: Vec<Vec<u8>> = on.canonical.iter().map(|pattern| pattern.to_ascii_lowercase()).collect();
            on.patterns = PatternIndex::new((0..).zip(on.canonical.iter().map(|pattern| &**pattern)));
            on.folded = PatternIndex::new((0..).zip(folded.iter().map(Vec::as_slice)));
            let mut resources: Vec<Box<[u8]>> = on.resources.keys().cloned().collect();
            // Sorted, so that witnesses are deterministic.
            resources.sort_unstable();
            for name in &resources {
                on.readings(name);
            }
        }
        names
    }

    /// Adds a name of the catalog, in the dialect of its connection. Returns false if it is malformed (N2.4). Names of
    /// connections that the policy does not have are ignored.
    ///
    /// Costs a few hashes for each shape of the connection's patterns.
    pub fn see(&mut self, connection: &str, name: &str) -> bool {
        let Some(on) = self.numbers.get(connection).and_then(|&at| self.connections.get_mut(at)) else { return true };
        let mut buffer = NameBuffer::new();
        match CanonicalName::read(name, on.dialect, &mut buffer) {
            Ok(name) => {
                on.catalog(name.as_bytes());
                true
            }
            Err(_) => false,
        }
    }

    /// Returns the number of names of the catalog on the connection.
    pub(super) fn count(&self, connection: ConnectionId) -> u64 {
        self.connections.get(connection.index()).map_or(0, |on| on.names)
    }

    pub(super) fn pattern(&self, connection: ConnectionId, canonical: &[u8]) -> Option<&PatternEvidence> {
        let on = self.connections.get(connection.index())?;
        on.evidence.get(*on.numbers.get(canonical)?)
    }

    pub(super) fn resource(&self, connection: ConnectionId, canonical: &[u8]) -> Option<&ResourceEvidence> {
        self.connections.get(connection.index())?.resources.get(canonical)
    }
}

impl OnConnection {
    fn pattern(&mut self, canonical: &[u8]) {
        if self.numbers.contains_key(canonical) {
            return;
        }
        let number = self.canonical.len();
        self.numbers.insert(canonical.into(), number);
        self.canonical.push(canonical.into());
        self.evidence.push(PatternEvidence::default());
        let prefix = canonical.split(|&byte| byte == portcullis::name::STAR).next().unwrap_or_default();
        self.prefix_lengths.insert(prefix.len());
        let segments = segments(canonical);
        self.least_segments = Some(self.least_segments.map_or(segments, |least| least.min(segments)));
        let across = self.by_prefix.entry(prefix.into()).or_insert(Across { patterns: Vec::new(), segments });
        across.patterns.push(number);
        across.segments = across.segments.min(segments);
    }

    fn resource(&mut self, canonical: &[u8]) {
        if !self.resources.contains_key(canonical) {
            self.resources.insert(canonical.into(), ResourceEvidence::default());
            let mut key = String::new();
            look(canonical, &mut key);
            self.looks.entry(key).or_default().push(canonical.into());
        }
    }

    fn catalog(&mut self, name: &[u8]) {
        self.names += 1;
        let mut buffer = NameBuffer::new();
        let Self { patterns, near, evidence, .. } = self;
        patterns.each_covering(CanonicalName::of(name, &mut buffer), near, |number| {
            if let Some(pattern) = evidence.get_mut(number as usize) {
                pattern.count += 1;
            }
        });
        if !self.looks.is_empty() {
            look(name, &mut self.look);
        }
        if let Some(like) = self.looks.get(&self.look) {
            for canonical in like {
                let Some(resource) = self.resources.get_mut(canonical) else { continue };
                if **canonical == *name {
                    resource.exists = true;
                } else if resource.like.is_none() {
                    resource.like = Some(Name::of_canonical(name).display(self.dialect).to_string());
                }
            }
        }
        self.readings(name);
    }

    /// Records the patterns that would cover the name in another reading.
    fn readings(&mut self, name: &[u8]) {
        let mut buffer = NameBuffer::new();
        let Self { canonical, evidence, folded, near_folded, by_prefix, prefix_lengths, least_segments, lower, .. } =
            self;
        lower.clear();
        lower.extend(name.iter().map(u8::to_ascii_lowercase));
        folded.each_covering(CanonicalName::of(lower, &mut buffer), near_folded, |number| {
            let number = number as usize;
            if let (Some(found), Some(pattern)) = (evidence.get_mut(number), canonical.get(number))
                && found.other_case.len() < WITNESSES
                && !covers(pattern, name)
            {
                found.other_case.push(Name::of_canonical(name));
            }
        });
        let depth = segments(name);
        if least_segments.is_none_or(|least| least >= depth) {
            return;
        }
        for &length in prefix_lengths.iter() {
            let Some(prefix) = name.get(..length) else { break };
            let Some(across) = by_prefix.get_mut(prefix).filter(|across| across.segments < depth) else { continue };
            across.patterns.retain(|&number| {
                let (Some(pattern), Some(found)) = (canonical.get(number), evidence.get_mut(number)) else {
                    return false;
                };
                // Compared as one segment, so that stars match dots.
                let spans = segments(pattern) < depth && segment_covers(pattern, name);
                if spans {
                    found.across_dots.push(Name::of_canonical(name));
                }
                found.across_dots.len() < WITNESSES
            });
        }
    }
}

fn segments(canonical: &[u8]) -> usize {
    memchr::memchr_iter(b'.', canonical).count() + 1
}

/// Replaces `key` with the look key of the name, ignoring case.
fn look(canonical: &[u8], key: &mut String) {
    key.clear();
    let text = String::from_utf8_lossy(canonical);
    push_look_key(&text.to_lowercase(), key);
}
