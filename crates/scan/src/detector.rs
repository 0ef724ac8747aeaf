//! Finds secrets in bytes.

use std::ops::Range;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use portcullis::model::SecretDigest;
use portcullis_secret::Secret;

use crate::escape::{self, Escape};
use crate::prefixes::{self, Prefix, PrefixError, Prefixes, is_word};

/// How a secret was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// As it is, in ASCII or UTF-8.
    Plain,
    /// UTF-16 of either byte order.
    Utf16,
    /// Base64 with the standard or the URL-safe alphabet, also in several lines.
    Base64,
    /// With percent escapes, or escapes of JSON or JavaScript strings.
    Escaped,
}

/// Finds secrets in bytes. Compiled once, and used by any number of threads.
#[derive(Debug, Clone)]
pub struct Detector {
    prefixes: Vec<Prefix>,
    automaton: AhoCorasick,
    /// The patterns of the automaton, and the bytes of each.
    patterns: Vec<Pattern>,
    texts: Vec<Vec<u8>>,
}

/// A secret at an offset of the bytes that were searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Occurrence {
    pub(crate) span: Range<usize>,
    pub(crate) encoding: Encoding,
    /// The index of the prefix.
    pub(crate) prefix: usize,
    pub(crate) digest: SecretDigest,
}

/// The encoded form of a prefix.
#[derive(Debug, Clone, Copy)]
struct Pattern {
    prefix: usize,
    form: Form,
    /// The number of bytes.
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Utf16,
    /// Base64 that decodes to `skipped` other bytes before the prefix.
    Base64 {
        skipped: usize,
    },
}

/// Max length of a secret.
const MAX_SECRET: usize = prefixes::MAX + Secret::AFTER_PREFIX;

/// Max length of an encoded secret: each character as the longest escape.
const MAX_ESCAPED: usize = MAX_SECRET * escape::MAX;

/// Max blanks at the start of a line that continues a base64 text.
const MAX_INDENT: usize = 64;

/// The bytes before and after an offset that decide whether a secret starts there.
pub(crate) const CONTEXT: usize = MAX_ESCAPED + MAX_INDENT;

/// Lines of base64 shorter than this are not joined. Base64 patterns are not longer.
const MIN_LINE: usize = 16;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

impl Detector {
    /// Compiles the prefixes.
    ///
    /// # Errors
    ///
    /// If the prefixes need more memory than an automaton can have.
    pub fn new(prefixes: &Prefixes) -> Result<Self, PrefixError> {
        let (mut patterns, mut texts) = (Vec::new(), Vec::new());
        for (index, prefix) in prefixes.as_slice().iter().enumerate() {
            for (form, text) in forms(prefix.text()) {
                patterns.push(Pattern { prefix: index, form, length: text.len() });
                texts.push(text);
            }
        }
        // The search for the leftmost match uses vector instructions.
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(&texts);
        let automaton = automaton.map_err(|_| PrefixError::TooMany)?;
        Ok(Self { prefixes: prefixes.as_slice().to_vec(), automaton, patterns, texts })
    }

    /// Returns the prefix with this index.
    pub(crate) fn prefix(&self, index: usize) -> Option<&Prefix> {
        self.prefixes.get(index)
    }

    /// Appends the secrets that start in the range `starts` of `bytes`, in no order.
    ///
    /// Each occurrence is found once. Up to [`CONTEXT`] bytes before and after the range are read.
    ///
    /// Cost: linear in `bytes`.
    pub(crate) fn find(&self, bytes: &[u8], starts: Range<usize>, found: &mut Vec<Occurrence>) {
        let first = found.len();
        let from = starts.start.saturating_sub(CONTEXT);
        let to = bytes.len().min(starts.end.saturating_add(CONTEXT));
        let search = bytes.get(..to).unwrap_or(bytes);
        self.patterns_in(search, from, |pattern, at| found.extend(self.confirm(search, pattern, at)));
        self.wrapped(search, from, found);
        self.escaped(search, from, found);
        let mut index = first;
        while let Some(occurrence) = found.get(index) {
            if starts.contains(&occurrence.span.start) {
                index += 1;
            } else {
                found.swap_remove(index);
            }
        }
    }

    /// Replaces the secrets in a name by `…`. Returns the result and the secrets.
    pub(crate) fn masked(&self, name: &str) -> (String, Vec<Occurrence>) {
        let mut occurrences = Vec::new();
        self.find(name.as_bytes(), 0..name.len(), &mut occurrences);
        occurrences.sort_by_key(|occurrence| occurrence.span.start);
        let (mut masked, mut end) = (String::new(), 0);
        for Occurrence { span, .. } in &occurrences {
            masked.push_str(name.get(end..span.start).unwrap_or_default());
            masked.push('…');
            end = span.end.max(end);
        }
        masked.push_str(name.get(end..).unwrap_or_default());
        (masked, occurrences)
    }

    /// Calls `see` with each pattern in `bytes` that starts at `from` or after it, also if patterns overlap.
    fn patterns_in(&self, bytes: &[u8], from: usize, mut see: impl FnMut(Pattern, usize)) {
        let mut at = from;
        while at < bytes.len() {
            let Some(found) = self.automaton.find(Input::new(bytes).range(at..)) else { return };
            // Other patterns may start at the same offset: a prefix may be the start of another one.
            let rest = bytes.get(found.start()..).unwrap_or_default();
            for (pattern, text) in self.patterns.iter().zip(&self.texts) {
                if rest.starts_with(text) {
                    see(*pattern, found.start());
                }
            }
            at = found.start() + 1;
        }
    }

    /// Returns the secret whose prefix has the given form at the offset `at`.
    fn confirm(&self, bytes: &[u8], pattern: Pattern, at: usize) -> Option<Occurrence> {
        match pattern.form {
            Form::Plain => self.plain(bytes, pattern.prefix, at).filter(|_| starts_word(bytes, at)),
            Form::Utf16 => self.utf16(bytes, pattern.prefix, at),
            Form::Base64 { skipped } => self.base64(bytes, pattern.prefix, at, skipped),
        }
    }

    /// Confirms a secret of ASCII characters that ends where a word ends.
    fn plain(&self, bytes: &[u8], prefix: usize, at: usize) -> Option<Occurrence> {
        let end = at + self.length(prefix)?;
        let digest = self.digest(prefix, bytes.get(at..end)?)?;
        if bytes.get(end).copied().is_some_and(is_word) {
            return None;
        }
        Some(Occurrence { span: at..end, encoding: Encoding::Plain, prefix, digest })
    }

    /// Confirms a secret in UTF-16. The bytes between its characters are zero in either byte order.
    fn utf16(&self, bytes: &[u8], prefix: usize, at: usize) -> Option<Occurrence> {
        let end = at + 2 * self.length(prefix)? - 1;
        let units = bytes.get(at..end)?;
        if units.iter().skip(1).step_by(2).any(|high| *high != 0) {
            return None;
        }
        let text: Vec<u8> = units.iter().step_by(2).copied().collect();
        let is_ascii_word = |low: usize| {
            let is_zero = |index| bytes.get(index).is_none_or(|byte| *byte == 0);
            bytes.get(low).copied().is_some_and(is_word) && is_zero(low + 1) && low.checked_sub(1).is_none_or(is_zero)
        };
        if at.checked_sub(2).is_some_and(is_ascii_word) || is_ascii_word(end + 1) {
            return None;
        }
        let digest = self.digest(prefix, &text)?;
        Some(Occurrence { span: at..end, encoding: Encoding::Utf16, prefix, digest })
    }

    /// Confirms a secret in base64. Its prefix is found at `at` and follows `skipped` bytes of one group.
    ///
    /// What is before and after the secret is not read: it may be base64 by chance, and the check digits suffice.
    fn base64(&self, bytes: &[u8], prefix: usize, at: usize, skipped: usize) -> Option<Occurrence> {
        let length = self.length(prefix)?;
        let mut start = at;
        for _ in 0..shared_characters(skipped) {
            start = previous_base64(bytes, start)?;
        }
        let needed = ((skipped + length) * 8).div_ceil(6);
        let (mut text, mut end) = (Vec::with_capacity(needed), start);
        while text.len() < needed {
            let (character, index) = next_base64(bytes, end)?;
            text.push(character);
            end = index + 1;
        }
        let decoded = BASE64.decode(&text).ok()?;
        let digest = self.digest(prefix, decoded.get(skipped..skipped + length)?)?;
        Some(Occurrence { span: start..end, encoding: Encoding::Base64, prefix, digest })
    }

    /// Finds base64 whose prefix is split between two lines.
    fn wrapped(&self, bytes: &[u8], from: usize, found: &mut Vec<Occurrence>) {
        for newline in memchr::memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()) {
            let newline = from + newline;
            let Some(join) = Join::at(bytes, newline) else { continue };
            self.patterns_in(&join.text, 0, |pattern, at| {
                let splits = at < MIN_LINE && at + pattern.length > MIN_LINE;
                if splits
                    && matches!(pattern.form, Form::Base64 { .. })
                    && let Some(offset) = join.offset(bytes, at)
                {
                    found.extend(self.confirm(bytes, pattern, offset));
                }
            });
        }
    }

    /// Finds secrets with escaped characters.
    ///
    /// Escapes of characters that no secret has are ignored, so most texts with escapes cost little.
    fn escaped(&self, bytes: &[u8], from: usize, found: &mut Vec<Occurrence>) {
        let mut at = from;
        while let Some(escape) = next_word_escape(bytes, at) {
            let mut end = escape + MAX_ESCAPED;
            let mut last = escape;
            while let Some(next) = next_word_escape(bytes.get(..end.min(bytes.len())).unwrap_or(bytes), last + 1) {
                (last, end) = (next, next + MAX_ESCAPED);
            }
            let start = escape.saturating_sub(MAX_ESCAPED);
            self.unescaped(bytes, start..end.min(bytes.len()), found);
            at = last + 1;
        }
    }

    /// Finds secrets with escaped characters in one range of `bytes`.
    fn unescaped(&self, bytes: &[u8], range: Range<usize>, found: &mut Vec<Occurrence>) {
        let (mut text, mut offsets) = (Vec::new(), Vec::new());
        let mut at = range.start;
        while at < range.end {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(&first) = rest.first() else { break };
            let escape = Escape::read(rest);
            // A character outside ASCII separates words like any other.
            text.push(escape.map_or(first, |escape| escape.word().unwrap_or(b' ')));
            offsets.push(at);
            at += escape.map_or(1, |escape| escape.len);
        }
        offsets.push(at);
        self.patterns_in(&text, 0, |pattern, start| {
            let is_start = start.checked_sub(1).and_then(|before| text.get(before)).is_none_or(|byte| !is_word(*byte));
            if pattern.form != Form::Plain || !is_start {
                return;
            }
            let Some(secret) = self.plain(&text, pattern.prefix, start) else { return };
            let (Some(&from), Some(&to)) = (offsets.get(secret.span.start), offsets.get(secret.span.end)) else {
                return;
            };
            // Without an escape inside it, the secret was found already.
            if to - from > secret.span.len() {
                found.push(Occurrence { span: from..to, encoding: Encoding::Escaped, ..secret });
            }
        });
    }

    /// Returns the length of secrets with this prefix.
    fn length(&self, prefix: usize) -> Option<usize> {
        self.prefix(prefix).map(|prefix| prefix.text().len() + Secret::AFTER_PREFIX)
    }

    /// Returns the digest of `text` if its check digits are right.
    fn digest(&self, prefix: usize, text: &[u8]) -> Option<SecretDigest> {
        let text = std::str::from_utf8(text).ok()?;
        let is_secret = portcullis_secret::has_check_digits(text, self.prefix(prefix)?.text());
        is_secret.then(|| SecretDigest::of(text))
    }
}

/// The end of a line and the start of the next one, without the line break and the indentation.
struct Join {
    text: [u8; 2 * MIN_LINE],
    /// The offset of the first byte of the first line's end.
    first: usize,
}

impl Join {
    /// Joins the lines before and after `newline` if both can be base64.
    fn at(bytes: &[u8], newline: usize) -> Option<Self> {
        let mut end = newline;
        if end.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'\r') {
            end -= 1;
        }
        let first = end.checked_sub(MIN_LINE)?;
        let before = bytes.get(first..end)?;
        if !before.iter().rev().all(|byte| is_base64(*byte)) {
            return None;
        }
        let (_, next) = next_base64(bytes, newline)?;
        let after = bytes.get(next..next + MIN_LINE)?;
        if !after.iter().all(|byte| is_base64(*byte)) {
            return None;
        }
        let mut text = [0; 2 * MIN_LINE];
        for (target, source) in text.iter_mut().zip(before.iter().chain(after)) {
            *target = *source;
        }
        Some(Self { text, first })
    }

    /// Returns the offset in `bytes` of a byte of the first line.
    fn offset(&self, bytes: &[u8], at: usize) -> Option<usize> {
        Some(self.first + at).filter(|offset| *offset < bytes.len())
    }
}

/// Returns the forms of a prefix and the bytes of each.
fn forms(prefix: &str) -> Vec<(Form, Vec<u8>)> {
    let mut forms = vec![(Form::Plain, prefix.as_bytes().to_vec())];
    let mut utf16: Vec<u8> = prefix.bytes().flat_map(|byte| [byte, 0]).collect();
    utf16.pop();
    forms.push((Form::Utf16, utf16));
    for skipped in 0..3 {
        let mut bytes = vec![0; skipped];
        bytes.extend_from_slice(prefix.as_bytes());
        // Only characters whose six bits are all of the prefix are the same in each text.
        let whole = bytes.len() * 8 / 6;
        let text = BASE64.encode(&bytes);
        let start = shared_characters(skipped);
        // The check digits confirm the rest. A short pattern is found where a line ends in it.
        let text = text.get(start..whole.min(start + MIN_LINE)).unwrap_or_default().as_bytes();
        let url_safe: Vec<u8> = text
            .iter()
            .map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect();
        forms.push((Form::Base64 { skipped }, text.to_vec()));
        if *text != *url_safe {
            forms.push((Form::Base64 { skipped }, url_safe));
        }
    }
    forms
}

/// Returns the number of base64 characters that hold bits of the first `skipped` bytes of a group.
fn shared_characters(skipped: usize) -> usize {
    (skipped * 8).div_ceil(6)
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Returns the base64 character at `at` or after a line break there, in the standard alphabet, and its offset.
fn next_base64(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut index = at;
    if matches!(bytes.get(index), Some(b'\r' | b'\n')) {
        while matches!(bytes.get(index), Some(b'\r' | b'\n')) && index < at + 2 {
            index += 1;
        }
        let line = index;
        while matches!(bytes.get(index), Some(b' ' | b'\t')) && index < line + MAX_INDENT {
            index += 1;
        }
    }
    let character = match *bytes.get(index)? {
        b'-' => b'+',
        b'_' => b'/',
        other => other,
    };
    is_base64(character).then_some((character, index))
}

/// Returns the offset of the base64 character before `at`, across a line break.
fn previous_base64(bytes: &[u8], at: usize) -> Option<usize> {
    let before = |index: usize| Some((index.checked_sub(1)?, *bytes.get(index.checked_sub(1)?)?));
    let (mut index, mut byte) = before(at)?;
    let line = at.saturating_sub(MAX_INDENT);
    let mut start = index;
    while matches!(byte, b' ' | b'\t') && start > line {
        (start, byte) = before(start)?;
    }
    if matches!(byte, b'\r' | b'\n') {
        (index, byte) = before(start)?;
        if matches!(byte, b'\r') {
            (index, byte) = before(index)?;
        }
    }
    is_base64(byte).then_some(index)
}

/// Returns the offset of the next escape of a character that can be in a secret.
fn next_word_escape(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    memchr::memchr2_iter(b'%', b'\\', rest)
        .map(|at| from + at)
        .find(|at| bytes.get(*at..).and_then(Escape::read).is_some_and(|escape| escape.word().is_some()))
}

/// Whether no word continues across `at`. An escape of another character ends a word, such as `\n` or `%20`.
fn starts_word(bytes: &[u8], at: usize) -> bool {
    let before = bytes.get(at.saturating_sub(2 * escape::MAX)..at).unwrap_or_default();
    before.last().is_none_or(|byte| !is_word(*byte)) || Escape::ends_with_separator(before)
}
