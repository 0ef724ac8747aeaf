//! Writes a set of entries.

use super::groups::{LANES, Width, hash};
use crate::referer::entry::{Reach, View};
use crate::referer::url::{Origin, Scheme};

/// The entries of one origin that are to be written.
struct Written<'e> {
    wildcard: bool,
    hash: u16,
    scheme: Scheme,
    authority: Vec<u8>,
    /// The pages that no other page includes, then the other ones; each in order.
    deciders: Vec<View<'e>>,
    included: Vec<View<'e>>,
}

impl<'e> Written<'e> {
    fn new(origin: Origin<'e>, views: &[View<'e>]) -> Self {
        let dot: &[u8] = if origin.wildcard { b"." } else { b"" };
        let port = origin.port.map(|port| format!(":{port}")).unwrap_or_default();
        let authority = [dot, origin.host, port.as_bytes()].concat();
        let (mut deciders, mut included) = (Vec::new(), Vec::new());
        let mut last: Option<View<'_>> = None;
        for view in views {
            // The entries that an entry includes directly follow it.
            if last.is_some_and(|last| last.includes(*view)) {
                included.push(*view);
            } else {
                deciders.push(*view);
                last = Some(*view);
            }
        }
        // A site includes every page of its origin.
        deciders.retain(|view| view.reach != Reach::Site);
        let hash = hash(origin.scheme, &authority);
        Self { wildcard: origin.wildcard, hash, scheme: origin.scheme, authority, deciders, included }
    }

    fn pages(&self) -> impl Iterator<Item = &View<'e>> {
        self.deciders.iter().chain(&self.included)
    }
}

/// Returns the bytes of a set of entries, which must be in order and without duplicates.
pub(in crate::referer) fn write(views: &[View<'_>]) -> Vec<u8> {
    let mut groups: Vec<Written<'_>> = views
        .chunk_by(|a, b| a.origin == b.origin)
        .filter_map(|views| Some(Written::new(views.first()?.origin, views)))
        .collect();
    groups.sort_by(|a, b| {
        (a.wildcard, a.hash, a.scheme, &a.authority).cmp(&(b.wildcard, b.hash, b.scheme, &b.authority))
    });
    // A set beyond 4 GiB does not fit: it matches nothing.
    write_with(Width::Two, &groups).or_else(|| write_with(Width::Four, &groups)).unwrap_or_default()
}

/// Writes a set; returns `None` if a number does not fit into `width`.
fn write_with(width: Width, groups: &[Written<'_>]) -> Option<Vec<u8>> {
    let wildcards = groups.iter().filter(|group| group.wildcard).count();
    let mut out = vec![u8::from(width == Width::Four)];
    width.write(groups.len() - wildcards, &mut out)?;
    width.write(wildcards, &mut out)?;
    if wildcards > 0 {
        let lengths = groups.iter().filter(|group| group.wildcard).map(|group| 1_u64 << (group.authority.len() % 64));
        out.extend(lengths.fold(0, |lengths, length| lengths | length).to_le_bytes());
    }
    let hashes = out.len();
    out.extend(groups.iter().flat_map(|group| group.hash.to_le_bytes()));
    let mut start = out.len() + width.bytes() * groups.len();
    let mut records = Vec::new();
    for group in groups {
        width.write(start, &mut out)?;
        let record = records.len();
        width.write(group.deciders.len() << 1 | usize::from(group.scheme == Scheme::Https), &mut records)?;
        width.write(group.pages().count(), &mut records)?;
        width.write(group.authority.len(), &mut records)?;
        let mut page = start + width.bytes() * (3 + group.pages().count()) + group.authority.len();
        for view in group.pages() {
            width.write(page, &mut records)?;
            page += width.bytes() + view.tail.len();
        }
        records.extend(&group.authority);
        for view in group.pages() {
            width.write(view.tail.len() << 1 | usize::from(view.reach == Reach::Exact), &mut records)?;
            records.extend(view.tail);
        }
        start += records.len() - record;
    }
    out.extend(records);
    // Hashes are compared eight at a time.
    let padded = hashes + size_of::<u16>() * (groups.len() + LANES);
    out.resize(out.len().max(padded), 0);
    Some(out)
}
