//! The path of a target, segment by segment (W2).

use std::borrow::Cow;

use portcullis::base::SegmentFault;
use smallvec::SmallVec;

use super::NotUnderstood;
use super::percent::{Plus, decode};
use portcullis::base::bytes::Offsets;

/// One segment.
#[derive(Debug, Clone)]
pub(super) struct Segment<'r> {
    /// As sent.
    pub(super) raw: &'r str,
    /// Percent-decoded once.
    pub(super) text: Cow<'r, str>,
}

/// The segments of a path. None is empty, `.` or `..`, or holds a slash, a backslash, a semicolon or a control
/// character, encoded or not. Those before the base segment are plain, and none of them resembles it.
#[derive(Debug, Default)]
pub(super) struct Path<'r> {
    pub(super) segments: SmallVec<[Segment<'r>; 12]>,
    /// The index of the base segment, the first one of its name.
    base: Option<usize>,
}

impl<'r> Path<'r> {
    /// Reads the path of `target` into this empty path. Returns the query after it.
    pub(super) fn read(&mut self, target: &'r str, base_segment: Option<&str>) -> Result<&'r str, NotUnderstood> {
        let rest = target.strip_prefix('/').ok_or_else(|| NotUnderstood::new("a target that is not a path"))?;
        self.base = base_segment.is_none().then_some(0);
        let mut start = 0;
        // Nearly all segments are words, which hold nothing that could be rejected.
        let mut is_word = true;
        let mut marks =
            Offsets::new(rest.as_bytes(), |lanes| !(lanes.alphanumeric() | lanes.equal(b'_') | lanes.equal(b'-')));
        while start <= rest.len() {
            let end = marks.next().unwrap_or(rest.len());
            let mark = rest.as_bytes().get(end);
            if !matches!(mark, None | Some(b'/' | b'?')) {
                is_word = false;
                continue;
            }
            let raw = rest.get(start..end).unwrap_or_default();
            if raw.is_empty() {
                return Err(NotUnderstood::new("an empty segment in the path"));
            }
            if self.base.is_none() && base_segment == Some(raw) {
                self.base = Some(self.segments.len());
            }
            self.segments.push(if self.base.is_none() {
                Segment::before_base(raw, base_segment)?
            } else if is_word {
                Segment { raw, text: Cow::Borrowed(raw) }
            } else {
                Segment::read(raw)?
            });
            (start, is_word) = (end + 1, true);
            if mark == Some(&b'?') {
                break;
            }
        }
        Ok(rest.get(start..).unwrap_or_default())
    }

    /// Whether the path has a base segment.
    pub(super) fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// Returns the segments from the base segment on; none without a base segment.
    pub(super) fn based(&self) -> &[Segment<'r>] {
        self.base.and_then(|base| self.segments.get(base..)).unwrap_or_default()
    }

    /// Returns the segments from the base segment on, mutable.
    pub(super) fn based_mut(&mut self) -> &mut [Segment<'r>] {
        self.base.and_then(|base| self.segments.get_mut(base..)).unwrap_or_default()
    }
}

impl<'r> Segment<'r> {
    fn read(raw: &'r str) -> Result<Self, NotUnderstood> {
        let text = decode(raw, Plus::Plus)?;
        let why = match SegmentFault::of(&text) {
            None => return Ok(Self { raw, text }),
            Some(SegmentFault::Slash) => "an encoded slash, or a backslash, in the path",
            Some(SegmentFault::Semicolon) => "a `;` in the path, which some servers take for the start of parameters",
            Some(SegmentFault::Control) => "a control character in the path",
            Some(SegmentFault::Dots) => "a `.` or `..` segment in the path",
        };
        Err(NotUnderstood::new(why))
    }

    /// Checks a segment before the base segment. Servers find that segment in different ways: nothing in it may need
    /// decoding.
    fn before_base(raw: &'r str, base_segment: Option<&str>) -> Result<Self, NotUnderstood> {
        if !raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte)) {
            let why =
                "a segment before the base segment with another character than A-Z, a-z, 0-9, `.`, `_`, `~` and `-`";
            return Err(NotUnderstood::new(why));
        }
        if base_segment.is_some_and(|base| raw.eq_ignore_ascii_case(base)) {
            return Err(NotUnderstood::new("the base segment of the path in another case"));
        }
        if SegmentFault::of(raw) == Some(SegmentFault::Dots) {
            return Err(NotUnderstood::new("a `.` or `..` segment in the path"));
        }
        Ok(Self { raw, text: Cow::Borrowed(raw) })
    }
}
