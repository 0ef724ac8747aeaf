//! Records what one grant was needed for.

use std::collections::{BTreeMap, BTreeSet};

use super::outline::{MAX_KEPT, Outline};
use portcullis::decision::Source;
use portcullis::model::{Connection, GrantKind, GrantKinds};
use portcullis::name::{CanonicalName, NameBuffer};
use portcullis::query::NormalForm;

/// The uses of one grant.
#[derive(Debug, Default)]
pub(super) struct GrantNeeds {
    pub(super) count: u64,
    /// Resources by schema; `None` if there are too many schemas.
    pub(super) schemas: Option<BTreeMap<Box<[u8]>, Outline>>,
    /// Resources, by their number of segments.
    pub(super) depths: BTreeMap<usize, Outline>,
    pub(super) queries: BTreeSet<String>,
    pub(super) named_sources: BTreeSet<String>,
    /// Whether a use cannot be granted separately, or is not in the log.
    pub(super) unclear: bool,
    /// The kinds of grant that every use considered.
    pub(super) considered: Option<GrantKinds>,
}

impl GrantNeeds {
    pub(super) fn needed(&mut self, source: Option<Source<'_>>, connection: &Connection, considered: GrantKinds) {
        self.count += 1;
        let both = |kinds: GrantKinds| {
            GrantKinds::of(&kinds.iter().filter(|kind| considered.contains(*kind)).collect::<Vec<GrantKind>>())
        };
        self.considered = Some(self.considered.map_or(considered, both));
        match source {
            Some(Source::Resource(name)) => {
                let mut buffer = NameBuffer::new();
                match CanonicalName::read(name, connection.dialect(), &mut buffer) {
                    Ok(name) => self.resource(name.as_bytes()),
                    Err(_) => self.unclear = true,
                }
            }
            Some(Source::Query(text)) => match NormalForm::of(text, portcullis::query::MAX_QUERY_BYTES) {
                Ok(query) if self.queries.len() <= MAX_KEPT => drop(self.queries.insert(query.collect())),
                _ => self.unclear = true,
            },
            Some(Source::NamedSource(name)) if self.named_sources.len() <= MAX_KEPT => {
                self.named_sources.insert(name.to_owned());
            }
            Some(Source::NamedSource(_)) | None => self.unclear = true,
        }
    }

    fn resource(&mut self, name: &[u8]) {
        let schema = memchr::memrchr(b'.', name).and_then(|dot| name.get(..dot)).unwrap_or_default();
        let is_first = self.depths.is_empty();
        let schemas = if is_first { Some(self.schemas.insert(BTreeMap::new())) } else { self.schemas.as_mut() };
        if let Some(schemas) = schemas {
            let is_new = !schemas.contains_key(schema);
            if is_new && schemas.len() == MAX_KEPT {
                self.schemas = None;
            } else {
                schemas
                    .entry(schema.into())
                    .and_modify(|outline| outline.add(name))
                    .or_insert_with(|| Outline::of(name));
            }
        }
        let depth = memchr::memchr_iter(b'.', name).count() + 1;
        self.depths.entry(depth).and_modify(|outline| outline.add(name)).or_insert_with(|| Outline::of(name));
    }
}
