//! A cache of sources. Many tokens are granted the same tables and patterns: most grants find theirs here, without
//! parsing the name again, and share one allocation.

use std::borrow::Cow;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use crate::definition::Text;
use portcullis::model::{GrantSource, Limits, SourceError, SourceType};
use portcullis::name::Dialect;

/// The maximum number of cached sources, about 25 MB with their index. In a document with more, few repeat, or they are
/// close together.
const MOST: usize = (1 << 19) / 8 * 7;

/// Sources by their text in the document.
pub(super) struct Sources<'t> {
    known: HashTable<Known<'t>>,
    most: usize,
    // Random, so that no one can prepare texts that collide.
    hasher: foldhash::fast::RandomState,
}

struct Known<'t> {
    source: GrantSource,
    /// The text in the document; `None` if it is the canonical form. The canonical form is close in memory, while this
    /// text may be a gigabyte away.
    text: Option<&'t str>,
    written: Option<SourceType>,
    dialect: Dialect,
}

impl Known<'_> {
    fn text(&self) -> &[u8] {
        match self.text {
            Some(text) => text.as_bytes(),
            None => self.source.canonical(),
        }
    }
}

impl<'t> Sources<'t> {
    pub(super) fn new() -> Self {
        Self::remembering(MOST)
    }

    /// Caches up to `most` sources. The next one clears the cache.
    fn remembering(most: usize) -> Self {
        Self { known: HashTable::new(), most, hasher: foldhash::fast::RandomState::default() }
    }

    /// Parses `text` as the type `written`, or guesses the type by N6.
    pub(super) fn read(
        &mut self,
        text: &Text<'t>,
        written: Option<SourceType>,
        dialect: Dialect,
        limits: &Limits,
    ) -> Result<GrantSource, SourceError> {
        let read = || match written {
            Some(source_type) => GrantSource::typed(Some(text), source_type, dialect, limits),
            None => GrantSource::guess(text, dialect, limits),
        };
        // Text with escapes is not a part of the document: it is not worth a copy.
        let Cow::Borrowed(text) = *text else { return read() };
        let bytes = text.as_bytes();
        let same = |known: &Known<'_>| (known.written, known.dialect) == (written, dialect) && known.text() == bytes;
        let hash = self.hasher.hash_one(bytes);
        if let Some(known) = self.known.find(hash, same) {
            return Ok(known.source.clone());
        }
        let source = read()?;
        if self.known.len() >= self.most {
            self.known.clear();
        }
        let text = (source.canonical() != bytes).then_some(text);
        let known = Known { source: source.clone(), text, written, dialect };
        self.known.insert_unique(hash, known, |known| self.hasher.hash_one(known.text()));
        Ok(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cache does not change results, whatever its size.
    #[test]
    fn the_cache_does_not_change_results() {
        let texts = [
            "a.b",
            "A.b",
            "\"A\".b",
            "`a`.b",
            "\"a.b\".c",
            "a.*",
            "a.\"*\"",
            "*",
            "abc",
            "select 1",
            "select  1",
            "x",
            "",
        ];
        let types =
            [None, SourceType::from_name("table"), SourceType::from_name("pattern"), SourceType::from_name("query")];
        let limits = Limits::default();
        for most in [0, 1, 2, 7, MOST] {
            let mut sources = Sources::remembering(most);
            for _ in 0..2 {
                for dialect in Dialect::ALL {
                    for (text, written) in texts.iter().flat_map(|text| types.map(|written| (*text, written))) {
                        let want = match written {
                            Some(written) => GrantSource::typed(Some(text), written, dialect, &limits),
                            None => GrantSource::guess(text, dialect, &limits),
                        };
                        for text in [Cow::Borrowed(text), Cow::Owned(text.to_owned())] {
                            let found = sources.read(&text, written, dialect, &limits);
                            assert_eq!(found, want, "{text:?} {written:?} {dialect} {most}");
                        }
                    }
                    assert!(sources.known.len() <= most.max(1));
                }
            }
        }
    }

    #[test]
    fn cached_sources_share_their_text() {
        let mut sources = Sources::new();
        let mut read =
            |text: &'static str| match sources.read(&text.into(), None, Dialect::Postgres, &Limits::default()) {
                Ok(source @ (GrantSource::Resource(_) | GrantSource::Pattern(_))) => source.canonical().as_ptr(),
                other => panic!("{other:?}"),
            };
        for text in ["a.b", "A.b", "a.b*"] {
            assert_eq!(read(text), read(text), "{text}");
        }
        assert_ne!(read("a.b"), read("a.c"));
    }
}
