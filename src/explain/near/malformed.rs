//! Explains malformed sources: the error, its offset and a well-formed spelling.

use super::text::other_kind;
use super::{NearMiss, NearMissKind, Nearest};
use crate::decision::{CanonicalSource, Source};
use crate::explain::case::Case;
use crate::name::{CanonicalName, Dialect, Fold, Name, NameBuffer, NameError, NameErrorKind, undecorated};
use crate::query::{NamedSource, NormalForm};

/// The maximum length of a name for which a well-formed spelling is suggested.
const MAX_REWRITTEN: usize = 1_024;

pub(super) fn misses(case: &Case<'_, '_>, nearest: &mut Nearest) {
    let Some((index, source)) = case.failing() else {
        nearest.offer(0, None, || {
            let api = case.quoted(case.request.api);
            NearMiss::new(NearMissKind::NoSource, format!("the request names no source, and the {api} API needs one"))
        });
        return;
    };
    if let Some(block) = case.block() {
        other_kind(case, block, (index, source), nearest);
    }
    let miss = match source {
        Source::Resource(text) => name(case, text),
        Source::Query(text) => query(case, text),
        Source::NamedSource(text) => Some(named_source(case, text)),
    };
    if let Some(miss) = miss {
        nearest.offer(0, None, || miss.source(index));
    }
}

fn name(case: &Case<'_, '_>, text: &str) -> Option<NearMiss> {
    let dialect = case.dialect();
    let error = CanonicalName::read(text, dialect, &mut NameBuffer::new()).err()?;
    let offset = match error.kind() {
        NameErrorKind::TooLong { .. } | NameErrorKind::TooManySegments => String::new(),
        _ => format!(", at byte {}", error.at()),
    };
    let message = format!("{} is not a name{offset}: {error}", case.quoted(text));
    let miss = NearMiss::new(NearMissKind::MalformedName, message);
    if let Some(name) = undecorated(text, dialect) {
        let covered = covered(case, &name);
        return Some(miss.help(format!("write {}{covered}", case.quoted(&name))));
    }
    Some(match help(case, text, &error, dialect) {
        Some(help) => miss.help(help),
        None => miss,
    })
}

fn help(case: &Case<'_, '_>, text: &str, error: &NameError, dialect: Dialect) -> Option<String> {
    let quotes = || match dialect {
        Dialect::Generic => "double quotes or backquotes",
        _ if dialect.quote() == '`' => "backquotes",
        _ => "double quotes",
    };
    match error.kind() {
        NameErrorKind::Character { found: '"' | '`' | '\'' | '[', .. } => {
            Some(format!("dialect `{dialect}` quotes with {}", quotes()))
        }
        NameErrorKind::Character { .. } => {
            let written = rewritten(text, dialect)?;
            let covered = covered(case, &written);
            Some(format!("between quotes it may: {}{covered}", case.quoted(&written)))
        }
        NameErrorKind::EmptyIdentifier => {
            let without: Vec<&str> = text.split('.').filter(|segment| !segment.is_empty()).collect();
            let without = without.join(".");
            Name::parse(&without, dialect).ok()?;
            let covered = covered(case, &without);
            Some(format!("without the extra dot: {}{covered}", case.quoted(&without)))
        }
        NameErrorKind::Fold { .. } if dialect.quoted_fold() == Fold::AsWritten => {
            let written = rewritten(text, dialect)?;
            let covered = covered(case, &written);
            Some(format!("quoted letters do not fold: {}{covered}", case.quoted(&written)))
        }
        NameErrorKind::QuotedCharacter { found: '\\', .. } => Some("BigQuery's names have no escapes".to_owned()),
        NameErrorKind::UnclosedQuote { quote } => Some(format!("a {quote} inside quotes is written twice"))
            .filter(|_| dialect != Dialect::BigQuery)
            .or_else(|| Some("close the quote".to_owned())),
        _ => None,
    }
}

/// Quotes each segment of `text` that needs quotes; returns `None` if the result is not a name.
fn rewritten(text: &str, dialect: Dialect) -> Option<String> {
    if text.len() > MAX_REWRITTEN || text.contains(['"', '`']) {
        return None;
    }
    let quote = dialect.quote();
    let segment = |segment: &str| match Name::parse(segment, dialect) {
        Ok(_) => segment.to_owned(),
        Err(_) => format!("{quote}{segment}{quote}"),
    };
    let written = text.split('.').map(segment).collect::<Vec<_>>().join(".");
    Name::parse(&written, dialect).is_ok().then_some(written)
}

/// Describes the grant that covers `text`, such as ", which grant 2 (…) covers".
fn covered(case: &Case<'_, '_>, text: &str) -> String {
    let mut buffer = NameBuffer::new();
    let name = CanonicalName::read(text, case.dialect(), &mut buffer).ok();
    let grant = name.zip(case.block()).and_then(|(name, block)| {
        let grant = case.target().grant(block, &CanonicalSource::Resource(name)).ok()?;
        Some(case.grant(block, grant))
    });
    grant.map(|grant| format!(", which {grant} covers")).unwrap_or_default()
}

fn query(case: &Case<'_, '_>, text: &str) -> Option<NearMiss> {
    let error = NormalForm::of(text, case.compiled.query_bytes()).err()?;
    Some(NearMiss::new(NearMissKind::MalformedQuery, error.to_string()))
}

fn named_source(case: &Case<'_, '_>, text: &str) -> NearMiss {
    let allowed = |character: char| matches!(character, 'a'..='z' | '0'..='9' | '-' | '_');
    let what = if let Some((at, found)) = text.char_indices().find(|&(_, character)| !allowed(character)) {
        let found = case.quoted(&found.to_string());
        format!("{found}, at byte {at}, is not a lower-case letter, a digit, `-` or `_`")
    } else if !(3..=51).contains(&text.len()) {
        format!("it has {} characters, not 3 to 51", text.len())
    } else if text.starts_with(['-', '_']) {
        "its first character is neither a letter nor a digit".to_owned()
    } else {
        "its last character is `-` or `_`".to_owned()
    };
    let message = format!("{} is not a named source: {what}", case.quoted(text));
    let miss = NearMiss::new(NearMissKind::MalformedNamedSource, message);
    let lower = text.trim().to_lowercase();
    if NamedSource::is_named_source(&lower) {
        miss.help(format!("named sources are lower-case: {}", case.quoted(&lower)))
    } else {
        miss
    }
}
