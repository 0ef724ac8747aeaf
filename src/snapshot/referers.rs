//! The distinct referer sets of a snapshot, in one sequence of bytes. Each set is its length in four bytes, then the
//! bytes of the `RefererSet`.

use std::collections::HashMap;

use bytes::Bytes;

use super::CompileError;
use super::memory::Memory;
use crate::base::fetch_lines;
use crate::referer::{RefererSet, StoredSet};

/// A sequence of referer sets.
#[derive(Debug, Default)]
pub(crate) struct RefererSets {
    bytes: Bytes,
}

impl RefererSets {
    /// Prefetches the start of the set at offset `at`: all of a small set, and the hashes of origins of most sets.
    #[inline]
    pub(super) fn fetch(&self, at: u32) {
        fetch_lines::<4>(&self.bytes, at as usize);
    }

    /// Returns the set at offset `at`; a set that matches nothing if there is none.
    #[inline]
    pub(crate) fn get(&self, at: u32) -> StoredSet<'_> {
        let set = |(length, rest): (&[u8; 4], _)| <[u8]>::get(rest, ..u32::from_le_bytes(*length) as usize);
        let bytes = self.bytes.get(at as usize..).and_then(<[u8]>::split_first_chunk).and_then(set);
        StoredSet::of(bytes.unwrap_or_default())
    }

    /// Returns the stored bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn from_bytes(bytes: Bytes) -> Self {
        Self { bytes }
    }
}

/// Collects sets and stores each distinct set once.
#[derive(Debug, Default)]
pub(super) struct RefererSetsBuilder<'p> {
    bytes: Vec<u8>,
    known: HashMap<&'p RefererSet, u32, foldhash::fast::RandomState>,
}

impl<'p> RefererSetsBuilder<'p> {
    /// Returns the offset of `set`. Stores the set if it is new.
    pub(super) fn intern(&mut self, set: &'p RefererSet) -> Result<u32, CompileError> {
        if let Some(&at) = self.known.get(set) {
            return Ok(at);
        }
        // Rows store the offset plus one.
        let at = u32::try_from(self.bytes.len()).ok().filter(|&at| at < u32::MAX).ok_or(CompileError::TooMuchText)?;
        let length = u32::try_from(set.as_bytes().len()).map_err(|_| CompileError::TooMuchText)?;
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(set.as_bytes());
        self.known.insert(set, at);
        Ok(at)
    }

    /// Returns the number of distinct sets.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn finish(self) -> RefererSets {
        RefererSets { bytes: Memory::hold(self.bytes) }
    }
}
