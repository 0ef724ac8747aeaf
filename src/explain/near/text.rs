//! Near misses of queries and named sources, and of texts that are granted as another kind.

use super::{NearMiss, NearMissKind, Nearest, as_other_kinds};
use crate::decision::Source;
use crate::explain::case::{Case, singular};
use crate::explain::words::{kinds, plural};
use crate::model::{GrantKind, GrantKinds};
use crate::name::NameBuffer;
use crate::query::QueryText;
use crate::snapshot::Block;

/// The minimum length of a query that is reported as a prefix of another. A shorter text is a prefix of too many
/// queries.
const MIN_PREFIX: usize = 8;

/// Compares the query with those granted on the connection.
pub(super) fn queries(
    case: &Case<'_, '_>,
    block: Block<'_>,
    index: usize,
    query: QueryText<'_>,
    nearest: &mut Nearest,
) {
    if !case.considered().contains(GrantKind::Query) {
        return;
    }
    let requested: String = query.normal_form().collect();
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
        if requested.eq_ignore_ascii_case(known) {
            let how = || "differs in letter case only from".to_owned();
            offer(0, NearMissKind::QueryLetterCase, &how, Some("queries are compared letter by letter"));
        } else if let Some(same_case) = same_but_space(&requested, known) {
            let how = || {
                let also = if same_case { "" } else { " and letter case" };
                format!("differs in white space{also} only from")
            };
            let help = "runs of white space are the same as one space only outside quotes and comments, and only in a \
                        text that every dialect reads alike: no backslash, no `#`, no `//`";
            offer(u8::from(!same_case), NearMissKind::QueryWhiteSpace, &how, Some(help));
        } else if let Some(more) = requested.strip_prefix(known).filter(|_| known.len() >= MIN_PREFIX) {
            let how = || format!("continues with {} after the text of", case.quoted(more.trim_start()));
            offer(3, NearMissKind::QueryTrailingText, &how, None);
        } else if let Some(more) = known.strip_prefix(requested.as_str()).filter(|_| requested.len() >= MIN_PREFIX) {
            let how = || format!("lacks {} at the end of", case.quoted(more.trim_start()));
            offer(3, NearMissKind::QueryTrailingText, &how, None);
        } else if let Some(edit) = nearest.speller.edit(&requested, known) {
            nearest.offer(1 + edit.count(), Some(grant), || {
                let known = case.grant_text(GrantKind::Query, bytes, case.dialect());
                let message = format!("the query differs by {} from grant {grant} ({known})", edit.as_str());
                NearMiss::new(NearMissKind::SimilarQuery, message).source(index)
            });
        }
    });
}

/// Compares two texts without ASCII white space and ignoring letter case. If they are equal, returns whether their
/// letter case is equal too.
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

/// Compares the named source with those granted on the connection.
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

/// For `grant_kind_not_accepted`: reports the grant that covers the source but is of another kind.
pub(super) fn kind_not_considered(case: &Case<'_, '_>, nearest: &mut Nearest) {
    let (Some((index, source)), Some(block)) = (case.failing(), case.block()) else { return };
    let target = case.target_considering(GrantKinds::ALL);
    let mut buffer = NameBuffer::new();
    let found = target.read(source, &mut buffer).and_then(|canonical| target.grant(block, &canonical));
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

/// Reports that the API never considers grants of this kind of source.
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
            "operation `{}` takes {}: use it if the API itself builds the query",
            Model.as_str(),
            kinds(api.considers(Model))
        )),
        _ => miss,
    }
}

/// Describes the API and operation, such as "the `sql` API, operation `query`,".
fn api(case: &Case<'_, '_>) -> String {
    format!("the {} API, operation `{}`,", case.quoted(case.request.api), case.request.operation.as_str())
}

/// Reports grants that cover the text as another kind of source.
pub(super) fn other_kind(
    case: &Case<'_, '_>,
    block: Block<'_>,
    (index, source): (usize, Source<'_>),
    nearest: &mut Nearest,
) {
    let target = case.target();
    for other in as_other_kinds(source) {
        let mut buffer = NameBuffer::new();
        let found = target.read(other, &mut buffer).and_then(|canonical| target.grant(block, &canonical));
        // A grant of all sources covers any text, so it does not show which kind was meant.
        let Some(grant) = found.ok().filter(|&grant| block.all != Some(grant)) else { continue };
        nearest.offer(1, Some(grant), || {
            let message = format!(
                "{} is requested as a {}, but {} grants it as a {}",
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
