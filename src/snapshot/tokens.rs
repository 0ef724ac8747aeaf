//! The token table: finds the row of a token by the digest of its secret.

use std::collections::HashMap;

use bytes::Bytes;

use super::CompileError;
use super::memory::{Memory, Unit};
use super::texts::TextId;
use crate::base::Timestamp;
use crate::model::{ApiSet, Expiry, SecretDigest};

/// The data of a token that a decision needs before the grants. A row has the same form in memory and in a file.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(16))]
pub(crate) struct Row {
    digest: [u8; 32],
    /// The index of the token's [`Terms`].
    terms: u32,
    /// The offset of the referer set, plus one; zero for any referer.
    referers: u32,
    /// The offset of the grant set.
    grants: u32,
    id: TextId,
}

const _: () = assert!(size_of::<Row>() == 48 && align_of::<Row>() <= align_of::<Unit>());

impl Row {
    pub(crate) fn new(digest: SecretDigest, terms: u32, referers: Option<u32>, id: TextId) -> Self {
        let referers = referers.map_or(0, |set| set + 1);
        Self { digest: *digest.as_bytes(), terms, referers, grants: 0, id }
    }

    pub(crate) fn with_grants(self, grants: u32) -> Self {
        Self { grants, ..self }
    }

    pub(crate) fn digest(&self) -> SecretDigest {
        self.digest.into()
    }

    /// Returns the offset of the referer set; `None` for any referer.
    pub(crate) fn referers(&self) -> Option<u32> {
        self.referers.checked_sub(1)
    }

    pub(crate) fn grants(&self) -> u32 {
        self.grants
    }

    pub(crate) fn id(&self) -> TextId {
        self.id
    }
}

/// The APIs and the expiry of a token. Most tokens share theirs with other tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Terms {
    apis: u64,
    /// The seconds of the expiry; the maximum value for never.
    seconds: i64,
    nanoseconds: u32,
    zero: u32,
}

/// The terms of a row without any: no API, and long expired.
const NO_TERMS: &Terms = &Terms { apis: 0, seconds: i64::MIN, nanoseconds: 0, zero: 0 };

impl Terms {
    pub(crate) fn new(apis: ApiSet, expiry: Expiry) -> Self {
        let (seconds, nanoseconds) = match expiry {
            Expiry::Never => (i64::MAX, 0),
            Expiry::At(end) => (end.seconds(), end.nanoseconds()),
        };
        Self { apis: apis.bits(), seconds, nanoseconds, zero: 0 }
    }

    pub(crate) fn apis(&self) -> ApiSet {
        ApiSet::from_bits(self.apis)
    }

    pub(crate) fn expiry(&self) -> Expiry {
        match self.seconds {
            i64::MAX => Expiry::Never,
            seconds => Expiry::At(Timestamp::from_unix(seconds, self.nanoseconds)),
        }
    }

    /// Returns whether the token is expired at `now` (N9.1).
    #[inline]
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        now.seconds() >= self.seconds && self.is_expired_in_second(now)
    }

    #[cold]
    fn is_expired_in_second(&self, now: Timestamp) -> bool {
        self.expiry().is_expired(now)
    }
}

/// Collects terms and stores each combination once.
#[derive(Debug, Default)]
pub(crate) struct TermsBuilder {
    terms: Vec<Terms>,
    known: HashMap<Terms, u32, foldhash::fast::RandomState>,
}

impl TermsBuilder {
    /// Returns the index of `terms`.
    pub(crate) fn intern(&mut self, terms: Terms) -> Result<u32, CompileError> {
        if let Some(&at) = self.known.get(&terms) {
            return Ok(at);
        }
        let at = u32::try_from(self.terms.len()).map_err(|_| CompileError::TooManyTokens)?;
        self.terms.push(terms);
        self.known.insert(terms, at);
        Ok(at)
    }

    pub(crate) fn finish(mut self) -> Vec<Terms> {
        self.terms.shrink_to_fit();
        self.terms
    }
}

/// A hash table of rows by digest.
///
/// The digest is hashed: the high half chooses a slot, and the low half is a fingerprint. For an unknown digest, the
/// slots alone are nearly always sufficient.
#[derive(Debug, Default)]
pub(crate) struct TokenTable {
    /// The [`Row`]s, aligned for their type.
    rows: Bytes,
    terms: Vec<Terms>,
    /// The [`Slot`]s.
    // INVARIANT: at least one is empty, unless there are none and no rows.
    slots: Bytes,
    /// The mask of the bits of a slot that contain the row index.
    index_mask: u32,
    seed: u64,
}

/// The maximum number of slots of a table that is half full.
const SPARSE: usize = 1 << 16;

impl TokenTable {
    /// Creates a table of `rows`, whose digests must be distinct and whose grants must be set. `terms` are those that the
    /// rows refer to.
    pub(crate) fn new(rows: &[Row], terms: Vec<Terms>) -> Self {
        if rows.is_empty() {
            return Self::default();
        }
        // A table is four fifths full. A small one is half full: searches are shorter.
        let count = (rows.len() + rows.len() / 4 + 1).max((2 * rows.len()).min(SPARSE));
        let mut memory = Memory::zeroed(count * size_of::<Slot>());
        let slots = memory.as_mut().as_chunks_mut::<{ size_of::<Slot>() }>().0.get_mut(..count).unwrap_or_default();
        let seed = rows.iter().fold(1, |seed, row| mix(&row.digest, seed));
        let index_mask = u32::MAX >> u32::try_from(rows.len()).map_or(0, u32::leading_zeros);
        for (row, number) in rows.iter().zip(1..) {
            let (first, fingerprint) = split(&row.digest, seed, count);
            let is_empty = |at: &usize| slots.get(*at).is_some_and(|slot| Slot::of(slot).row == 0);
            let empty = (first..count).chain(0..first).find(is_empty);
            if let Some(slot) = empty.and_then(|at| slots.get_mut(at)) {
                let row_word = fingerprint & !index_mask | number;
                *slot = bytemuck::cast(Slot { row: row_word, grants: row.grants, referers: row.referers });
            }
        }
        let slots = memory.freeze(count * size_of::<Slot>());
        Self { rows: Memory::copy(bytemuck::cast_slice(rows)), terms, slots, index_mask, seed }
    }

    /// Returns the row of this digest and its index. Usually takes one probe and one comparison.
    ///
    /// Calls `expect` with the bytes of a candidate row and the offsets of its grants and referers, before reading the
    /// row.
    #[inline]
    pub(crate) fn find(
        &self,
        digest: &SecretDigest,
        expect: impl Fn(&[u8], u32, Option<u32>),
    ) -> Option<(usize, &Row)> {
        let slots = self.slots.as_chunks::<{ size_of::<Slot>() }>().0;
        let (mut at, fingerprint) = split(digest.as_bytes(), self.seed, slots.len());
        loop {
            let slot = Slot::of(slots.get(at)?);
            if slot.row == 0 {
                return None;
            }
            if (slot.row ^ fingerprint) & !self.index_mask == 0
                && let Some(index) = ((slot.row & self.index_mask) as usize).checked_sub(1)
                && let Some(row) = self.row(index)
            {
                expect(bytemuck::bytes_of(row), slot.grants, slot.referers.checked_sub(1));
                if row.digest == *digest.as_bytes() {
                    return Some((index, row));
                }
            }
            at = if at + 1 == slots.len() { 0 } else { at + 1 };
        }
    }

    #[inline]
    fn row(&self, index: usize) -> Option<&Row> {
        let (row, _) = self.rows.get(index * size_of::<Row>()..)?.split_first_chunk::<{ size_of::<Row>() }>()?;
        bytemuck::try_from_bytes(row).ok()
    }

    pub(crate) fn rows(&self) -> &[Row] {
        bytemuck::try_cast_slice(&self.rows).unwrap_or_default()
    }

    /// Returns the terms of a row.
    #[inline]
    pub(crate) fn terms_of(&self, row: &Row) -> &Terms {
        self.terms.get(row.terms as usize).unwrap_or(NO_TERMS)
    }

    pub(super) fn terms(&self) -> &[Terms] {
        &self.terms
    }

    pub(super) fn slots(&self) -> &[u8] {
        &self.slots
    }

    /// Returns the mask of the row index in a slot, and the seed.
    pub(super) fn parameters(&self) -> (u32, u64) {
        (self.index_mask, self.seed)
    }

    /// Creates a table from its parts; returns `None` if a search might not end.
    pub(super) fn from_parts(
        rows: Bytes,
        terms: Vec<Terms>,
        slots: Bytes,
        (index_mask, seed): (u32, u64),
    ) -> Option<Self> {
        let table = Self { rows, terms, slots, index_mask, seed };
        let rows = bytemuck::try_cast_slice::<u8, Row>(&table.rows).ok()?.len();
        let (slots, rest) = table.slots.as_chunks::<{ size_of::<Slot>() }>();
        let searchable = match slots.len() {
            0 => rows == 0,
            count => count > rows && slots.iter().any(|slot| Slot::of(slot).row == 0),
        } && rest.is_empty();
        searchable.then_some(table)
    }

    /// Returns the size of the table, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.len() + size_of_val(self.terms.as_slice()) + self.slots.len()
    }
}

/// A slot: the index of a row, and the offsets of its grants and referers, which can be prefetched before the row is read.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Slot {
    /// The row index plus one in the bits of `index_mask`, and a fingerprint in the other bits; zero if empty.
    row: u32,
    /// The offset of the grant set.
    grants: u32,
    /// The offset of the referer set, plus one; zero for any referer.
    referers: u32,
}

impl Slot {
    #[inline]
    fn of(bytes: &[u8; size_of::<Self>()]) -> Self {
        bytemuck::cast(*bytes)
    }
}

/// Returns the slot to start at, one of `slots`, and the fingerprint.
#[inline]
fn split(digest: &[u8; 32], seed: u64, slots: usize) -> (usize, u32) {
    let mixed = mix(digest, seed);
    let start = (u128::from(mixed) * slots as u128) >> 64;
    #[expect(clippy::cast_possible_truncation, reason = "the high bits are an index, the low bits a fingerprint")]
    (start as usize, mixed as u32)
}

/// Hashes all bits of a digest with a seed that depends on all digests of the table.
///
/// A document may contain digests that belong to no secret. The seed prevents an author from choosing digests that
/// collide, unless the author knows all other digests.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are folded into one")]
fn mix(digest: &[u8; 32], seed: u64) -> u64 {
    let [a, b, c, d] = std::array::from_fn(|at| {
        let word = digest.as_chunks::<8>().0.get(at).map_or(0, |word| u64::from_le_bytes(*word));
        word ^ seed.rotate_left(16 * u32::try_from(at).unwrap_or(0))
    });
    // Without the seed, no factor is known.
    let product = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b ^ 0x9e37_79b9_7f4a_7c15);
        (product ^ (product >> 64)) as u64
    };
    product(a, b) ^ product(c, d).rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(secret: &str) -> Row {
        Row::new(SecretDigest::of(secret), 0, None, 0)
    }

    #[test]
    fn row_without_terms_is_expired_and_has_no_api() {
        let table = TokenTable::new(&[row("a")], Vec::new());
        let terms = table.terms_of(&table.rows()[0]);
        assert!(terms.is_expired(Timestamp::from_unix(i64::MIN / 2, 0)) && terms.apis().iter().next().is_none());
    }

    #[test]
    fn rows_are_found_only_by_their_digest() {
        for count in [1, 2, 3, 6, 7, 8, 127, 128, 1000, 5000] {
            let rows: Vec<Row> = (0..count).map(|at| row(&format!("secret {at}"))).collect();
            let table = TokenTable::new(&rows, Vec::new());
            for at in 0..count {
                let found = table.find(&SecretDigest::of(&format!("secret {at}")), |_, _, _| ()).map(|(at, _)| at);
                assert_eq!(found, Some(at), "{at} of {count}");
                assert!(table.find(&SecretDigest::of(&format!("another {at}")), |_, _, _| ()).is_none());
            }
        }
        assert!(TokenTable::default().find(&SecretDigest::of("secret 0"), |_, _, _| ()).is_none());
    }
}
