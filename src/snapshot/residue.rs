//! The patterns of a connection that no hash tells apart.
//!
//! Patterns that differ only in text *between* two stars of one segment (`*road*.*`, `*rail*.*`) have one shape and one
//! key. A few are asked one by one. Where a token holds many, one pass over the name finds, for the whole connection,
//! those that may cover it, and the token's own grants are intersected with them.

use std::collections::{HashMap, HashSet};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

use super::grants::{Block, Residue};
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
    Literals(Box<AhoCorasick>),
}

/// A matcher, the ordinal of each pattern in it, and why it was chosen.
pub(crate) struct Chosen {
    pub(crate) matcher: Matcher,
    pub(crate) ordinals: HashMap<TextId, u32>,
    pub(crate) why: String,
}

/// Chooses how to match `patterns`, the distinct residue of one connection. The one place that does.
pub(crate) fn choose(patterns: &[(TextId, Vec<u8>)], options: &Options) -> Chosen {
    let count = patterns.len();
    if count == 0 {
        return by_itself(String::from("every grant is found by its hash"));
    }
    match options.residue {
        ResidueStrategy::EachByItself => by_itself(format!("{count} patterns, each asked by itself: forced")),
        ResidueStrategy::Literals => literals(patterns, &format!("{count} patterns: forced")),
        ResidueStrategy::Automaton => automaton(patterns, options.automaton_bytes, count)
            .unwrap_or_else(|why| literals(patterns, &format!("automaton forced, but {why}"))),
        // Determinising many patterns with inner stars is exponential; past a few it is not even worth the try.
        ResidueStrategy::Auto if count > options.automaton_patterns => literals(
            patterns,
            &format!("{count} patterns are more than the {} an automaton is tried for", options.automaton_patterns),
        ),
        ResidueStrategy::Auto => {
            automaton(patterns, options.automaton_bytes, count).unwrap_or_else(|why| literals(patterns, &why))
        }
    }
}

fn by_itself(why: String) -> Chosen {
    Chosen { matcher: Matcher::EachByItself, ordinals: HashMap::new(), why }
}

fn automaton(patterns: &[(TextId, Vec<u8>)], bytes: usize, count: usize) -> Result<Chosen, String> {
    let expressions: Vec<String> = patterns.iter().map(|(_, pattern)| expression(pattern)).collect();
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Anchored)
        .minimize(false)
        .dfa_size_limit(Some(bytes))
        .determinize_size_limit(Some(bytes.saturating_mul(4)));
    let dfa = dense::Builder::new()
        .configure(config)
        .syntax(syntax::Config::new().unicode(false).utf8(false).dot_matches_new_line(true))
        .thompson(thompson::Config::new().utf8(false).shrink(false).nfa_size_limit(Some(bytes.saturating_mul(4))))
        .build_many(&expressions)
        .map_err(|_| format!("an automaton of {count} patterns would exceed {bytes} bytes"))?;
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
    // The rarest run of each pattern, then the longest: the fewer patterns a literal stands for, the fewer are asked.
    let runs = |pattern: &[u8]| -> Vec<Vec<u8>> {
        let distinct: HashSet<&[u8]> = pattern.split(|&byte| byte == STAR).filter(|run| !run.is_empty()).collect();
        distinct.into_iter().map(<[u8]>::to_vec).collect()
    };
    let mut frequency: HashMap<Vec<u8>, usize> = HashMap::new();
    for (_, pattern) in patterns {
        for run in runs(pattern) {
            *frequency.entry(run).or_default() += 1;
        }
    }
    let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
    let mut list: Vec<Vec<u8>> = Vec::new();
    let mut ordinals = HashMap::new();
    for (text, pattern) in patterns {
        let rarest = runs(pattern).into_iter().min_by_key(|run| {
            (frequency.get(run).copied().unwrap_or(usize::MAX), std::cmp::Reverse(run.len()), run.clone())
        });
        // A pattern has two segments or more, so some run holds a dot.
        let Some(literal) = rarest else { continue };
        let ordinal = *known.entry(literal.clone()).or_insert_with(|| {
            list.push(literal);
            u32::try_from(list.len() - 1).unwrap_or(u32::MAX)
        });
        ordinals.insert(*text, ordinal);
    }
    match AhoCorasick::builder().kind(Some(AhoCorasickKind::ContiguousNFA)).build(&list) {
        Ok(searcher) => Chosen {
            why: format!("{why}; {} required literals, {} bytes", list.len(), searcher.memory_usage()),
            matcher: Matcher::Literals(Box::new(searcher)),
            ordinals,
        },
        Err(error) => by_itself(format!("{why}; literals: {error}; each asked by itself")),
    }
}

impl Matcher {
    /// Calls `candidate` with each grant of the block's residue that may cover `name`, some perhaps twice; every one that
    /// does is among them. `candidate` asks the pattern itself.
    pub(crate) fn candidates(&self, block: Block<'_>, name: &[u8], mut candidate: impl FnMut(Residue)) {
        if !block.has_residue() {
            return;
        }
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
            Self::Literals(searcher) => {
                let mut seen = Seen::default();
                for found in searcher.find_overlapping_iter(name) {
                    let ordinal = found.pattern().as_u32();
                    if seen.first_time(ordinal) {
                        block.residue_of(ordinal).for_each(&mut candidate);
                    }
                }
            }
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
            Self::Literals(searcher) => searcher.memory_usage(),
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

/// The last few literals found, so that one which a name repeats is not followed each time.
struct Seen {
    last: [u32; 32],
    next: usize,
}

impl Default for Seen {
    fn default() -> Self {
        Self { last: [u32::MAX; 32], next: 0 }
    }
}

impl Seen {
    fn first_time(&mut self, ordinal: u32) -> bool {
        if self.last.contains(&ordinal) {
            return false;
        }
        if let Some(slot) = self.last.get_mut(self.next % 32) {
            *slot = ordinal;
        }
        self.next += 1;
        true
    }
}
