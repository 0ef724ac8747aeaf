//! Matches one pattern against one name, both in canonical form.

use memchr::memmem;

use crate::name::STAR;

/// Returns whether `pattern` covers `name` (N3.1, N3.2). A pattern without a star covers only itself.
///
/// Linear in both lengths: searches each literal run of a segment once, from the end of the previous run.
#[inline]
pub fn covers(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_last() {
        // One star, at the end: the most frequent class of patterns.
        Some((&STAR, prefix)) if !prefix.contains(&STAR) => {
            name.strip_prefix(prefix).is_some_and(|run| !run.contains(&b'.'))
        }
        _ => segments_cover(pattern, name),
    }
}

fn segments_cover(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern, mut name) = (Some(pattern), Some(name));
    while let (Some(patterns), Some(names)) = (pattern, name) {
        let ((first, patterns_rest), (segment, names_rest)) = (first_segment(patterns), first_segment(names));
        if !segment_covers(first, segment) {
            return false;
        }
        (pattern, name) = (patterns_rest, names_rest);
    }
    pattern.is_none() && name.is_none()
}

/// Splits a name into its first segment and the text after the dot.
fn first_segment(name: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'.', name).and_then(|dot| name.split_at_checked(dot)) {
        Some((segment, rest)) => (segment, rest.get(1..)),
        None => (name, None),
    }
}

/// Returns whether a pattern of one segment covers a segment. If `segment` contains dots, stars match them too.
///
/// Takes the first occurrence of each literal run, which leaves the most room for the following runs. No backtracking
/// is needed.
pub fn segment_covers(pattern: &[u8], segment: &[u8]) -> bool {
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
            Some(after) => rest = after,
            None => return false,
        }
    }
    true
}
