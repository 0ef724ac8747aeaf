//! The head of a compiled policy, serialized with `postcard`, and the matchers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Apis, Connection, GrantKind, GrantKinds, Limits};
use crate::name::Dialect;
use crate::pattern::{PatternClass, Shape, StoredShape};
use crate::snapshot::compiled::{Compiled, Context};
use crate::snapshot::residue::Matcher;
use crate::snapshot::{ConnectionReport, Report};

/// The data of a snapshot except its tokens, grants, texts and referers. Kinds, classes and dialects are stored by
/// name.
#[derive(Serialize, Deserialize)]
pub(super) struct Head<'h> {
    /// The APIs that documents declare, with the grant kinds that they consider.
    #[serde(borrow)]
    apis: Vec<(&'h str, Vec<&'h str>)>,
    connections: Vec<ConnectionHead<'h>>,
    query_bytes: u64,
    pub(super) scan_up_to: u64,
    pub(super) index_mask: u32,
    pub(super) seed: u64,
    shapes: Vec<StoredShape>,
    matchers: Vec<StoredMatcher>,
    grant_sets: u64,
    referer_sets: u64,
}

#[derive(Serialize, Deserialize)]
struct ConnectionHead<'h> {
    name: &'h str,
    dialect: &'h str,
    named_sources_only: bool,
    case_sensitive: bool,
    // The fields of the connection's report.
    #[serde(borrow)]
    grants: Vec<(&'h str, u64)>,
    patterns: Vec<(&'h str, u64)>,
    residue: u64,
    strategy: &'h str,
    why: &'h str,
}

/// The name of the strategy, and the length of the stored matcher in bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredMatcher(String, u64);

/// Each matcher starts at a multiple of this offset.
const ALIGNMENT: usize = 8;

/// Returns the bytes of all matchers, one after another, and the description of each.
pub(super) fn write_matchers(matchers: &[Matcher]) -> (Vec<u8>, Vec<StoredMatcher>) {
    let mut bytes = Vec::new();
    let stored = matchers.iter().map(|matcher| {
        let own = matcher.to_bytes();
        bytes.extend(&*own);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        StoredMatcher(matcher.strategy().to_owned(), own.len() as u64)
    });
    let stored = stored.collect();
    (bytes, stored)
}

impl<'h> Head<'h> {
    pub(super) fn of(compiled: &'h Compiled, matchers: Vec<StoredMatcher>) -> Self {
        let Compiled { context, report, .. } = compiled;
        let built_in = Apis::default().iter().count();
        let kinds = |kinds: GrantKinds| kinds.iter().map(GrantKind::as_str).collect();
        let declared =
            context.apis().iter().skip(built_in).map(|(_, api)| (api.name(), kinds(api.considers(<_>::default()))));
        let connections = context.connections().iter().zip(&report.connections);
        let (index_mask, seed) = compiled.tokens.parameters();
        Self {
            apis: declared.collect(),
            connections: connections.map(|(connection, report)| ConnectionHead::of(connection, report)).collect(),
            query_bytes: compiled.query_bytes() as u64,
            scan_up_to: compiled.scan_up_to as u64,
            index_mask,
            seed,
            shapes: compiled.shapes.iter().map(Shape::to_stored).collect(),
            matchers,
            grant_sets: report.grant_sets as u64,
            referer_sets: report.referer_sets as u64,
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        // Cannot fail: writes to memory, and all lists have known lengths.
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads the head; `None` unless it takes all of `bytes`.
    pub(super) fn read(bytes: &'h [u8]) -> Option<Self> {
        let (head, rest) = postcard::take_from_bytes(bytes).ok()?;
        rest.is_empty().then_some(head)
    }

    pub(super) fn context(&self) -> Option<Context> {
        let mut apis = Apis::default();
        for (name, kinds) in &self.apis {
            let kinds: Option<Vec<GrantKind>> = kinds.iter().map(|kind| GrantKind::from_name(kind)).collect();
            apis.declare(name, GrantKinds::of(&kinds?)).ok()?;
        }
        let connections: Option<Vec<Connection>> = self.connections.iter().map(ConnectionHead::connection).collect();
        let limits = Limits { query_bytes: usize::try_from(self.query_bytes).ok()? };
        let context = Context::of(apis, connections?, &limits);
        context.has_distinct_names().then_some(context)
    }

    pub(super) fn shapes(&self) -> Option<Vec<Shape>> {
        self.shapes.iter().map(Shape::from_stored).collect()
    }

    pub(super) fn matchers(&self, mut bytes: &[u8]) -> Option<Vec<Matcher>> {
        let mut matchers = Vec::new();
        for StoredMatcher(strategy, length) in &self.matchers {
            let length = usize::try_from(*length).ok()?;
            let (own, rest) = bytes.split_at_checked(length.checked_next_multiple_of(ALIGNMENT)?)?;
            matchers.push(Matcher::from_bytes(strategy, own.get(..length)?)?);
            bytes = rest;
        }
        (bytes.is_empty() && matchers.len() <= self.connections.len()).then_some(matchers)
    }

    /// Returns the report of the loaded snapshot.
    pub(super) fn report(&self, compiled: &Compiled) -> Option<Report> {
        let connections: Option<Vec<_>> = self.connections.iter().map(ConnectionHead::report).collect();
        let sets = (usize::try_from(self.grant_sets).ok()?, usize::try_from(self.referer_sets).ok()?);
        Some(compiled.to_report(connections?, sets))
    }
}

impl<'h> ConnectionHead<'h> {
    fn of(connection: &'h Connection, report: &'h ConnectionReport) -> Self {
        Self {
            name: connection.name(),
            dialect: connection.dialect().as_str(),
            named_sources_only: connection.named_sources_only(),
            case_sensitive: connection.dialect().is_case_sensitive(),
            grants: report.grants.iter().map(|(kind, &count)| (kind.as_str(), count as u64)).collect(),
            patterns: report.patterns.iter().map(|(class, &count)| (class.as_str(), count as u64)).collect(),
            residue: report.residue as u64,
            strategy: report.strategy,
            why: &report.why,
        }
    }

    fn connection(&self) -> Option<Connection> {
        let dialect = self.dialect()?;
        Some(Connection::new(self.name, dialect, self.named_sources_only))
    }

    fn dialect(&self) -> Option<Dialect> {
        let dialect: Dialect = self.dialect.parse().ok()?;
        if self.case_sensitive { dialect.with_case_sensitive(true) } else { Some(dialect) }
    }

    fn report(&self) -> Option<ConnectionReport> {
        let class = |name: &str| PatternClass::ALL.into_iter().find(|class| class.as_str() == name);
        Some(ConnectionReport {
            name: self.name.into(),
            dialect: self.dialect()?,
            grants: counts(&self.grants, GrantKind::from_name)?,
            patterns: counts(&self.patterns, class)?,
            residue: usize::try_from(self.residue).ok()?,
            strategy: Matcher::STRATEGIES.into_iter().find(|name| *name == self.strategy)?,
            why: self.why.to_owned(),
        })
    }
}

fn counts<K: Ord>(stored: &[(&str, u64)], key: impl Fn(&str) -> Option<K>) -> Option<BTreeMap<K, usize>> {
    stored.iter().map(|&(name, count)| Some((key(name)?, usize::try_from(count).ok()?))).collect()
}
