//! Compiles a policy of the model to a snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use super::compile_error::CompileError;
use super::compiled::{Compiled, Context};
use super::grants::{BlockPlan, Entry, GrantSetsBuilder, Residue, Tag};
use super::known_sources::{CompiledSource, KnownSources};
use super::referers::RefererSetsBuilder;
use super::residue::{self, Matcher};
use super::texts::{TextId, TextsBuilder};
use super::tokens::{Row, Terms, TermsBuilder, TokenTable};
use super::{ConnectionReport, Options, Report};
use crate::model::{Grant, GrantSource, Policy, Referers, Token};
use crate::pattern::{KeyHasher, Shape, name_key, text_key};

/// Compiles the tokens of `policy`. `context` contains the connections, APIs and limits of the policy.
pub(super) fn compile(policy: &Policy, context: Arc<Context>, options: &Options) -> Result<Compiled, CompileError> {
    if u32::try_from(policy.tokens().len()).is_ok_and(|count| count < u32::MAX) {
        Compiler::new(policy, options).run(context)
    } else {
        Err(CompileError::TooManyTokens)
    }
}

struct Compiler<'p> {
    policy: &'p Policy,
    options: &'p Options,
    terms: TermsBuilder,
    texts: TextsBuilder,
    sets: GrantSetsBuilder,
    known_sources: KnownSources<'p>,
    shapes: Vec<Shape>,
    shape_ids: HashMap<Shape, u32, foldhash::fast::FixedState>,
    referers: RefererSetsBuilder<'p>,
    reports: Vec<ConnectionReport>,
}

impl<'p> Compiler<'p> {
    fn new(policy: &'p Policy, options: &'p Options) -> Self {
        let reports = policy.connections().iter().map(|connection| ConnectionReport {
            name: connection.name().into(),
            dialect: connection.dialect(),
            ..ConnectionReport::default()
        });
        Self {
            policy,
            options,
            terms: TermsBuilder::default(),
            texts: TextsBuilder::default(),
            sets: GrantSetsBuilder::default(),
            known_sources: KnownSources::new(policy.tokens().iter().map(|token| token.grants().len()).sum()),
            shapes: Vec::new(),
            shape_ids: HashMap::default(),
            referers: RefererSetsBuilder::default(),
            reports: reports.collect(),
        }
    }

    fn run(mut self, context: Arc<Context>) -> Result<Compiled, CompileError> {
        let mut rows = Vec::with_capacity(self.policy.tokens().len());
        // Sets with residue are written after the residue of every connection is known.
        let mut waiting: Vec<(usize, Vec<BlockPlan>)> = Vec::new();
        for token in self.policy.tokens() {
            // Interns the id first: texts that only this token has are then stored after its id.
            let row = self.row(token)?;
            let blocks = self.plan(token.grants())?;
            if blocks.iter().all(|block| block.residue.is_empty()) {
                rows.push(row.with_grants(self.sets.write(&blocks)?));
            } else {
                waiting.push((rows.len(), blocks));
                rows.push(row);
            }
        }
        let matchers = self.matchers(&mut waiting);
        for (at, blocks) in waiting {
            let set = self.sets.write(&blocks)?;
            if let Some(row) = rows.get_mut(at) {
                *row = row.with_grants(set);
            }
        }
        Ok(self.finish(context, &rows, matchers))
    }

    fn row(&mut self, token: &'p Token) -> Result<Row, CompileError> {
        let referers = match token.referers() {
            Referers::Any => None,
            Referers::Only(set) => Some(self.referers.intern(set)?),
        };
        let terms = self.terms.intern(Terms::new(token.apis(), token.expiry()))?;
        let id = self.texts.push(token.id().as_bytes())?;
        Ok(Row::new(*token.digest(), terms, referers, id))
    }

    /// Groups `grants` by connection, sorted by connection.
    fn plan(&mut self, grants: &'p [Grant]) -> Result<Vec<BlockPlan>, CompileError> {
        let mut blocks: Vec<BlockPlan> = Vec::new();
        let mut by_connection: HashMap<u32, usize, foldhash::fast::FixedState> = HashMap::default();
        for (grant, index) in grants.iter().zip(0..) {
            let connection = grant.connection().0;
            // Grants on one connection are usually adjacent.
            let at = match blocks.last() {
                Some(last) if last.connection == connection => blocks.len() - 1,
                _ => *by_connection.entry(connection).or_insert_with(|| {
                    blocks.push(BlockPlan { connection, ..BlockPlan::default() });
                    blocks.len() - 1
                }),
            };
            if let Some(block) = blocks.get_mut(at) {
                self.add(block, grant.source(), index)?;
            }
        }
        for block in &mut blocks {
            block.entries.sort_unstable();
            // Keeps the first of equal grants.
            block
                .entries
                .dedup_by(|later, first| (later.tag, later.key, later.text) == (first.tag, first.key, first.text));
            self.separate_residue(block);
        }
        blocks.sort_unstable_by_key(|block| block.connection);
        Ok(blocks)
    }

    fn add(&mut self, block: &mut BlockPlan, source: &'p GrantSource, grant: u32) -> Result<(), CompileError> {
        let compiled = match source {
            GrantSource::All => None,
            source => Some(self.source(source)?),
        };
        if let Some(report) = self.reports.get_mut(block.connection as usize) {
            *report.grants.entry(source.kind()).or_default() += 1;
            if let Some(class) = compiled.and_then(|compiled| compiled.class) {
                *report.patterns.entry(class).or_default() += 1;
            }
        }
        match compiled {
            None => _ = block.all.get_or_insert(grant),
            Some(CompiledSource { tag, key, text, .. }) => block.entries.push(Entry { tag, key, text, grant }),
        }
        Ok(())
    }

    /// Compiles a source other than all sources. Many grants share one source.
    fn source(&mut self, source: &'p GrantSource) -> Result<CompiledSource, CompileError> {
        if let Some(known) = self.known_sources.get(source) {
            return Ok(known);
        }
        let bytes = source.canonical();
        let (tag, key, class) = match source {
            GrantSource::Resource(_) | GrantSource::All => (Tag::Resource, name_key(bytes), None),
            GrantSource::Query(query) => (Tag::Query, query_key(std::iter::once(query.as_str())), None),
            GrantSource::NamedSource(_) => (Tag::NamedSource, text_key(bytes), None),
            GrantSource::Pattern(pattern) => {
                let shape = self.shape(Shape::of(bytes))?;
                (Tag::Pattern(shape), Shape::key_of_pattern(bytes), Some(pattern.class()))
            }
        };
        let text = if tag == Tag::Resource { self.texts.intern_resource(bytes)? } else { self.texts.intern(bytes)? };
        let compiled = CompiledSource { tag, key, text, class };
        self.known_sources.insert(source, compiled);
        Ok(compiled)
    }

    fn shape(&mut self, shape: Shape) -> Result<u32, CompileError> {
        if let Some(&id) = self.shape_ids.get(&shape) {
            return Ok(id);
        }
        // The stored tag of a pattern is its shape id plus three.
        let id =
            u32::try_from(self.shapes.len()).ok().filter(|&id| id < u32::MAX - 3).ok_or(CompileError::TooManyGrants)?;
        self.shapes.push(shape.clone());
        self.shape_ids.insert(shape, id);
        Ok(id)
    }

    /// Moves patterns to the residue: those that share their hash with too many others, and those of the rarest shapes
    /// if there are too many shapes.
    fn separate_residue(&self, block: &mut BlockPlan) {
        let patterns = |entry: &Entry| matches!(entry.tag, Tag::Pattern(_));
        let mut shapes: Vec<(usize, Tag)> = Vec::new();
        let (mut largest, mut length) = (0, 0);
        for (at, entry) in block.entries.iter().enumerate().filter(|(_, entry)| patterns(entry)) {
            let before = at.checked_sub(1).and_then(|at| block.entries.get(at));
            length = if before.is_some_and(|before| (before.tag, before.key) == (entry.tag, entry.key)) {
                length + 1
            } else {
                1
            };
            largest = largest.max(length);
            match shapes.last_mut() {
                Some((count, tag)) if *tag == entry.tag => *count += 1,
                _ => shapes.push((1, entry.tag)),
            }
        }
        if largest <= self.options.same_key && shapes.len() <= self.options.shapes {
            return;
        }
        // Keeps the shapes with the most patterns.
        shapes.sort_unstable_by(|a, b| b.cmp(a));
        shapes.truncate(self.options.shapes);
        let kept: std::collections::HashSet<Tag> = shapes.into_iter().map(|(_, tag)| tag).collect();
        let mut entries = Vec::with_capacity(block.entries.len());
        for run in block.entries.chunk_by(|a, b| (a.tag, a.key) == (b.tag, b.key)) {
            let stays = run.first().is_none_or(|first| {
                !patterns(first) || (run.len() <= self.options.same_key && kept.contains(&first.tag))
            });
            if stays {
                entries.extend_from_slice(run);
            } else {
                block.residue.extend(run.iter().map(|entry| Residue {
                    ordinal: 0,
                    text: entry.text,
                    grant: entry.grant,
                }));
            }
        }
        block.entries = entries;
    }

    /// Chooses a matcher for each connection and sets the ordinals of the residue.
    fn matchers(&mut self, waiting: &mut [(usize, Vec<BlockPlan>)]) -> Vec<Matcher> {
        let mut residues: Vec<Vec<TextId>> = vec![Vec::new(); self.policy.connections().len()];
        for block in waiting.iter().flat_map(|(_, blocks)| blocks) {
            if let Some(residue) = residues.get_mut(block.connection as usize) {
                residue.extend(block.residue.iter().map(|entry| entry.text));
            }
        }
        let mut ordinals: Vec<HashMap<TextId, u32>> = Vec::with_capacity(residues.len());
        let mut matchers = Vec::new();
        let mut budget = residue::Budget::new(self.options);
        for (at, (residue, report)) in residues.iter_mut().zip(&mut self.reports).enumerate() {
            residue.sort_unstable();
            residue.dedup();
            let patterns: Vec<(TextId, Vec<u8>)> =
                residue.iter().map(|&text| (text, self.texts.get(text).own().to_vec())).collect();
            let chosen = residue::choose(&patterns, self.options, &mut budget);
            report.residue = patterns.len();
            report.strategy = if patterns.is_empty() { "hashes" } else { chosen.matcher.strategy() };
            report.why = chosen.why;
            if !patterns.is_empty() {
                matchers.resize_with(at, Matcher::default);
                matchers.push(chosen.matcher);
            }
            ordinals.push(chosen.ordinals);
        }
        for block in waiting.iter_mut().flat_map(|(_, blocks)| blocks) {
            let Some(ordinals) = ordinals.get(block.connection as usize) else { continue };
            for entry in &mut block.residue {
                entry.ordinal = ordinals.get(&entry.text).copied().unwrap_or(0);
            }
            block.residue.sort_unstable();
        }
        matchers
    }

    fn finish(self, context: Arc<Context>, rows: &[Row], matchers: Vec<Matcher>) -> Compiled {
        let sets = (self.sets.len(), self.referers.len());
        let mut compiled = Compiled {
            context,
            tokens: TokenTable::new(rows, self.terms.finish()),
            grants: self.sets.finish(),
            shapes: self.shapes,
            texts: self.texts.finish(),
            referers: self.referers.finish(),
            matchers,
            scan_up_to: self.options.scan_up_to,
            report: Report::default(),
        };
        compiled.report = compiled.to_report(self.reports, sets);
        compiled
    }
}

/// Returns the hash of a query's normal form. The hash does not depend on how the text is split into pieces.
pub(crate) fn query_key<'t>(pieces: impl Iterator<Item = &'t str>) -> u32 {
    // Buffers the pieces, so that every split leads to the same writes.
    let mut hasher = KeyHasher::new();
    let mut buffer = [0; 256];
    let mut filled = 0;
    for mut piece in pieces.map(str::as_bytes) {
        while let Some(room) = buffer.get_mut(filled..).filter(|_| !piece.is_empty()) {
            let taken = room.len().min(piece.len());
            let (now, later) = piece.split_at(taken);
            if let Some(room) = room.get_mut(..taken) {
                room.copy_from_slice(now);
            }
            piece = later;
            filled += taken;
            if filled == buffer.len() {
                hasher.write(&buffer);
                filled = 0;
            }
        }
    }
    hasher.write(buffer.get(..filled).unwrap_or_default());
    hasher.key()
}
