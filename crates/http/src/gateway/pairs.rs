//! Splits a query into keys and values, in one pass (W2).

use portcullis::base::bytes::Chunks;

/// A key and a value of a query, as sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair<'q> {
    pub(super) key: &'q [u8],
    /// Whether the key is made of ASCII letters, digits, `_`, `.` and `-`, and not empty.
    pub(super) is_plain: bool,
    /// Empty if there is no `=`.
    pub(super) value: &'q str,
}

/// The pairs of a query, at least one: the texts between each `&`.
#[derive(Debug)]
pub(super) struct Pairs<'q> {
    query: &'q str,
    chunks: Chunks<'q>,
    /// The offset of the next pair; `None` after the last one.
    next: Option<usize>,
    /// The offset of the first bit of the two masks.
    start: usize,
    /// A bit for each `&` of the chunk that was not returned.
    ends: u32,
    /// A bit for each byte of the chunk that was not returned and cannot be in a plain key. Includes `&` and `=`.
    marks: u32,
    /// Whether the chunks so far have a `;`.
    has_semicolon: bool,
    /// Whether the chunks so far have a `%`.
    has_percent: bool,
}

impl<'q> Pairs<'q> {
    /// Splits `query`.
    pub(super) fn new(query: &'q str) -> Self {
        let (has_semicolon, has_percent) = (false, false);
        Self { query, chunks: Chunks::new(query.as_bytes()), next: Some(0), start: 0, ends: 0, marks: 0, has_semicolon, has_percent }
    }

    /// Whether the query has a `;`. Known after the last pair.
    pub(super) fn has_semicolon(&self) -> bool {
        self.has_semicolon
    }

    /// Whether the query has a `%`. Known after the last pair.
    pub(super) fn has_percent(&self) -> bool {
        self.has_percent
    }

    /// Returns the offset of the next `&`.
    #[inline]
    fn next_end(&mut self) -> Option<usize> {
        while self.ends == 0 {
            self.classify()?;
        }
        Some(self.take(self.ends))
    }

    /// Returns the offset of the next byte that cannot be in a plain key.
    #[inline]
    fn next_mark(&mut self) -> Option<usize> {
        while self.marks == 0 {
            self.classify()?;
        }
        Some(self.take(self.marks))
    }

    /// Returns the offset of the first bit of `mask`, and clears all bits up to it.
    #[inline]
    fn take(&mut self, mask: u32) -> usize {
        let after = !(mask ^ mask.wrapping_sub(1));
        self.ends &= after;
        self.marks &= after;
        self.start + mask.trailing_zeros() as usize
    }

    /// Classifies the next chunk.
    #[inline]
    fn classify(&mut self) -> Option<()> {
        let chunk = self.chunks.next()?;
        let lanes = chunk.lanes;
        self.start = chunk.start;
        self.ends = chunk.bits(lanes.equal(b'&'));
        let separator = lanes.equal(b'_') | lanes.equal(b'.') | lanes.equal(b'-');
        self.marks = chunk.bits(!(lanes.alphanumeric() | separator));
        self.has_semicolon |= lanes.equal(b';').to_bitmask() != 0;
        self.has_percent |= lanes.equal(b'%').to_bitmask() != 0;
        Some(())
    }
}

impl<'q> Iterator for Pairs<'q> {
    type Item = Pair<'q>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'q>> {
        let (start, bytes) = (self.next?, self.query.as_bytes());
        let mut mark = self.next_mark();
        let mut is_plain = true;
        while mark.is_some_and(|at| !matches!(bytes.get(at), Some(b'&' | b'='))) {
            is_plain = false;
            mark = self.next_mark();
        }
        let all = self.query.len();
        let key = bytes.get(start..mark.unwrap_or(all)).unwrap_or_default();
        let (end, value) = match mark {
            Some(equal) if bytes.get(equal) == Some(&b'=') => {
                let end = self.next_end();
                (end, self.query.get(equal + 1..end.unwrap_or(all)).unwrap_or_default())
            }
            end => (end, ""),
        };
        self.next = end.map(|end| end + 1);
        Some(Pair { key, is_plain: is_plain && !key.is_empty(), value })
    }
}

#[cfg(test)]
mod tests {
    use super::{Pair, Pairs};
    use crate::gateway::keys::is_plain;

    /// The definition of a query.
    fn slow(query: &str) -> Vec<Pair<'_>> {
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.map(|(key, value)| Pair { key: key.as_bytes(), is_plain: is_plain(key.as_bytes()), value }).collect()
    }

    #[test]
    fn queries_of_all_lengths_are_split_as_their_definition_says() {
        let pieces = ["a", "=", "&", ";", "%", "-._", "/", "0123456789abcdef", "é", "=&=", "&&", ""];
        let count = pieces.len();
        for number in 0..count.pow(4) {
            let middle: String = (0..4).filter_map(|at| pieces.get(number / count.pow(at) % count).copied()).collect();
            for before in [0, 11, 14, 16, 29] {
                let query = format!("{}{middle}", "x".repeat(before));
                let mut pairs = Pairs::new(&query);
                let found: Vec<_> = pairs.by_ref().collect();
                assert_eq!(found, slow(&query), "{query}");
                assert_eq!(pairs.has_semicolon(), query.contains(';'), "{query}");
                assert_eq!(pairs.has_percent(), query.contains('%'), "{query}");
            }
        }
    }
}
