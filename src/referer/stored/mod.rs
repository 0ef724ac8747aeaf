//! Stored sets of entries, which are matched in place: in memory or in a compiled snapshot.
//!
//! Entries are grouped by origin. A hash of the origin finds its group without reading the other groups. A number has
//! two bytes, or four in a set of more than 64 KiB, and is little-endian:
//!
//! ```text
//! head       zero for numbers of two bytes, one for four (one byte)
//!            number of origins without a wildcard, number of origins with one
//!            the lengths of the authorities with a wildcard: bit n for n modulo 64 (eight bytes; only with wildcards)
//! hashes     the hash of each origin (two bytes), in order; first the origins without a wildcard
//! offsets    the offset of each group in the set
//! group      number of deciding pages, twice, plus one for `https`; zero if each page of the origin matches
//!            number of pages
//!            length of the authority
//!            offset of each page in the set, the deciding ones first and in order
//!            authority: host, and port unless it is the default one; a dot before the host of a wildcard
//!            for each page: length of its path, twice, plus one for an exact page; path
//! ```
//!
//! A deciding page is one that no other page of its origin includes.
//!
//! Most sets have one site. A header is first compared with its text, without a hash.

mod groups;
mod write;

use self::groups::Groups;
use super::entry::Entry;
use super::header::Referer;
use super::url::Scheme;
use crate::base::is_same;

pub(crate) use self::groups::{Candidate, LookUp};
pub(super) use self::write::write;

/// A borrowed set. Matching is safe for any bytes: an entry that cannot be read matches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StoredSet<'b> {
    /// The set, and any bytes after it.
    bytes: &'b [u8],
}

impl<'b> StoredSet<'b> {
    /// Creates the set at the start of `bytes`, the output of [`write`].
    #[inline]
    pub(crate) fn of(bytes: &'b [u8]) -> Self {
        Self { bytes }
    }

    /// Returns whether an entry matches a header, like [`RefererSet::accepts`](super::RefererSet::accepts).
    #[inline]
    pub(crate) fn accepts(self, header: &str) -> bool {
        match self.look_up(header) {
            LookUp::Done(accepts) => accepts,
            LookUp::Candidate(candidate) => candidate.accepts(),
        }
    }

    /// Looks up the origin of a header by its hash. If an origin has this hash, prefetches its entries, and leaves the
    /// comparison to the caller.
    #[inline]
    pub(crate) fn look_up<'h>(self, header: &'h str) -> LookUp<'b, 'h> {
        if self.only_site().is_some_and(|site| site.is_start_of(header)) {
            return LookUp::Done(true);
        }
        self.groups().look_up(header)
    }

    /// Returns whether an entry matches `referer` (N7.2 to N7.5).
    pub(super) fn matches(self, referer: &Referer<'_>) -> bool {
        self.groups().matches(referer)
    }

    /// Returns the entries, in canonical order.
    pub(crate) fn entries(self) -> impl Iterator<Item = Entry> {
        self.groups().views().into_iter().map_while(Entry::of)
    }

    pub(crate) fn len(self) -> usize {
        self.groups().views().len()
    }

    #[inline]
    fn groups(self) -> Groups<'b> {
        Groups::read(self.bytes).unwrap_or_default()
    }

    /// Returns the entry of a set that consists of one site without a wildcard. Most sets do.
    #[inline]
    fn only_site(self) -> Option<Site<'b>> {
        let start = self.bytes.first_chunk::<SITE>()?;
        if u128::from_le_bytes(*start) & u128::from_le_bytes(SITE_MASK) != u128::from_le_bytes(SITE_START) {
            return None;
        }
        let [.., https, _, _, _, low, high, _] = *start;
        let length = usize::from(u16::from_le_bytes([low, high]));
        let authority = self.bytes.get(SITE - 1..)?.get(..length)?;
        Some(Site { scheme: if https == 0 { Scheme::Http } else { Scheme::Https }, authority })
    }
}

/// The number of bytes of a set of one site up to the first byte of its authority.
const SITE: usize = 16;

/// The start of a set of one site, with zeros for the bytes that are not in [`SITE_MASK`].
const SITE_START: [u8; SITE] = [0, 1, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0];

/// The bits that are equal in all sets of one site: all but the hash, `https`, the length, and the authority.
const SITE_MASK: [u8; SITE] = [!0, !0, !0, !0, !0, 0, 0, !0, !0, !1, !0, !0, !0, 0, 0, 0];

/// An entry that matches every page of an origin.
struct Site<'b> {
    scheme: Scheme,
    authority: &'b [u8],
}

impl Site<'_> {
    /// Returns whether a header starts with the text of the site. A header that does has the origin of the site, because
    /// entries are canonical.
    #[inline]
    fn is_start_of(&self, header: &str) -> bool {
        let text = match self.scheme {
            Scheme::Https => header.as_bytes().strip_prefix(b"https://"),
            Scheme::Http => header.as_bytes().strip_prefix(b"http://"),
        };
        text.and_then(|text| text.split_at_checked(self.authority.len()))
            .is_some_and(|(authority, rest)| rest.first() == Some(&b'/') && is_same(authority, self.authority))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::groups::{FEW, hash};
    use super::*;

    fn set<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<u8> {
        let mut entries: Vec<Entry> = texts.into_iter().map(|text| Entry::parse(text).unwrap()).collect();
        entries.sort_unstable();
        write(&entries.iter().map(Entry::view).collect::<Vec<_>>())
    }

    #[test]
    fn only_one_site_without_wildcard_is_compared_as_text() {
        let long = format!("https://{}a.test/", "a.".repeat(0x8000));
        let own: &[u8] = b"a.test";
        for (texts, want) in [
            (&["https://a.test/"][..], Some((Scheme::Https, own))),
            (&["http://a.test/"], Some((Scheme::Http, own))),
            (&["https://a.test:81/"], Some((Scheme::Https, b"a.test:81"))),
            (&["https://*.a.test/"], None),
            (&["https://a.test/p"], None),
            (&["https://a.test/p/*"], None),
            (&["https://a.test/", "https://a.test/p"], None),
            (&["https://a.test/", "https://b.test/"], None),
            (&["https://a.test/", "https://*.a.test/"], None),
            (&[&long], None),
            (&[], None),
        ] {
            let bytes = set(texts.iter().copied());
            let site = StoredSet::of(&bytes).only_site().map(|site| (site.scheme, site.authority));
            assert_eq!(site, want, "{:.40}", texts.concat());
            for text in texts {
                let own = text.replace('*', "x");
                for (header, want) in [(own.clone(), true), (own.replace(".test", ".tesu"), false)] {
                    assert_eq!(StoredSet::of(&bytes).accepts(&header), want, "{header:.40}");
                }
            }
        }
    }

    #[test]
    fn origins_with_equal_hashes_are_distinguished() {
        let mut by_hash: HashMap<u16, Vec<String>> = HashMap::new();
        for at in 0..300_000 {
            let authority = format!("h{at}.test");
            by_hash.entry(hash(Scheme::Https, authority.as_bytes())).or_default().push(format!("https://{authority}/"));
        }
        let same = by_hash.into_values().max_by_key(Vec::len).unwrap();
        assert!(same.len() > 2 * FEW);
        for count in 1..same.len() {
            let bytes = set(same[..count].iter().map(String::as_str));
            for (at, text) in same.iter().enumerate() {
                assert_eq!(StoredSet::of(&bytes).accepts(text), at < count, "{at} of {count}");
            }
        }
    }

    #[test]
    fn forged_sets_are_safe_and_bounded() {
        let texts = ["https://a.test/", "https://*.b.test:81/x/*", "https://b.test/p", "https://b.test/q"];
        let bytes = set(texts);
        let headers =
            ["https://a.test/x", "https://x.b.test:81/x/", "https://b.test/p", "https://\u{fc}.b.test:81/", ""];
        for at in 0..bytes.len() {
            for value in 0..=u8::MAX {
                let mut forged = bytes.clone();
                forged[at] = value;
                for length in [at + 1, forged.len()] {
                    let set = StoredSet::of(&forged[..length]);
                    for header in headers {
                        set.accepts(header);
                    }
                    assert!(set.len() <= forged.len() && set.entries().count() <= forged.len());
                }
            }
        }
        // All groups are one group, whose pages are one page.
        let mut forged = vec![0, 0xff, 0xff, 0, 0];
        forged.resize(forged.len() + 2 * 0xffff, 0);
        let group = u16::try_from(0xfff0).unwrap().to_le_bytes();
        forged.extend(group.repeat(0xffff));
        forged.resize(0x80_0000, 0xff);
        assert!(StoredSet::of(&forged).len() <= forged.len());
    }
}
