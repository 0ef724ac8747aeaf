//! Near misses of connections: a similar name, or a connection that refuses queries.

use super::{NearMiss, NearMissKind, Nearest};
use crate::decision::{Source, Target};
use crate::explain::case::Case;
use crate::model::GrantKind;
use crate::name::NameBuffer;
use crate::snapshot::Block;

/// The maximum number of a token's connections that are compared.
const CONNECTIONS: usize = 1_000;

pub(super) fn not_granted(case: &Case<'_, '_>, nearest: &mut Nearest) {
    let requested = case.request.connection;
    for block in blocks(case) {
        let Some(connection) = case.compiled.connection_at(block.connection) else { continue };
        let name = connection.name();
        if requested.trim().to_lowercase() == name.to_lowercase() {
            nearest.offer(0, None, || {
                let differs = if requested.trim() == name { "white space" } else { "letter case" };
                let (requested, name) = (case.quoted(requested), case.quoted(name));
                let message = format!("connection {requested} differs in {differs} only from granted {name}");
                NearMiss::new(NearMissKind::ConnectionLetterCase, message)
                    .help("names of connections are compared byte for byte")
            });
        } else if let Some(edit) = nearest.speller.edit(requested, name) {
            nearest.offer(edit.count(), None, || {
                let (requested, name) = (case.quoted(requested), case.quoted(name));
                let message = format!("connection {requested} differs by {} from granted {name}", edit.as_str());
                NearMiss::new(NearMissKind::SimilarConnection, message)
            });
        }
    }
    elsewhere(case, None, nearest);
}

/// Reports other connections on which the source is granted; without a source, all sources of the request.
pub(super) fn elsewhere(case: &Case<'_, '_>, source: Option<(usize, Source<'_>)>, nearest: &mut Nearest) {
    let (sources, index) = match &source {
        Some((index, source)) => (std::slice::from_ref(source), Some(*index)),
        None => (case.sources(), None),
    };
    let here = case.compiled.connection(case.request.connection).map(|(at, _)| at);
    for block in blocks(case).filter(|block| Some(block.connection) != here) {
        let Some(connection) = case.compiled.connection_at(block.connection) else { continue };
        let other = Some((block.connection, connection));
        let target = Target { compiled: case.compiled, connection: other, considered: case.considered() };
        let mut buffer = NameBuffer::new();
        let grants: Option<Vec<u32>> = sources
            .iter()
            .map(|&source| {
                target.accepts(source).ok()?;
                let canonical = target.read(source, &mut buffer).ok()?;
                target.grant(block, &canonical).ok()
            })
            .collect();
        let Some(&grant) = grants.as_ref().and_then(|grants| grants.first()) else { continue };
        let rank = if block.all == Some(grant) { 6 } else { 2 };
        nearest.offer(rank, Some(grant), || {
            let name = case.quoted(connection.name());
            let what = match sources {
                [Source::Resource(_)] => "the same name is",
                [Source::Query(_)] => "the same query is",
                [Source::NamedSource(_)] => "the same named source is",
                _ => "all these sources are",
            };
            let grant = case.grant(block, grant);
            let message = format!("{what} granted on connection {name}, by {grant}");
            let miss = NearMiss::new(NearMissKind::OtherConnection, message);
            NearMiss { source: index, ..miss }
        });
    }
}

pub(super) fn named_sources_only(case: &Case<'_, '_>, nearest: &mut Nearest) {
    let Some((index, _)) = case.failing() else { return };
    let mut named = None;
    if let Some(block) = case.block() {
        block.each(|kind, text, grant| {
            if kind == GrantKind::NamedSource && named.is_none_or(|(_, first)| grant < first) {
                named = text.map(|text| (text, grant));
            }
        });
    }
    nearest.offer(0, None, || {
        let connection = case.quoted(case.request.connection);
        let message = format!("connection {connection} accepts no query, whatever is granted: use a named source");
        let miss = NearMiss::new(NearMissKind::NamedSourcesOnly, message).source(index);
        match named {
            Some((text, grant)) => {
                let name = case.quoted(&String::from_utf8_lossy(case.compiled.text(text).own()));
                miss.help(format!("the token is granted named source {name}, by grant {grant}"))
            }
            None => miss.help("the token is granted no named source on this connection"),
        }
    });
}

fn blocks<'s>(case: &Case<'s, '_>) -> impl Iterator<Item = Block<'s>> {
    case.row.into_iter().flat_map(|row| case.compiled.blocks(row)).take(CONNECTIONS)
}
