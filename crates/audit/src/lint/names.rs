//! Names that are known to exist, and what each pattern of a policy has to do with them.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;

use super::texts::push_look_key;
use portcullis::model::{ConnectionId, GrantSource, Policy, Token};
use portcullis::name::{CanonicalName, Dialect, Name, NameBuffer};
use portcullis::pattern::{covers, segment_covers};
use portcullis_diff::patterns::{Lookup, PatternIndex};

/// How many names are kept that a pattern would cover if it were read otherwise: some of them may be granted beside it.
const WITNESSES: usize = 4;

/// Names of a catalog, seen one by one and not kept: of each pattern and resource of a policy, what they are to it.
///
/// Takes memory for the policy's distinct patterns and resources, whatever the number of names.
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

/// What is known of one pattern.
#[derive(Debug, Default)]
pub(super) struct PatternEvidence {
    /// How many names of the catalog it covers.
    pub(super) count: u64,
    /// Names that it would cover if its stars spanned dots: the first few.
    pub(super) across_dots: Vec<Name>,
    /// Names that it would cover whatever the case of letters: the first few.
    pub(super) other_case: Vec<Name>,
}

/// What is known of one resource.
#[derive(Debug, Default)]
pub(super) struct ResourceEvidence {
    /// Whether the catalog has it.
    pub(super) exists: bool,
    /// A name of the catalog that looks like it.
    pub(super) like: Option<String>,
}

#[derive(Debug, Default)]
struct OnConnection {
    dialect: Dialect,
    /// How many names of the catalog.
    names: u64,
    patterns: PatternIndex,
    near: Lookup,
    canonical: Vec<Box<[u8]>>,
    numbers: HashMap<Box<[u8]>, usize, RandomState>,
    seen: Vec<PatternEvidence>,
    /// The same patterns in lower case.
    folded: PatternIndex,
    near_folded: Lookup,
    /// Patterns, by what stands before their first star; those with enough names across dots are taken out.
    by_prefix: HashMap<Box<[u8]>, Across, RandomState>,
    prefix_lengths: BTreeSet<usize>,
    resources: HashMap<Box<[u8]>, ResourceEvidence, RandomState>,
    /// Resources by what they look like.
    looks: HashMap<String, Vec<Box<[u8]>>, RandomState>,
    /// The least segments of any pattern: names with no more are read alike, dots or not.
    least_segments: Option<usize>,
    /// Of the name at hand, what it looks like, and its lower case.
    look: String,
    lower: Vec<u8>,
}

#[derive(Debug)]
struct Across {
    patterns: Vec<usize>,
    /// The least segments of any of them: shorter names are read alike.
    segments: usize,
}

impl Names {
    /// No names of a catalog yet; the resources that the policy itself grants count as known.
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
            // Witnesses shall be the same each time.
            resources.sort_unstable();
            for name in &resources {
                on.readings(name);
            }
        }
        names
    }

    /// Takes in a name of the catalog, as the connection's dialect writes it. False where it is malformed (N2.4). A name
    /// of a connection that the policy does not know says nothing of the policy.
    ///
    /// Costs a few hashes for each shape that the connection's patterns have.
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

    /// How many names of the catalog are on the connection.
    pub(super) fn count(&self, connection: ConnectionId) -> u64 {
        self.connections.get(connection.index()).map_or(0, |on| on.names)
    }

    pub(super) fn pattern(&self, connection: ConnectionId, canonical: &[u8]) -> Option<&PatternEvidence> {
        let on = self.connections.get(connection.index())?;
        on.seen.get(*on.numbers.get(canonical)?)
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
        self.seen.push(PatternEvidence::default());
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
        let Self { patterns, near, seen, .. } = self;
        patterns.each_covering(CanonicalName::of(name, &mut buffer), near, |number| {
            if let Some(seen) = seen.get_mut(number as usize) {
                seen.count += 1;
            }
        });
        if !self.looks.is_empty() {
            look(name, &mut self.look);
        }
        if let Some(like) = self.looks.get(&self.look) {
            for canonical in like {
                let Some(seen) = self.resources.get_mut(canonical) else { continue };
                if **canonical == *name {
                    seen.exists = true;
                } else if seen.like.is_none() {
                    seen.like = Some(Name::of_canonical(name).display(self.dialect).to_string());
                }
            }
        }
        self.readings(name);
    }

    /// Which patterns would cover the name if they were read otherwise.
    fn readings(&mut self, name: &[u8]) {
        let mut buffer = NameBuffer::new();
        let Self { canonical, seen, folded, near_folded, by_prefix, prefix_lengths, least_segments, lower, .. } = self;
        lower.clear();
        lower.extend(name.iter().map(u8::to_ascii_lowercase));
        folded.each_covering(CanonicalName::of(lower, &mut buffer), near_folded, |number| {
            let number = number as usize;
            if let (Some(seen), Some(pattern)) = (seen.get_mut(number), canonical.get(number))
                && seen.other_case.len() < WITNESSES
                && !covers(pattern, name)
            {
                seen.other_case.push(Name::of_canonical(name));
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
                let (Some(pattern), Some(seen)) = (canonical.get(number), seen.get_mut(number)) else { return false };
                // As one segment, so that a star is any run of characters, dots included.
                let spans = segments(pattern) < depth && segment_covers(pattern, name);
                if spans {
                    seen.across_dots.push(Name::of_canonical(name));
                }
                seen.across_dots.len() < WITNESSES
            });
        }
    }
}

fn segments(canonical: &[u8]) -> usize {
    memchr::memchr_iter(b'.', canonical).count() + 1
}

/// Writes what the name looks like to `key`, whatever the case of its letters.
fn look(canonical: &[u8], key: &mut String) {
    key.clear();
    let text = String::from_utf8_lossy(canonical);
    push_look_key(&text.to_lowercase(), key);
}
