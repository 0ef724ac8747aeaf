//! Which sources of one connection cover which names, in batches: the inner loop of an audit.

use portcullis::model::GrantSource;
use portcullis::name::{CanonicalName, Dialect, NameBuffer, NameDisplay};
use portcullis_diff::patterns::{Covering, Lookup, PatternIndex};

/// The distinct exact names and patterns of one connection, prepared to match batches of names.
///
/// ```
/// use portcullis_audit::coverage::{Kernel, Matches};
/// use portcullis::model::{GrantSource, Limits};
/// use portcullis::name::Dialect;
///
/// let source = |text| GrantSource::guess(text, Dialect::Snowflake, &Limits::default());
/// let sources = [source("db.s.*")?, source("db.s.roads")?, source("db.*.road*")?];
/// let kernel = Kernel::new(Dialect::Snowflake, &sources);
/// let mut matches = Matches::default();
/// kernel.covering(["DB.S.ROADS", "db.t.x", "db..x"], &mut matches);
/// assert_eq!(matches.get(0), Some(&[0, 1, 2][..]));
/// assert_eq!(matches.get(1), Some(&[][..]));
/// assert_eq!(matches.get(2), None);
/// # Ok::<(), portcullis::model::SourceError>(())
/// ```
#[derive(Debug, Default)]
pub struct Kernel {
    dialect: Dialect,
    index: PatternIndex,
}

/// For each name of a batch, the sources that cover the name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matches {
    /// For each name, the end of its range in `ids`, and whether the name is well-formed.
    ends: Vec<(usize, bool)>,
    ids: Vec<u32>,
}

impl Matches {
    /// Returns the ascending indexes of the sources that cover the name with this index. `None` if the name is
    /// malformed (N2.4), or the batch has fewer names.
    pub fn get(&self, index: usize) -> Option<&[u32]> {
        let &(end, well_formed) = self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |(end, _)| *end);
        well_formed.then(|| self.ids.get(start..end).unwrap_or_default())
    }

    /// Returns the number of names in the batch.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the batch was empty.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    #[cfg(feature = "parquet")]
    pub(super) fn into_parts(self) -> (Vec<(usize, bool)>, Vec<u32>) {
        (self.ends, self.ids)
    }
}

impl Kernel {
    /// Prepares `sources`, which must be distinct. Sources other than resources and patterns cover nothing here.
    ///
    /// About linear in the bytes of all sources. Takes at most 2³² sources.
    pub fn new<'s>(dialect: Dialect, sources: impl IntoIterator<Item = &'s GrantSource>) -> Self {
        let canonical = |(source, id): (&'s GrantSource, u32)| match source {
            GrantSource::Resource(name) => Some((id, name.as_bytes())),
            GrantSource::Pattern(pattern) => Some((id, pattern.as_bytes())),
            GrantSource::Query(_) | GrantSource::NamedSource(_) | GrantSource::All => None,
        };
        Self { dialect, index: PatternIndex::new(sources.into_iter().zip(0..).filter_map(canonical)) }
    }

    /// Finds the sources that cover each of `names` (N2.7, N3), which are in the dialect of the connection. Replaces
    /// the content of `matches`. A pure function of the sources and the names.
    ///
    /// Linear in the length of each name, plus one look-up for each shape of the patterns with the same leading
    /// segments. Nearly constant in the number of sources. Allocates only to grow `matches`.
    pub fn covering<'n>(&self, names: impl IntoIterator<Item = &'n str>, matches: &mut Matches) {
        matches.ends.clear();
        matches.ids.clear();
        let (mut buffer, mut lookup) = (NameBuffer::new(), Lookup::default());
        for name in names {
            let start = matches.ids.len();
            let read = CanonicalName::read(name, self.dialect, &mut buffer);
            let well_formed = read.is_ok();
            if let Ok(name) = read {
                self.index.each_covering(name, &mut lookup, |id| matches.ids.push(id));
                if let Some(found @ [_, _, ..]) = matches.ids.get_mut(start..) {
                    found.sort_unstable();
                }
            }
            matches.ends.push((matches.ids.len(), well_formed));
        }
    }

    /// Returns the sources that cover a name in canonical form, ascending. `lookup` belongs to this kernel.
    pub(crate) fn covering_one(&self, name: CanonicalName<'_>, lookup: &mut Lookup) -> Covering {
        let mut covering = Covering::new();
        self.index.each_covering(name, lookup, |id| covering.push(id));
        covering.sort_unstable();
        covering
    }

    /// Returns a source as the dialect writes it.
    pub(crate) fn shown(&self, id: u32) -> String {
        NameDisplay { bytes: self.index.source(id).into(), dialect: self.dialect }.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use portcullis::name::Name;
    use portcullis::pattern::Pattern;

    const DIALECT: Dialect = Dialect::Snowflake;

    /// Matches the name with each source separately.
    fn by_each(sources: &[GrantSource], name: &str) -> Option<Vec<u32>> {
        let name = Name::parse(name, DIALECT).ok()?;
        let covers = |source: &GrantSource| match source {
            GrantSource::Resource(exact) => *exact == name,
            GrantSource::Pattern(pattern) => pattern.covers(&name),
            _ => false,
        };
        Some((0..).zip(sources).filter(|(_, source)| covers(source)).map(|(id, _)| id).collect())
    }

    fn sources() -> impl Strategy<Value = Vec<GrantSource>> {
        // Few letters, so that sources overlap. Adjacent stars are not a valid pattern and are left out.
        let segment = || "[ab*]{1,4}";
        let path = prop_oneof![
            (segment(), segment()).prop_map(|(a, b)| format!("{a}.{b}")),
            (segment(), segment(), segment()).prop_map(|(a, b, c)| format!("{a}.{b}.{c}")),
            // Many patterns of one shape and key.
            "[ab]{1,3}".prop_map(|text| format!("a.*{text}*")),
        ];
        prop::collection::vec(path, 0..60).prop_map(|texts| {
            let read = |text: &String| match Pattern::parse(text, DIALECT) {
                Ok(pattern) => Some(GrantSource::Pattern(pattern)),
                Err(_) if text.contains('*') => None,
                Err(_) => Name::parse(text, DIALECT).ok().map(GrantSource::Resource),
            };
            let mut sources: Vec<GrantSource> = texts.iter().filter_map(read).collect();
            let mut distinct = std::collections::HashSet::new();
            sources.retain(|source| distinct.insert(source.clone()));
            sources.push(GrantSource::All);
            sources
        })
    }

    proptest! {
        #[test]
        fn batch_agrees_with_each_pattern_separately(
            sources in sources(),
            names in prop::collection::vec("[ab*]{1,4}(\\.[ab]{0,5}){0,3}", 0..60),
        ) {
            let kernel = Kernel::new(DIALECT, &sources);
            let mut matches = Matches::default();
            // The state of one batch does not leak into the next.
            kernel.covering(["a.b", "b.a"], &mut matches);
            kernel.covering(names.iter().map(String::as_str), &mut matches);
            prop_assert_eq!(matches.len(), names.len());
            for (at, name) in names.iter().enumerate() {
                prop_assert_eq!(matches.get(at).map(<[u32]>::to_vec), by_each(&sources, name), "{}", name);
            }
        }
    }

    #[test]
    fn patterns_that_share_a_hash_are_distinguished() {
        let texts = (0..500).map(|n| format!("a.*x{n}y*"));
        let sources: Vec<_> = texts.map(|text| GrantSource::Pattern(Pattern::parse(&text, DIALECT).unwrap())).collect();
        let kernel = Kernel::new(DIALECT, &sources);
        let mut matches = Matches::default();
        kernel.covering(["a.x7y", "a.__x7yx7yx12y", "a.x", "b.x7y"], &mut matches);
        let found: Vec<_> = (0..4).map(|at| matches.get(at).unwrap()).collect();
        assert_eq!(found, [&[7][..], &[7, 12], &[], &[]]);
    }
}
