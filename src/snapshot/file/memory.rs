//! Memory for the parts that are read from a file.

use bytes::Bytes;
use memmap2::MmapMut;

use super::Row;

/// A buffer that is aligned for rows.
pub(super) enum Memory {
    Few(Vec<Row>),
    /// New pages, large ones if the system has them. The first write to a page causes a page fault, and a fault of a 2
    /// MiB page costs hardly more than a fault of a 4 KiB page.
    Many(MmapMut),
}

/// The minimum size in bytes for which large pages are used.
const MANY: usize = 4 << 20;

impl Memory {
    /// Allocates `length` zeros, rounded up to a whole row.
    pub(super) fn zeroed(length: usize) -> Self {
        let pages = if length >= MANY { MmapMut::map_anon(length).ok() } else { None };
        let Some(pages) = pages else {
            return Self::Few(bytemuck::allocation::zeroed_vec(length.div_ceil(size_of::<Row>())));
        };
        // Advice only: without large pages, the system uses normal ones.
        #[cfg(target_os = "linux")]
        let _ = pages.advise(memmap2::Advice::HugePage);
        Self::Many(pages)
    }

    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Few(rows) => bytemuck::cast_slice_mut(rows),
            Self::Many(pages) => pages,
        }
    }

    /// Returns the first `length` bytes, which can no longer be changed.
    pub(super) fn freeze(self, length: usize) -> Bytes {
        let mut bytes = Bytes::from_owner(self);
        bytes.truncate(length);
        bytes
    }
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Few(rows) => bytemuck::cast_slice(rows),
            Self::Many(pages) => pages,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_any_size_is_zeroed_and_aligned_for_rows() {
        for length in [0, 1, 63, 64, 65, MANY - 1, MANY, MANY + 1] {
            let mut memory = Memory::zeroed(length);
            assert_eq!(matches!(memory, Memory::Many(_)), length >= MANY, "{length}");
            let bytes = memory.as_mut().get_mut(..length).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.iter_mut().zip((0..=u8::MAX).cycle()).for_each(|(byte, value)| *byte = value);
            let bytes = memory.freeze(length);
            assert!(bytes.len() == length && bytes.iter().copied().eq((0..=u8::MAX).cycle().take(length)), "{length}");
            let whole = bytes.get(..length / size_of::<Row>() * size_of::<Row>()).unwrap();
            assert!(bytemuck::try_cast_slice::<u8, Row>(whole).is_ok(), "{length}: not aligned for rows");
        }
    }
}
