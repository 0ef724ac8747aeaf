//! A cache of compiled sources. Grants of one source usually share its text, so its address finds what was compiled
//! before, without reading the text again.

use super::grants::Tag;
use super::texts::TextId;
use crate::model::{GrantKind, GrantSource};
use crate::pattern::PatternClass;

/// What a snapshot stores for a source other than all sources.
#[derive(Debug, Clone, Copy)]
pub(super) struct CompiledSource {
    pub(super) tag: Tag,
    pub(super) key: u32,
    pub(super) text: TextId,
    /// The class of a pattern.
    pub(super) class: Option<PatternClass>,
}

/// A source of the policy, by kind and text. The text is borrowed, so nothing else can get its address.
#[derive(Debug, Clone, Copy)]
struct KnownSource<'p> {
    kind: GrantKind,
    text: &'p [u8],
    compiled: CompiledSource,
}

/// The last compiled sources, at most one for each slot.
#[derive(Debug)]
pub(super) struct KnownSources<'p> {
    // INVARIANT: the length is a power of two.
    slots: Vec<Option<KnownSource<'p>>>,
}

/// The maximum number of slots, about 3 MiB: more do not fit into the cache of a processor.
const MAX_SLOTS: usize = 1 << 16;

impl<'p> KnownSources<'p> {
    /// Creates a cache for this number of grants.
    pub(super) fn new(grants: usize) -> Self {
        Self { slots: vec![None; grants.clamp(1, MAX_SLOTS).next_power_of_two()] }
    }

    pub(super) fn get(&self, source: &GrantSource) -> Option<CompiledSource> {
        let text = source.canonical();
        let known = (*self.slots.get(self.slot(text))?)?;
        // Compares address and length.
        (std::ptr::eq(known.text, text) && known.kind == source.kind()).then_some(known.compiled)
    }

    pub(super) fn insert(&mut self, source: &'p GrantSource, compiled: CompiledSource) {
        let text = source.canonical();
        let slot = self.slot(text);
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = Some(KnownSource { kind: source.kind(), text, compiled });
        }
    }

    fn slot(&self, text: &[u8]) -> usize {
        let address = text.as_ptr().addr();
        // Texts are allocated at multiples of sixteen bytes. The higher bits differ between areas of memory.
        (address >> 4 ^ address >> 20) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Limits;
    use crate::name::Dialect;

    #[test]
    fn only_sources_that_share_their_text_are_known() {
        let read = |text: &str| GrantSource::guess(text, Dialect::Generic, &Limits::default()).unwrap();
        let sources: Vec<GrantSource> =
            (0..500).flat_map(|at| [read(&format!("a.b{at}")), read(&format!("a.b{at}*")), read("select 1")]).collect();
        for slots in [1, 2, 100, 10_000] {
            let mut known = KnownSources::new(slots);
            for (key, source) in (0..).zip(&sources) {
                assert!(known.get(source).is_none(), "{source:?}");
                known.insert(source, CompiledSource { tag: Tag::Resource, key, text: 0, class: None });
                assert_eq!(known.get(&source.clone()).map(|known| known.key), Some(key));
            }
            for (key, source) in (0..).zip(&sources) {
                assert!(known.get(source).is_none_or(|known| known.key == key), "{source:?}");
            }
        }
    }
}
