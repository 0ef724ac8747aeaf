//! The path of a target, segment by segment (W2).

use std::borrow::Cow;

use smallvec::SmallVec;

use super::NotUnderstood;
use super::percent::{Plus, decode};

/// One segment.
#[derive(Debug, Clone)]
pub(super) struct Segment<'r> {
    /// As it was sent.
    pub(super) raw: &'r str,
    /// Percent-decoded once.
    pub(super) text: Cow<'r, str>,
}

/// The segments of a path: none of them is `.` or `..` or holds a slash, a backslash or a control character, encoded or
/// not, and from `base` on none is empty.
#[derive(Debug)]
pub(super) struct Path<'r> {
    pub(super) segments: SmallVec<[Segment<'r>; 12]>,
    /// Where the first segment stands that is the base segment.
    base: Option<usize>,
}

impl<'r> Path<'r> {
    /// Reads `path`, which begins with a slash.
    pub(super) fn read(path: &'r str, base_segment: Option<&str>) -> Result<Self, NotUnderstood> {
        let behind = path.strip_prefix('/').ok_or_else(|| NotUnderstood::new("a target that is not a path"))?;
        if behind.starts_with('/') {
            return Err(NotUnderstood::new("a path that begins with two slashes, which may be read as a host"));
        }
        let mut segments = SmallVec::new();
        let mut base = base_segment.is_none().then_some(0);
        for (at, raw) in behind.as_bytes().split(|byte| *byte == b'/').enumerate() {
            // A slash stands between whole characters.
            let raw = std::str::from_utf8(raw).unwrap_or_default();
            let segment = Segment::read(raw)?;
            if base.is_none() && base_segment.is_some_and(|wanted| segment.text.eq_ignore_ascii_case(wanted)) {
                if base_segment != Some(raw) {
                    return Err(NotUnderstood::new("the base segment of the path in another spelling"));
                }
                base = Some(at);
            }
            // The only segment of `/` is no gap.
            if raw.is_empty() && base.is_some() && !behind.is_empty() {
                return Err(NotUnderstood::new("an empty segment in the path"));
            }
            segments.push(segment);
        }
        Ok(Self { segments, base })
    }

    /// The segments from the base segment on; none where there is none.
    pub(super) fn based(&self) -> &[Segment<'r>] {
        self.base.and_then(|base| self.segments.get(base..)).unwrap_or_default()
    }

    /// The same, to take from.
    pub(super) fn based_mut(&mut self) -> &mut [Segment<'r>] {
        self.base.and_then(|base| self.segments.get_mut(base..)).unwrap_or_default()
    }
}

impl<'r> Segment<'r> {
    fn read(raw: &'r str) -> Result<Self, NotUnderstood> {
        // Nearly all are words, in which there is nothing to find.
        if raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
            return Ok(Self { raw, text: Cow::Borrowed(raw) });
        }
        let text = decode(raw, Plus::Plus)?;
        if text.bytes().any(|byte| matches!(byte, b'/' | b'\\')) {
            return Err(NotUnderstood::new("an encoded slash, or a backslash, in the path"));
        }
        if text.chars().any(char::is_control) {
            return Err(NotUnderstood::new("a control character in the path"));
        }
        if is_dots(&text) {
            return Err(NotUnderstood::new("a `.` or `..` segment in the path"));
        }
        Ok(Self { raw, text })
    }
}

/// Whether a server may take a decoded segment for `.` or `..`: also one that still holds an encoded dot, or that has
/// parameters behind a semicolon.
fn is_dots(text: &str) -> bool {
    let mut rest = text.split(';').next().unwrap_or_default();
    let mut dots = 0;
    while !rest.is_empty() {
        let encoded = || rest.get(..3).filter(|escape| escape.eq_ignore_ascii_case("%2e")).and_then(|_| rest.get(3..));
        match rest.strip_prefix('.').or_else(encoded) {
            Some(behind) => rest = behind,
            None => return false,
        }
        dots += 1;
    }
    dots == 1 || dots == 2
}
