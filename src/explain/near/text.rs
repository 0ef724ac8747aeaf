//! Queries and named sources, and texts that are granted as another kind.

use super::{NearMiss, NearMissKind, Nearest, as_other_kinds};
use crate::decision::Source;
use crate::explain::case::{Case, singular};
use crate::explain::words::{kinds, plural};
use crate::model::{GrantKind, GrantKinds};
use crate::name::NameBuffer;
use crate::query::NormalForm;
use crate::snapshot::Block;

/// A shorter text is the beginning of too many others.
const BEGINNING: usize = 8;

/// Queries that are granted on the connection.
pub(super) fn queries(
    case: &Case<'_, '_>,
    block: Block<'_>,
    index: usize,
    asked: &NormalForm<'_>,
    nearest: &mut Nearest,
) {
    if !case.considered().contains(GrantKind::Query) {
        return;
    }
    let asked: String = asked.clone().collect();
    block.each(|kind, text, grant| {
        let (GrantKind::Query, Some(text)) = (kind, text) else { return };
        let bytes = case.compiled.text(text).own();
        let Ok(known) = std::str::from_utf8(bytes) else { return };
        let mut offer = |rank, kind, how: &dyn Fn() -> String, help: Option<&str>| {
            nearest.offer(rank, Some(grant), || {
                let known = case.grant_text(GrantKind::Query, bytes, case.dialect());
                let message = format!("the query {} grant {grant} ({known})", how());
                let miss = NearMiss::new(kind, message).source(index);
                NearMiss { help: help.map(str::to_owned), ..miss }
            });
        };
        if asked.eq_ignore_ascii_case(known) {
            let how = || "differs in letter case only from".to_owned();
            offer(0, NearMissKind::QueryLetterCase, &how, Some("queries are compared letter by letter"));
        } else if let Some(same_case) = same_but_space(&asked, known) {
            let how = || {
                let also = if same_case { "" } else { " and letter case" };
                format!("differs in white space{also} only from")
            };
            let help = "runs of white space are the same as one space only outside quotes and comments, and only in a \
                        text that every dialect reads alike: no backslash, no `#`, no `//`";
            offer(u8::from(!same_case), NearMissKind::QueryWhiteSpace, &how, Some(help));
        } else if let Some(more) = asked.strip_prefix(known).filter(|_| known.len() >= BEGINNING) {
            let how = || format!("goes on with {} after the text of", case.quoted(more.trim_start()));
            offer(3, NearMissKind::QueryTrailingText, &how, None);
        } else if let Some(more) = known.strip_prefix(asked.as_str()).filter(|_| asked.len() >= BEGINNING) {
            let how = || format!("lacks {} at the end of", case.quoted(more.trim_start()));
            offer(3, NearMissKind::QueryTrailingText, &how, None);
        } else if let Some(edit) = nearest.speller.edit(&asked, known) {
            nearest.offer(1 + edit.count(), Some(grant), || {
                let known = case.grant_text(GrantKind::Query, bytes, case.dialect());
                let message = format!("the query differs by {} from grant {grant} ({known})", edit.as_str());
                NearMiss::new(NearMissKind::SimilarQuery, message).source(index)
            });
        }
    });
}

/// Whether both are the same but for ASCII white space and letter case, and if so, whether letter case is the same.
fn same_but_space(a: &str, b: &str) -> Option<bool> {
    let mut left = a.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let mut right = b.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let mut same_case = true;
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Some(same_case),
            (Some(a), Some(b)) if a.eq_ignore_ascii_case(&b) => same_case &= a == b,
            _ => return None,
        }
    }
}

/// Named sources that are granted on the connection.
pub(super) fn named_sources(
    case: &Case<'_, '_>,
    block: Block<'_>,
    (index, name): (usize, &str),
    nearest: &mut Nearest,
) {
    if !case.considered().contains(GrantKind::NamedSource) {
        return;
    }
    block.each(|kind, text, grant| {
        let (GrantKind::NamedSource, Some(text)) = (kind, text) else { return };
        let Ok(known) = std::str::from_utf8(case.compiled.text(text).own()) else { return };
        if let Some(edit) = nearest.speller.edit(name, known) {
            nearest.offer(edit.count(), Some(grant), || {
                let (name, known) = (case.quoted(name), case.quoted(known));
                let message = format!("named source {name} differs by {} from granted {known}", edit.as_str());
                NearMiss::new(NearMissKind::SimilarNamedSource, message).source(index)
            });
        }
    });
}

/// For `grant_kind_not_accepted`: which grant would have covered the source.
pub(super) fn kind_not_considered(case: &Case<'_, '_>, nearest: &mut Nearest) {
    let (Some((index, source)), Some(block)) = (case.failing(), case.block()) else { return };
    let target = case.target_considering(GrantKinds::ALL);
    let mut buffer = NameBuffer::new();
    let found = target.read(source, &mut buffer).and_then(|asked| target.grant(block, &asked));
    if let Ok(grant) = found {
        nearest.offer(0, Some(grant), || {
            let grant = case.grant(block, grant);
            let message = format!(
                "{} is granted by {grant}, but {} only takes {}",
                case.quoted(source.text()),
                api(case),
                kinds(case.considered())
            );
            miss_of_kind(case, message).source(index)
        });
    }
    other_kind(case, block, (index, source), nearest);
}

/// Where the API considers no grant that names just such a source.
pub(super) fn kind_never_considered(case: &Case<'_, '_>, (index, source): (usize, Source<'_>), nearest: &mut Nearest) {
    let own: &[GrantKind] = match source {
        Source::Resource(_) => &[GrantKind::Resource, GrantKind::Pattern],
        Source::Query(_) => &[GrantKind::Query],
        Source::NamedSource(_) => &[GrantKind::NamedSource],
    };
    let Some(&first) = own.first() else { return };
    if own.iter().any(|&kind| case.considered().contains(kind)) {
        return;
    }
    nearest.offer(5, None, || {
        let message = format!("{} only takes {}, no {}", api(case), kinds(case.considered()), plural(first));
        miss_of_kind(case, message).source(index)
    });
}

fn miss_of_kind(case: &Case<'_, '_>, message: String) -> NearMiss {
    use crate::model::Operation::Model;
    let miss = NearMiss::new(NearMissKind::KindNotConsidered, message);
    let apis = case.compiled.apis();
    let api = apis.find(case.request.api).and_then(|id| apis.get(id));
    match api {
        Some(api) if api.considers(Model) != case.considered() => miss.help(format!(
            "operation `{}` takes {}: ask for it if the API itself builds the query",
            Model.as_str(),
            kinds(api.considers(Model))
        )),
        _ => miss,
    }
}

/// As in "the `sql` API, operation `query`,".
fn api(case: &Case<'_, '_>) -> String {
    format!("the {} API, operation `{}`,", case.quoted(case.request.api), case.request.operation.as_str())
}

/// Where the text would have been granted as another kind of source.
pub(super) fn other_kind(
    case: &Case<'_, '_>,
    block: Block<'_>,
    (index, source): (usize, Source<'_>),
    nearest: &mut Nearest,
) {
    let target = case.target();
    for other in as_other_kinds(source) {
        let mut buffer = NameBuffer::new();
        let found = target.read(other, &mut buffer).and_then(|asked| target.grant(block, &asked));
        // All sources cover whatever text, so that they do not tell what was meant.
        let Some(grant) = found.ok().filter(|&grant| block.all != Some(grant)) else { continue };
        nearest.offer(1, Some(grant), || {
            let message = format!(
                "{} is asked for as a {}, but {} grants it as a {}",
                case.quoted(source.text()),
                singular(kind_of(source)),
                case.grant(block, grant),
                singular(kind_of(other)),
            );
            NearMiss::new(NearMissKind::OtherKind, message).source(index)
        });
    }
}

const fn kind_of(source: Source<'_>) -> GrantKind {
    match source {
        Source::Resource(_) => GrantKind::Resource,
        Source::Query(_) => GrantKind::Query,
        Source::NamedSource(_) => GrantKind::NamedSource,
    }
}
