//! Derives the narrowest grants for the names that were needed.

use super::SuggestOptions;
use super::grant_needs::GrantNeeds;
use super::outline::Outline;
use portcullis::model::{GrantKind, GrantKinds, GrantSource, Limits, SourceType};
use portcullis::name::{Dialect, Name, NameDisplay, STAR};
use portcullis::pattern::covers;

/// Returns the narrowest sources, of these kinds, for what was needed of `old`; `old` itself if there is nothing
/// narrower.
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
    /// The kinds of grant that may replace `old`.
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
            if !texts.is_empty() && (texts.len() > self.options.exact || !self.can_be(kind)) {
                return None;
            }
            for text in texts {
                sources.push(self.read(text, kind)?);
            }
        }
        Some(sources)
    }

    /// Whether a grant of that kind can replace `old`: every use considered the kind, and no API gains access by it.
    fn can_be(&self, kind: GrantKind) -> bool {
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
                // A word with a single name becomes that name.
                if !self.exact(part, 1, &mut sources)? {
                    sources.push(self.pattern(part)?);
                }
            }
        }
        Some(sources)
    }

    /// Adds the names as single grants if there are at most `max`. Returns whether it did.
    fn exact(&self, outline: &Outline, max: usize, sources: &mut Vec<GrantSource>) -> Option<bool> {
        let names = outline.exact(max).filter(|_| self.can_be(GrantKind::Resource));
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
        if is_within && self.can_be(kind) { self.canonical(&pattern, kind) } else { None }
    }

    /// Returns the source with a canonical form; `None` if no document can write it.
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
