//! From the digest of a secret to what its token may do.

use bytes::Bytes;

use super::texts::TextId;
use crate::base::Timestamp;
use crate::model::{ApiSet, Expiry, SecretDigest};

/// All that a decision needs of a token before its grants: one cache line, the same in memory and in a file.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Row {
    digest: [u8; 32],
    apis: u64,
    /// Of its expiry; the greatest for never.
    seconds: i64,
    nanoseconds: u32,
    /// Where its referer set begins, plus one; zero for any referer.
    referers: u32,
    /// Where its grant set begins.
    grants: u32,
    id: TextId,
}

const _: () = assert!(size_of::<Row>() == 64);

impl Row {
    pub(crate) fn new(digest: SecretDigest, apis: ApiSet, expiry: Expiry, referers: Option<u32>, id: TextId) -> Self {
        let (seconds, nanoseconds) = match expiry {
            Expiry::Never => (i64::MAX, 0),
            Expiry::At(end) => (end.seconds(), end.nanoseconds()),
        };
        let referers = referers.map_or(0, |set| set + 1);
        Self { digest: *digest.as_bytes(), apis: apis.bits(), seconds, nanoseconds, referers, grants: 0, id }
    }

    pub(crate) fn with_grants(self, grants: u32) -> Self {
        Self { grants, ..self }
    }

    pub(crate) fn digest(&self) -> SecretDigest {
        self.digest.into()
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

    /// Whether the token is expired at `now` (N9.1).
    #[inline]
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        now.seconds() >= self.seconds && self.expiry().is_expired(now)
    }

    /// Where its referer set begins, or `None` for any referer.
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

/// The rows, found by digest.
///
/// Of a mix of a digest's bits some say where to look, and others tell apart what is found there. An absent digest is
/// nearly always told by the slots alone.
#[derive(Debug, Default)]
pub(crate) struct TokenTable {
    /// [`Row`]s, at a index that suits them.
    rows: Bytes,
    // INVARIANT: the length is a power of two, or zero, and at least one slot is empty.
    slots: Vec<Slot>,
    /// The bits of a slot that say which row.
    index_mask: u32,
    seed: u64,
}

impl TokenTable {
    /// A table of these rows, whose digests are distinct, and whose grants are known.
    pub(crate) fn new(rows: Vec<Row>) -> Self {
        if rows.is_empty() {
            return Self::default();
        }
        // At most seven eighths full.
        let mut slots = vec![Slot::default(); (rows.len() + rows.len() / 7 + 1).next_power_of_two()];
        let mask = slots.len() - 1;
        let seed = rows.iter().fold(1, |seed, row| mix(&row.digest, seed));
        let index_mask = u32::MAX >> u32::try_from(rows.len()).map_or(0, u32::leading_zeros);
        for (row, index) in rows.iter().zip(1..) {
            let (mut at, fingerprint) = split(&row.digest, seed);
            while slots.get(at & mask).is_some_and(|slot| slot.row != 0) {
                at += 1;
            }
            if let Some(slot) = slots.get_mut(at & mask) {
                *slot = Slot { row: fingerprint & !index_mask | index, grants: row.grants };
            }
        }
        Self { rows: Bytes::from_owner(Rows(rows)), slots, index_mask, seed }
    }

    /// The row of this digest, with its index. One probe and one comparison, nearly always. `expect` is told the first
    /// byte of a row that it may be, and where its grants begin, before the row is waited for.
    #[inline]
    pub(crate) fn find(&self, digest: &SecretDigest, expect: impl Fn(&u8, u32)) -> Option<(usize, &Row)> {
        let mask = self.slots.len().checked_sub(1)?;
        let (mut at, fingerprint) = split(digest.as_bytes(), self.seed);
        loop {
            let slot = *self.slots.get(at & mask)?;
            if slot.row == 0 {
                return None;
            }
            if (slot.row ^ fingerprint) & !self.index_mask == 0
                && let Some(index) = ((slot.row & self.index_mask) as usize).checked_sub(1)
                && let Some(row) = self.row(index)
            {
                let [first, ..] = &row.digest;
                expect(first, slot.grants);
                if row.digest == *digest.as_bytes() {
                    return Some((index, row));
                }
            }
            at += 1;
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

    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The bits of a slot that say which row, and the seed.
    pub(super) fn parameters(&self) -> (u32, u64) {
        (self.index_mask, self.seed)
    }

    /// The table that has these parts; `None` where a search might not end.
    pub(super) fn from_parts(rows: Bytes, slots: Vec<Slot>, index_mask: u32, seed: u64) -> Option<Self> {
        let table = Self { rows, slots, index_mask, seed };
        let rows = bytemuck::try_cast_slice::<u8, Row>(&table.rows).ok()?.len();
        let searchable = match table.slots.len() {
            0 => rows == 0,
            count => count.is_power_of_two() && count > rows && table.slots.iter().any(|slot| slot.row == 0),
        };
        searchable.then_some(table)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.len() + size_of_val(self.slots.as_slice())
    }
}

/// Where a row is, and its grants, which need not wait for it then.
#[derive(Debug, Clone, Copy, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(crate) struct Slot {
    /// The row's index plus one in the low bits, as many as `index_mask` has, and a fingerprint in the others; zero if empty.
    row: u32,
    /// Where its grant set begins.
    grants: u32,
}

/// Rows that were just made.
struct Rows(Vec<Row>);

impl AsRef<[u8]> for Rows {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

/// Where to look, and what to find there.
#[inline]
fn split(digest: &[u8; 32], seed: u64) -> (usize, u32) {
    let mixed = mix(digest, seed);
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are a index, the high bits a fingerprint")]
    (mixed as usize, (mixed >> 32) as u32)
}

/// All bits of a digest, mixed with a seed that all digests of the table have a part in: a document may write digests that
/// no secret has, but not, without knowing all others, such as meet in one index.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves of the product are folded into one")]
fn mix(digest: &[u8; 32], seed: u64) -> u64 {
    let [a, b, c, d] = std::array::from_fn(|at| {
        let word = digest.as_chunks::<8>().0.get(at).map_or(0, |word| u64::from_le_bytes(*word));
        word ^ seed.rotate_left(16 * u32::try_from(at).unwrap_or(0))
    });
    // No factor is known without the seed.
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
        Row::new(SecretDigest::of(secret), ApiSet::default(), Expiry::Never, None, 0)
    }

    #[test]
    fn every_row_is_found_and_no_other() {
        for count in [1, 2, 3, 7, 8, 127, 128, 1000] {
            let rows = (0..count).map(|at| row(&format!("secret {at}"))).collect();
            let table = TokenTable::new(rows);
            for at in 0..count {
                let found = table.find(&SecretDigest::of(&format!("secret {at}")), |_, _| ()).map(|(at, _)| at);
                assert_eq!(found, Some(at), "{at} of {count}");
                assert!(table.find(&SecretDigest::of(&format!("another {at}")), |_, _| ()).is_none());
            }
        }
        assert!(TokenTable::default().find(&SecretDigest::of("secret 0"), |_, _| ()).is_none());
    }
}
