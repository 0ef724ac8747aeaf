//! From the names that were needed to the narrowest grants for them.

use std::collections::{BTreeMap, BTreeSet};

use super::SuggestOptions;
use super::needs::{GrantNeeds, MOST};
use portcullis::model::{GrantKind, GrantKinds, GrantSource, Limits, SourceType};
use portcullis::name::{Dialect, Name, NameDisplay, STAR};
use portcullis::pattern::covers;

/// Names of as many segments, and what all of them have in common.
#[derive(Debug)]
pub(super) struct Outline {
    /// The names; `None` once there are too many.
    names: Option<BTreeSet<Box<[u8]>>>,
    segments: Vec<Common>,
}

/// What a segment of all names begins and ends with.
#[derive(Debug)]
struct Common {
    before: Vec<u8>,
    behind: Vec<u8>,
    shortest: usize,
    is_same: bool,
}

impl Outline {
    pub(super) fn of(name: &[u8]) -> Self {
        let common = |segment: &[u8]| Common {
            before: segment.to_vec(),
            behind: segment.to_vec(),
            shortest: segment.len(),
            is_same: true,
        };
        let segments = name.split(|&byte| byte == b'.').map(common).collect();
        Self { names: Some(BTreeSet::from([name.into()])), segments }
    }

    /// Takes in another name, of as many segments.
    pub(super) fn add(&mut self, name: &[u8]) {
        if let Some(names) = &mut self.names {
            if names.contains(name) {
                return;
            }
            names.insert(name.into());
            if names.len() > MOST {
                self.names = None;
            }
        }
        for (common, segment) in self.segments.iter_mut().zip(name.split(|&byte| byte == b'.')) {
            common.add(segment);
        }
    }

    /// The names by the first word of their last segment, where that makes several parts, but no more than `most`.
    fn by_word(&self, most: usize) -> Option<Vec<Self>> {
        let mut words: BTreeMap<&[u8], Self> = BTreeMap::new();
        for name in self.names.as_ref()? {
            let start = memchr::memrchr(b'.', name).map_or(0, |dot| dot + 1);
            let end =
                name.iter().skip(start).position(|byte| b"_-".contains(byte)).map_or(name.len(), |at| start + at + 1);
            let word = name.get(..end).unwrap_or(name);
            words.entry(word).and_modify(|outline| outline.add(name)).or_insert_with(|| Self::of(name));
            if words.len() > most {
                return None;
            }
        }
        (words.len() > 1).then(|| words.into_values().collect())
    }

    fn exact(&self, most: usize) -> Option<&BTreeSet<Box<[u8]>>> {
        self.names.as_ref().filter(|names| names.len() <= most)
    }

    /// The narrowest pattern, of one star a segment, that covers all names and lies within `old`; where a segment of that is
    /// no wider, it stands in its stead.
    fn pattern(&self, old: Option<&[u8]>) -> Vec<u8> {
        let mut old = old.map(|old| old.split(|&byte| byte == b'.'));
        let segment = |common: &Common| {
            let narrow = common.pattern();
            match old.as_mut().and_then(Iterator::next) {
                Some(old) if !covers(old, &narrow) => old.to_vec(),
                _ => narrow,
            }
        };
        self.segments.iter().map(segment).collect::<Vec<_>>().join(&b'.')
    }
}

impl Common {
    fn add(&mut self, segment: &[u8]) {
        self.is_same &= self.before == segment;
        let before = self.before.iter().zip(segment).take_while(|(a, b)| a == b).count();
        self.before.truncate(before);
        let behind = self.behind.iter().rev().zip(segment.iter().rev()).take_while(|(a, b)| a == b).count();
        self.behind.drain(..self.behind.len() - behind);
        self.shortest = self.shortest.min(segment.len());
    }

    fn pattern(&self) -> Vec<u8> {
        if self.is_same {
            return self.before.clone();
        }
        // No character is cut in two, and none counts twice.
        let before = self.before.utf8_chunks().next().map(|chunk| chunk.valid()).unwrap_or_default().as_bytes();
        let most = self.shortest.saturating_sub(before.len()).min(self.behind.len());
        let behind = self.behind.get(self.behind.len() - most..).unwrap_or_default();
        let cut = behind.iter().take_while(|&&byte| byte & 0xC0 == 0x80).count();
        [before, &[STAR], behind.get(cut..).unwrap_or_default()].concat()
    }
}

/// The narrowest sources, of these kinds, for what was needed of `old`; `old` itself where nothing narrower will do.
pub(super) fn narrowed(
    old: &GrantSource,
    need: &GrantNeeds,
    kinds: GrantKinds,
    dialect: Dialect,
    limits: &Limits,
    options: &SuggestOptions,
) -> Vec<GrantSource> {
    let narrower = match old {
        GrantSource::Resource(_) | GrantSource::Query(_) | GrantSource::NamedSource(_) => None,
        GrantSource::Pattern(_) | GrantSource::All => {
            Narrowing { old, need, kinds, dialect, limits, options }.sources()
        }
    };
    narrower.filter(|sources| !sources.is_empty()).unwrap_or_else(|| vec![old.clone()])
}

struct Narrowing<'n> {
    old: &'n GrantSource,
    need: &'n GrantNeeds,
    /// What may stand in the stead of `old`.
    kinds: GrantKinds,
    dialect: Dialect,
    limits: &'n Limits,
    options: &'n SuggestOptions,
}

impl Narrowing<'_> {
    fn sources(&self) -> Option<Vec<GrantSource>> {
        if self.need.unclear {
            return None;
        }
        let mut sources = self.resources()?;
        for (kind, texts) in
            [(GrantKind::Query, &self.need.queries), (GrantKind::NamedSource, &self.need.named_sources)]
        {
            if !texts.is_empty() && (texts.len() > self.options.exact || !self.will_do(kind)) {
                return None;
            }
            for text in texts {
                sources.push(self.read(text, kind)?);
            }
        }
        Some(sources)
    }

    /// Whether a grant of that kind will do: every use considered it, and no API considers it that did not consider `old`.
    fn will_do(&self, kind: GrantKind) -> bool {
        self.kinds.contains(kind) && self.need.considered.is_some_and(|considered| considered.contains(kind))
    }

    fn resources(&self) -> Option<Vec<GrantSource>> {
        let schemas = self.need.schemas.as_ref().filter(|schemas| schemas.len() <= self.options.schemas);
        let outlines: Vec<&Outline> = match schemas {
            Some(schemas) => schemas.values().collect(),
            None => self.need.depths.values().collect(),
        };
        let mut sources = Vec::new();
        for outline in outlines {
            if self.exact(outline, self.options.exact, &mut sources)? {
                continue;
            }
            let words = outline.by_word(self.options.exact);
            let parts: Vec<&Outline> = words.as_ref().map_or_else(|| vec![outline], |words| words.iter().collect());
            for part in parts {
                // A word that only one name begins with is that name.
                if !self.exact(part, 1, &mut sources)? {
                    sources.push(self.pattern(part)?);
                }
            }
        }
        Some(sources)
    }

    /// Grants the names one by one, if they are no more than `most`; whether it did.
    fn exact(&self, outline: &Outline, most: usize, sources: &mut Vec<GrantSource>) -> Option<bool> {
        let names = outline.exact(most).filter(|_| self.will_do(GrantKind::Resource));
        for name in names.into_iter().flatten() {
            sources.push(self.canonical(name, GrantKind::Resource)?);
        }
        Some(names.is_some())
    }

    fn pattern(&self, outline: &Outline) -> Option<GrantSource> {
        let within = match self.old {
            GrantSource::Pattern(old) => Some(old.as_bytes()),
            _ => None,
        };
        let pattern = outline.pattern(within);
        let kind = if pattern.contains(&STAR) { GrantKind::Pattern } else { GrantKind::Resource };
        let is_within = within.is_none_or(|old| covers(old, &pattern));
        if is_within && self.will_do(kind) { self.canonical(&pattern, kind) } else { None }
    }

    /// The grant of a canonical form; `None` if no document can write it.
    fn canonical(&self, canonical: &[u8], kind: GrantKind) -> Option<GrantSource> {
        let text = NameDisplay { bytes: canonical.into(), dialect: self.dialect }.to_string();
        let source = self.read(&text, kind)?;
        let is_same = match &source {
            GrantSource::Resource(name) => *name == Name::of_canonical(canonical),
            GrantSource::Pattern(pattern) => pattern.as_bytes() == canonical,
            _ => false,
        };
        is_same.then_some(source)
    }

    fn read(&self, text: &str, kind: GrantKind) -> Option<GrantSource> {
        let kind = SourceType::from_name(kind.as_str())?;
        GrantSource::typed(Some(text), kind, self.dialect, self.limits).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(names: &[&str], old: Option<&str>) -> String {
        let mut names = names.iter();
        let mut outline = Outline::of(names.next().unwrap().as_bytes());
        names.for_each(|name| outline.add(name.as_bytes()));
        let old = old.map(|old| old.replace('*', "\u{2}"));
        String::from_utf8(outline.pattern(old.as_ref().map(String::as_bytes))).unwrap().replace('\u{2}', "*")
    }

    #[test]
    fn a_pattern_begins_and_ends_as_all_names_do() {
        for (names, old, expected) in [
            (&["a.roads_1", "a.roads_2"][..], None, "a.roads_*"),
            (&["a.roads_1_eu", "a.roads_22_eu"], None, "a.roads_*_eu"),
            (&["a.x", "b.x"], None, "*.x"),
            (&["a.aa", "a.aaa"], None, "a.aa*"),
            (&["a.aXa", "a.aa"], None, "a.a*a"),
            (&["a.é1", "a.è1"], None, "a.*1"),
            (&["a.1é", "a.1ĩ"], None, "a.1*"),
            (&["a.x_road_1", "a.y_road_2"], Some("a.*road*"), "a.*road*"),
            (&["a.x_roads_1", "a.x_roads_2"], Some("a.x*s*"), "a.x_roads_*"),
            (&["a.roads_1", "a.rails_1"], Some("a.*_1"), "a.r*s_1"),
        ] {
            assert_eq!(pattern(names, old), expected, "{names:?}");
        }
    }
}
