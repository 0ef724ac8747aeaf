//! Near misses of names: names that nearly match a granted name or pattern.

use super::{NearMiss, NearMissKind, Nearest};
use crate::decision::CanonicalSource;
use crate::explain::case::{Case, singular};
use crate::explain::words::folding;
use crate::model::GrantKind;
use crate::name::{
    CanonicalName, Dialect, INNER_DOT, NameBuffer, NameDisplay, STAR, is_typographic_quote, undecorated,
};
use crate::pattern::covers;
use crate::snapshot::Block;

/// The replacement of a dot that a star may span.
const SPANNED: u8 = 0x1F;

/// A name that no grant covers.
struct UncoveredName<'c> {
    case: &'c Case<'c, 'c>,
    index: usize,
    /// The name as the client wrote it, in backticks.
    shown: String,
    name: &'c [u8],
    lower: Vec<u8>,
    spanned: Vec<u8>,
    dialect: Dialect,
}

/// Compares the requested name, given by its index, text and canonical form, with the names and patterns of `block`.
pub(super) fn misses(
    case: &Case<'_, '_>,
    block: Block<'_>,
    (index, text, name): (usize, &str, CanonicalName<'_>),
    nearest: &mut Nearest,
) {
    let name = name.as_bytes();
    let uncovered = UncoveredName {
        case,
        index,
        shown: case.quoted(text),
        name,
        lower: name.to_ascii_lowercase(),
        spanned: replaced(name, b'.', SPANNED),
        dialect: case.dialect(),
    };
    if name.contains(&INNER_DOT) {
        uncovered.without_quotes(block, nearest);
    }
    if text.contains(is_typographic_quote) {
        uncovered.with_plain_quotes(text, block, nearest);
    }
    let considered = case.considered();
    block.each(|kind, text, grant| {
        let Some(text) = text.filter(|_| considered.contains(kind)).map(|text| case.compiled.text(text).whole()) else {
            return;
        };
        match kind {
            GrantKind::Resource => uncovered.resource(&text, grant, nearest),
            GrantKind::Pattern => uncovered.pattern(&text, grant, nearest),
            _ => {}
        }
    });
}

impl UncoveredName<'_> {
    fn resource(&self, known: &[u8], grant: u32, nearest: &mut Nearest) {
        if known.eq_ignore_ascii_case(self.name) {
            return self.letter_case(GrantKind::Resource, known, grant, nearest);
        }
        if ends_with_segments(known, self.name) || ends_with_segments(self.name, known) {
            return self.leading_segments(GrantKind::Resource, known, grant, nearest);
        }
        let (Ok(name), Ok(text)) = (std::str::from_utf8(self.name), std::str::from_utf8(known)) else { return };
        if let Some(edit) = nearest.speller.edit(name, text) {
            nearest.offer(1 + edit.count(), Some(grant), || {
                let known = self.granted(GrantKind::Resource, known);
                let message = format!("{} differs by {} from granted {known}", self.shown, edit.as_str());
                self.miss(NearMissKind::SimilarName, message)
            });
        }
    }

    fn pattern(&self, known: &[u8], grant: u32, nearest: &mut Nearest) {
        if covers(&known.to_ascii_lowercase(), &self.lower) {
            return self.letter_case(GrantKind::Pattern, known, grant, nearest);
        }
        let (wanted, found) = (segments(known).count(), segments(self.name).count());
        if wanted != found {
            let spans = covers(&replaced(known, b'.', SPANNED), &self.spanned);
            let without_leading = last_segments(known, found).is_some_and(|end| covers(end, self.name))
                || last_segments(self.name, wanted).is_some_and(|end| covers(known, end));
            if spans {
                self.spans(known, grant, (wanted, found), nearest);
            } else if without_leading {
                self.leading_segments(GrantKind::Pattern, known, grant, nearest);
            }
            return;
        }
        let mut differing = segments(known)
            .zip(segments(self.name))
            .zip(1_usize..)
            .filter(|((known, segment), _)| !covers(known, segment));
        if let (Some(((known_segment, segment), number)), None) = (differing.next(), differing.next()) {
            self.one_segment(known, grant, (known_segment, segment, number), nearest);
        }
    }

    fn letter_case(&self, kind: GrantKind, known: &[u8], grant: u32, nearest: &mut Nearest) {
        nearest.offer(0, Some(grant), || {
            let message = format!(
                "{} matches grant {grant} ({} {}) except for letter case: this connection's dialect is `{}`, which {}",
                self.shown,
                singular(kind),
                self.granted(kind, known),
                self.dialect,
                folding(self.dialect)
            );
            self.miss(NearMissKind::LetterCase, message)
        });
    }

    fn leading_segments(&self, kind: GrantKind, known: &[u8], grant: u32, nearest: &mut Nearest) {
        nearest.offer(2, Some(grant), || {
            let (wanted, found) = (segments(known).count(), segments(self.name).count());
            let how = if wanted > found { "lacks the leading segments of" } else { "has more leading segments than" };
            let message = format!("{} {how} granted {} {}", self.shown, singular(kind), self.granted(kind, known));
            self.miss(NearMissKind::LeadingSegments, message)
                .help("a name is compared as it is written, never completed from a default")
        });
    }

    fn spans(&self, known: &[u8], grant: u32, (wanted, found): (usize, usize), nearest: &mut Nearest) {
        nearest.offer(1, Some(grant), || {
            let pattern = self.granted(GrantKind::Pattern, known);
            let message = format!(
                "pattern {pattern} has {wanted} segments, the name {} has {found}: `*` never spans a dot",
                self.shown
            );
            let miss = self.miss(NearMissKind::StarSpansNoDot, message);
            let mut longer = known.to_vec();
            (wanted..found).for_each(|_| longer.extend([b'.', STAR]));
            if covers(&longer, self.name) {
                miss.help(format!("{} covers it", self.granted(GrantKind::Pattern, &longer)))
            } else {
                miss
            }
        });
    }

    /// Reports a pattern whose segments all match except number `number`, counted from one.
    fn one_segment(
        &self,
        known: &[u8],
        grant: u32,
        (known_segment, segment, number): (&[u8], &[u8], usize),
        nearest: &mut Nearest,
    ) {
        let texts = (std::str::from_utf8(segment), std::str::from_utf8(known_segment));
        let edit = match texts {
            (Ok(segment), Ok(literal)) if !known_segment.contains(&STAR) => nearest.speller.edit(segment, literal),
            _ => None,
        };
        nearest.offer(edit.map_or(4, |edit| 1 + edit.count()), Some(grant), || {
            let how = match edit {
                Some(edit) => format!("differs by {} from", edit.as_str()),
                None if known_segment.contains(&STAR) => "does not match".to_owned(),
                None => "is not".to_owned(),
            };
            let message = format!(
                "grant {grant} (pattern {}) matches {} except for segment {number}: {} {how} {}",
                self.granted(GrantKind::Pattern, known),
                self.shown,
                self.requested(segment),
                self.granted(GrantKind::Pattern, known_segment),
            );
            self.miss(NearMissKind::OneSegment, message)
        });
    }

    /// Reports a grant that would cover the name if the dots inside its quotes separated segments.
    fn without_quotes(&self, block: Block<'_>, nearest: &mut Nearest) {
        let dotted = replaced(self.name, INNER_DOT, b'.');
        let Ok(text) = std::str::from_utf8(&dotted) else { return };
        let mut buffer = NameBuffer::new();
        // Reads the name in a dialect without folding, because the bytes are canonical already.
        let Ok(name) = CanonicalName::read(text, Dialect::Generic, &mut buffer) else { return };
        let Ok(grant) = self.case.target().grant(block, &CanonicalSource::Resource(name)) else { return };
        nearest.offer(0, Some(grant), || {
            let message = format!(
                "the dots inside the quotes of {} do not separate segments; if they did, {} would cover it",
                self.shown,
                self.case.grant(block, grant)
            );
            self.miss(NearMissKind::QuotedDots, message)
                .help(format!("quote each segment by itself, or none: {}", self.granted(GrantKind::Resource, &dotted)))
        });
    }

    /// Reports a grant that would cover the name `text` with the quotes of the dialect.
    fn with_plain_quotes(&self, text: &str, block: Block<'_>, nearest: &mut Nearest) {
        let Some(plain) = undecorated(text, self.dialect) else { return };
        let mut buffer = NameBuffer::new();
        let Ok(name) = CanonicalName::read(&plain, self.dialect, &mut buffer) else { return };
        let Ok(grant) = self.case.target().grant(block, &CanonicalSource::Resource(name)) else { return };
        nearest.offer(0, Some(grant), || {
            let message = format!("the typographic quotes in {} are part of the name", self.shown);
            self.miss(NearMissKind::SimilarName, message).help(format!(
                "write {}, which {} covers",
                self.case.quoted(&plain),
                self.case.grant(block, grant)
            ))
        });
    }

    /// Quotes a part of the requested name in backticks.
    fn requested(&self, canonical: &[u8]) -> String {
        self.case.quoted(&NameDisplay { bytes: canonical.into(), dialect: self.dialect }.to_string())
    }

    fn granted(&self, kind: GrantKind, canonical: &[u8]) -> String {
        self.case.grant_text(kind, canonical, self.dialect)
    }

    fn miss(&self, kind: NearMissKind, message: String) -> NearMiss {
        NearMiss::new(kind, message).source(self.index)
    }
}

fn segments(canonical: &[u8]) -> impl Iterator<Item = &[u8]> {
    canonical.split(|&byte| byte == b'.')
}

fn replaced(bytes: &[u8], from: u8, to: u8) -> Vec<u8> {
    bytes.iter().map(|&byte| if byte == from { to } else { byte }).collect()
}

/// Returns whether `long` consists of additional segments, then `short`.
fn ends_with_segments(long: &[u8], short: &[u8]) -> bool {
    long.strip_suffix(short).is_some_and(|start| start.ends_with(b"."))
}

/// Returns the last `count` segments of `canonical`, if it has more.
fn last_segments(canonical: &[u8], count: usize) -> Option<&[u8]> {
    let mut dots = canonical.iter().enumerate().rev().filter(|&(_, &byte)| byte == b'.');
    let (dot, _) = dots.nth(count.checked_sub(1)?)?;
    canonical.get(dot + 1..)
}
