//! One pattern against one name, both in canonical form.

use memchr::memmem;

use crate::name::STAR;

/// Whether `pattern` covers `name` (N3.1, N3.2). A pattern without a star covers just itself.
///
/// Linear in both lengths: each literal run of a segment is looked for once, from where the last one ended.
#[inline]
pub(crate) fn covers(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_last() {
        // One star, at the end: by far the most patterns.
        Some((&STAR, prefix)) if !prefix.contains(&STAR) => {
            name.strip_prefix(prefix).is_some_and(|run| !run.contains(&b'.'))
        }
        _ => segments_cover(pattern, name),
    }
}

fn segments_cover(pattern: &[u8], name: &[u8]) -> bool {
    let mut segments = name.split(|&byte| byte == b'.');
    for pattern in pattern.split(|&byte| byte == b'.') {
        match segments.next() {
            Some(segment) if segment_covers(pattern, segment) => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

/// Whether a pattern of one segment covers a segment. Handed several segments, its stars span their dots.
///
/// Taking the first place where a run fits leaves the most room for those behind it, so no choice is ever taken back.
pub(crate) fn segment_covers(pattern: &[u8], segment: &[u8]) -> bool {
    let Some(first) = memchr::memchr(STAR, pattern) else {
        return pattern == segment;
    };
    let last = memchr::memrchr(STAR, pattern).unwrap_or(first);
    let (Some(prefix), Some(suffix)) = (pattern.get(..first), pattern.get(last + 1..)) else {
        return false;
    };
    let Some(mut rest) = segment.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix)) else {
        return false;
    };
    let inner = pattern.get(first + 1..last).unwrap_or_default();
    if inner.is_empty() {
        return true;
    }
    for run in inner.split(|&byte| byte == STAR) {
        match memmem::find(rest, run).and_then(|at| rest.get(at + run.len()..)) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    true
}
