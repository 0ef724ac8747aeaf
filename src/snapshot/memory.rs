//! Memory for the parts of a snapshot.

use bytes::Bytes;
use memmap2::MmapMut;

/// A buffer whose bytes are aligned for each part.
pub(super) enum Memory {
    Few(Vec<Unit>),
    /// New pages, large ones if the system has them. The first write to a page causes a page fault, and a fault of a 2
    /// MiB page costs hardly more than a fault of a 4 KiB page.
    Many(MmapMut),
}

/// The unit of a small buffer. Its alignment is the greatest one of a part.
pub(super) type Unit = u128;

/// The minimum size in bytes for which large pages are used.
const MANY: usize = 4 << 20;

impl Memory {
    /// Moves `bytes` to large pages if there are many. A decision reads few bytes of a large part, so each read of a
    /// normal page also waits for the address of the page.
    pub(super) fn hold(mut bytes: Vec<u8>) -> Bytes {
        if bytes.len() < MANY {
            bytes.shrink_to_fit();
            return bytes.into();
        }
        Self::copy(&bytes)
    }

    /// Copies `bytes` to an aligned buffer.
    pub(super) fn copy(bytes: &[u8]) -> Bytes {
        let mut memory = Self::zeroed(bytes.len());
        memory.as_mut().iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        memory.freeze(bytes.len())
    }

    /// Allocates `length` zeros, rounded up to a whole [`Unit`].
    pub(super) fn zeroed(length: usize) -> Self {
        let pages = if length >= MANY { MmapMut::map_anon(length).ok() } else { None };
        let Some(pages) = pages else {
            return Self::Few(bytemuck::allocation::zeroed_vec(length.div_ceil(size_of::<Unit>())));
        };
        // Advice only: without large pages, the system uses normal ones.
        #[cfg(target_os = "linux")]
        let _ = pages.advise(memmap2::Advice::HugePage);
        Self::Many(pages)
    }

    pub(super) fn as_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Few(units) => bytemuck::cast_slice_mut(units),
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
            Self::Few(units) => bytemuck::cast_slice(units),
            Self::Many(pages) => pages,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_and_copied_bytes_are_unchanged() {
        for length in [0, 1, 47, 48, MANY - 1, MANY, MANY + 1] {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            assert!(Memory::hold(bytes.clone()) == bytes, "{length}");
            assert!(Memory::copy(&bytes) == bytes, "{length}");
        }
    }

    #[test]
    fn memory_of_any_size_is_zeroed_and_aligned() {
        for length in [0, 1, 63, 64, 65, MANY - 1, MANY, MANY + 1] {
            let mut memory = Memory::zeroed(length);
            assert_eq!(matches!(memory, Memory::Many(_)), length >= MANY, "{length}");
            let bytes = memory.as_mut().get_mut(..length).unwrap();
            assert!(bytes.iter().all(|&byte| byte == 0));
            bytes.iter_mut().zip((0..=u8::MAX).cycle()).for_each(|(byte, value)| *byte = value);
            let bytes = memory.freeze(length);
            assert!(bytes.len() == length && bytes.iter().copied().eq((0..=u8::MAX).cycle().take(length)), "{length}");
            let whole = bytes.get(..length / size_of::<Unit>() * size_of::<Unit>()).unwrap();
            assert!(bytemuck::try_cast_slice::<u8, Unit>(whole).is_ok(), "{length}: not aligned");
        }
    }
}
