//! The patterns of a connection that no hash tells apart.
//!
//! Patterns that differ only in text *between* two stars of one segment (`*road*.*`, `*rail*.*`) have one shape and one
//! key. A few are asked one by one. Where a token holds many, one pass over the name finds, for the whole connection,
//! those that may cover it, and the token's own grants are intersected with them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

use super::grants::{Block, Residue};
use super::literals::{self, Literals};
use super::texts::TextId;
use super::{Options, ResidueStrategy};
use crate::name::STAR;

/// How the residue of one connection is matched.
#[derive(Debug, Default)]
pub(crate) enum Matcher {
    /// There is none, or each is asked by itself. Ordinals are all zero.
    #[default]
    EachByItself,
    /// One automaton reads the name once and ends in a state that knows which patterns cover it. Ordinals are its patterns.
    Automaton(Box<dense::DFA<Vec<u32>>>),
    /// Each pattern requires a literal; one pass finds the literals that the name holds. Ordinals are literals.
    Literals(Vec<u8>),
}

/// A matcher, the ordinal of each pattern in it, and why it was chosen.
pub(crate) struct Chosen {
    pub(crate) matcher: Matcher,
    pub(crate) ordinals: HashMap<TextId, u32>,
    pub(crate) why: String,
}

/// What is left for the automata of all connections together.
pub(crate) struct Budget {
    bytes: usize,
    /// Attempts that may still fail: each takes the time of building an automaton, for nothing.
    failures: usize,
}

impl Budget {
    pub(crate) fn new(options: &Options) -> Self {
        Self { bytes: options.automaton_bytes, failures: 8 }
    }
}

/// Chooses how to match `patterns`, the distinct residue of one connection. The one place that does.
pub(crate) fn choose(patterns: &[(TextId, Vec<u8>)], options: &Options, budget: &mut Budget) -> Chosen {
    let count = patterns.len();
    if count == 0 {
        return by_itself(String::from("every grant is found by its hash"));
    }
    match options.residue {
        ResidueStrategy::EachByItself => by_itself(format!("{count} patterns, each asked by itself: forced")),
        ResidueStrategy::Literals => literals(patterns, &format!("{count} patterns: forced")),
        ResidueStrategy::Automaton => automaton(patterns, budget)
            .unwrap_or_else(|why| literals(patterns, &format!("automaton forced, but {why}"))),
        // Determinising many patterns with inner stars is exponential; past a few it is not even worth the try.
        ResidueStrategy::Auto if count > options.automaton_patterns => literals(
            patterns,
            &format!("{count} patterns are more than the {} an automaton is tried for", options.automaton_patterns),
        ),
        ResidueStrategy::Auto if budget.failures == 0 => {
            literals(patterns, &format!("{count} patterns, after too many automata that would not fit"))
        }
        ResidueStrategy::Auto => automaton(patterns, budget).unwrap_or_else(|why| literals(patterns, &why)),
    }
}

fn by_itself(why: String) -> Chosen {
    Chosen { matcher: Matcher::EachByItself, ordinals: HashMap::new(), why }
}

fn automaton(patterns: &[(TextId, Vec<u8>)], budget: &mut Budget) -> Result<Chosen, String> {
    let (count, bytes) = (patterns.len(), budget.bytes);
    let expressions: Vec<String> = patterns.iter().map(|(_, pattern)| expression(pattern)).collect();
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Anchored)
        .minimize(false)
        .dfa_size_limit(Some(bytes))
        .determinize_size_limit(Some(bytes));
    let dfa = dense::Builder::new()
        .configure(config)
        .syntax(syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true))
        .thompson(thompson::Config::new().utf8(false).shrink(false).nfa_size_limit(Some(bytes.saturating_mul(4))))
        .build_many(&expressions)
        .map_err(|_| {
            budget.failures = budget.failures.saturating_sub(1);
            format!("an automaton of {count} patterns would exceed the {bytes} bytes that are left for automata")
        })?;
    budget.bytes = bytes.saturating_sub(dfa.memory_usage());
    let why = format!("{count} patterns in one automaton of {} bytes", dfa.memory_usage());
    let ordinals = patterns.iter().map(|&(text, _)| text).zip(0..).collect();
    Ok(Chosen { matcher: Matcher::Automaton(Box::new(dfa)), ordinals, why })
}

/// The pattern as a regular expression over the bytes of a canonical name.
fn expression(pattern: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(pattern.len() * 4);
    for &byte in pattern {
        let _ = match byte {
            STAR => write!(text, "[^.]*"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => write!(text, "{}", char::from(byte)),
            _ => write!(text, "\\x{byte:02x}"),
        };
    }
    text
}

fn literals(patterns: &[(TextId, Vec<u8>)], why: &str) -> Chosen {
    let required = required(patterns.iter().map(|(text, pattern)| (*text, &**pattern)));
    match literals::build(&required.list) {
        Some(index) => Chosen {
            why: format!("{why}; {} required literals, {} bytes", required.list.len(), index.len()),
            matcher: Matcher::Literals(index),
            ordinals: required.ordinals.into_iter().collect(),
        },
        None => by_itself(format!("{why}; an index of their literals would exceed 4 GiB; each asked by itself")),
    }
}

/// A literal that each of some patterns requires.
struct Required<'p, Id> {
    list: Vec<&'p [u8]>,
    /// Of each pattern, which of the list.
    ordinals: Vec<(Id, u32)>,
}

fn required<'p, Id>(patterns: impl Iterator<Item = (Id, &'p [u8])> + Clone) -> Required<'p, Id> {
    // The rarest run of each pattern, then the longest: the fewer patterns a literal stands for, the fewer are asked.
    let runs = |pattern: &'p [u8]| -> HashSet<&'p [u8]> {
        <[u8]>::split(pattern, |&byte| byte == STAR).filter(|run| !run.is_empty()).collect()
    };
    let mut frequency: HashMap<&[u8], usize> = HashMap::new();
    for (_, pattern) in patterns.clone() {
        for run in runs(pattern) {
            *frequency.entry(run).or_default() += 1;
        }
    }
    let mut known: HashMap<&[u8], u32> = HashMap::new();
    let mut list: Vec<&[u8]> = Vec::new();
    let mut ordinals = Vec::new();
    for (id, pattern) in patterns {
        let rarest = runs(pattern)
            .into_iter()
            .min_by_key(|&run| (frequency.get(run).copied().unwrap_or(usize::MAX), std::cmp::Reverse(run.len()), run));
        // A pattern has two segments or more, so some run holds a dot.
        let Some(literal) = rarest else { continue };
        let ordinal = *known.entry(literal).or_insert_with(|| {
            list.push(literal);
            u32::try_from(list.len() - 1).unwrap_or(u32::MAX)
        });
        ordinals.push((id, ordinal));
    }
    Required { list, ordinals }
}

/// Patterns, each found by a literal that it requires.
#[cfg(feature = "audit")]
#[derive(Debug, Default)]
pub(crate) struct RequiredLiterals {
    /// Empty where there is no index: then every pattern is a candidate.
    index: Vec<u8>,
    /// Patterns by the ordinal of their literal.
    patterns: Vec<Vec<u32>>,
}

#[cfg(feature = "audit")]
impl RequiredLiterals {
    pub(crate) fn of(patterns: &[(u32, &[u8])]) -> Self {
        if patterns.is_empty() {
            return Self::default();
        }
        let required = required(patterns.iter().copied());
        let mut by_literal = vec![Vec::new(); required.list.len()];
        for (pattern, ordinal) in required.ordinals {
            if let Some(patterns) = by_literal.get_mut(ordinal as usize) {
                patterns.push(pattern);
            }
        }
        Self { index: literals::build(&required.list).unwrap_or_default(), patterns: by_literal }
    }

    /// Calls `candidate` with each pattern that may cover `name`, some several times; every one that does is among them.
    pub(crate) fn candidates(&self, name: &[u8], mut candidate: impl FnMut(u32)) {
        match Literals::read(&self.index) {
            Some(index) => index.each_in(name, |literal| {
                self.patterns.get(literal as usize).into_iter().flatten().copied().for_each(&mut candidate);
                ControlFlow::Continue(())
            }),
            None => self.patterns.iter().flatten().copied().for_each(candidate),
        }
    }
}

impl Matcher {
    /// Calls `candidate` with each grant of the block's residue that may cover `name`, some perhaps twice; every one that
    /// does is among them. `candidate` asks the pattern itself.
    pub(crate) fn candidates(&self, block: Block<'_>, name: &[u8], mut candidate: impl FnMut(Residue)) {
        match self {
            Self::EachByItself => block.residue().for_each(candidate),
            Self::Automaton(dfa) => {
                let Some(state) = end_state(dfa, name) else { return };
                let covering = dfa.match_len(state);
                if covering > block.residue().len() {
                    return block.residue().for_each(candidate);
                }
                for at in 0..covering {
                    block.residue_of(dfa.match_pattern(state, at).as_u32()).for_each(&mut candidate);
                }
            }
            Self::Literals(index) => {
                let Some(literals) = Literals::read(index) else { return block.residue().for_each(candidate) };
                // A name that repeats literals could have the same patterns asked over and over: past as many steps as
                // there are patterns, each is asked once more instead, and that is all.
                let mut steps = Some(block.residue().len());
                literals.each_in(name, |literal| {
                    let mut asked = 0;
                    for entry in block.residue_of(literal) {
                        asked += 1;
                        candidate(entry);
                    }
                    steps = steps.and_then(|steps| steps.checked_sub(asked.max(1)));
                    if steps.is_some() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                });
                if steps.is_none() {
                    block.residue().for_each(candidate);
                }
            }
        }
    }

    /// The names of all strategies, that of no residue among them.
    pub(super) const STRATEGIES: [&str; 4] = ["hashes", "each_by_itself", "automaton", "literals"];

    /// As it is stored, to be read by the name of its strategy.
    pub(super) fn to_bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::EachByItself => Cow::Borrowed(&[]),
            Self::Automaton(dfa) => {
                let (bytes, padding) = dfa.to_bytes_little_endian();
                bytes.get(padding..).unwrap_or_default().to_vec().into()
            }
            Self::Literals(index) => index.into(),
        }
    }

    /// The matcher of that strategy which was stored as `bytes`; `None` where it is none.
    pub(super) fn from_bytes(strategy: &str, bytes: &[u8]) -> Option<Self> {
        match strategy {
            "each_by_itself" => bytes.is_empty().then_some(Self::EachByItself),
            "automaton" => {
                // Where an automaton begins, numbers of four bytes are aligned.
                let mut aligned = vec![0_u32; bytes.len().div_ceil(4)];
                let place = bytemuck::cast_slice_mut::<u32, u8>(&mut aligned).get_mut(..bytes.len())?;
                place.copy_from_slice(bytes);
                let (dfa, read) = dense::DFA::from_bytes(place).ok()?;
                (read == bytes.len()).then(|| Self::Automaton(Box::new(dfa.to_owned())))
            }
            "literals" => Literals::read(bytes).map(|_| Self::Literals(bytes.to_vec())),
            _ => None,
        }
    }

    pub(crate) fn strategy(&self) -> &'static str {
        match self {
            Self::EachByItself => "each_by_itself",
            Self::Automaton(_) => "automaton",
            Self::Literals(_) => "literals",
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::EachByItself => 0,
            Self::Automaton(dfa) => dfa.memory_usage(),
            Self::Literals(index) => index.len(),
        }
    }
}

/// The match state after all of `name`, if some pattern covers all of it.
fn end_state(dfa: &dense::DFA<Vec<u32>>, name: &[u8]) -> Option<regex_automata::util::primitives::StateID> {
    let mut state = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
    for &byte in name {
        state = dfa.next_state(state, byte);
        if dfa.is_dead_state(state) || dfa.is_quit_state(state) {
            return None;
        }
    }
    let state = dfa.next_eoi_state(state);
    dfa.is_match_state(state).then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;
    use crate::snapshot::Snapshot;

    fn snapshot(connections: usize, patterns: &[String]) -> Snapshot {
        let grant = |at: usize, source: &str| format!(r#"{{"connection_name": "dw{at}", "source": "{source}"}}"#);
        let grants: Vec<String> =
            (0..connections).flat_map(|at| patterns.iter().map(move |source| grant(at, source))).collect();
        let document = format!(
            r#"[{{"id": "tk", "token": "s3cret", "allowed_apis": ["maps"], "grants": [{}]}}]"#,
            grants.join(",")
        );
        Snapshot::compile(&load::policy(document).unwrap(), &Options::default()).unwrap()
    }

    #[test]
    fn a_name_that_repeats_literals_has_no_pattern_asked_over_and_over() {
        // `*a*`, `*aa*`, …: each of the name's 4,000 places holds every literal.
        let patterns = (1..=300).map(|n| format!("p.d.*{}*", "a".repeat(n)));
        let snapshot = snapshot(1, &patterns.collect::<Vec<_>>());
        assert_eq!(snapshot.report().connections[0].strategy, "literals");
        let compiled = &*snapshot.base;
        let block = compiled.block(&compiled.rows()[0], 0).unwrap();
        let mut asked = 0;
        let name = format!("p.d.{}", "a".repeat(4_000));
        compiled.residue(block, name.as_bytes(), |_| asked += 1);
        assert!((300..=900).contains(&asked), "{asked} patterns were asked");
    }

    #[test]
    fn the_automata_of_all_connections_share_one_ceiling() {
        let patterns = (0..12).map(|n| format!("p.d.*x{n}*y*z*"));
        let snapshot = snapshot(60, &patterns.collect::<Vec<_>>());
        let report = snapshot.report();
        let automata = report.connections.iter().filter(|connection| connection.strategy == "automaton").count();
        assert!(automata < 60, "{automata} automata");
        assert!(report.matcher_bytes < 2 * Options::default().automaton_bytes, "{} bytes", report.matcher_bytes);
    }
}
