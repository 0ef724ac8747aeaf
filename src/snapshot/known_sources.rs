//! A cache of compiled sources. Grants of one source usually share its text, so its address finds what was compiled
//! before, without reading the text again.

use super::grants::Tag;
use super::texts::TextId;
use crate::model::GrantSource;
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

/// The last compiled sources, at most one for each slot.
///
/// The addresses are those of texts that live as long as the compilation, so equal addresses are equal texts.
#[derive(Debug)]
pub(super) struct KnownSources {
    // INVARIANT: the length is a power of two.
    slots: Vec<Option<(usize, CompiledSource)>>,
}

/// The maximum number of slots, about 2 MiB: more do not fit into the cache of a processor.
const MAX_SLOTS: usize = 1 << 16;

impl KnownSources {
    /// Creates a cache for this number of grants.
    pub(super) fn new(grants: usize) -> Self {
        Self { slots: vec![None; grants.clamp(1, MAX_SLOTS).next_power_of_two()] }
    }

    pub(super) fn get(&self, source: &GrantSource) -> Option<CompiledSource> {
        let address = address(source);
        let (known, compiled) = (*self.slots.get(self.slot(address))?)?;
        (known == address).then_some(compiled)
    }

    pub(super) fn insert(&mut self, source: &GrantSource, compiled: CompiledSource) {
        let address = address(source);
        let slot = self.slot(address);
        if let Some(slot) = self.slots.get_mut(slot) {
            *slot = Some((address, compiled));
        }
    }

    fn slot(&self, address: usize) -> usize {
        // Texts are allocated at multiples of sixteen bytes. The higher bits differ between areas of memory.
        (address >> 4 ^ address >> 20) & (self.slots.len() - 1)
    }
}

/// Returns the address of the text of a source. The text is not empty, so no other text has the address.
fn address(source: &GrantSource) -> usize {
    source.canonical().as_ptr().addr()
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
