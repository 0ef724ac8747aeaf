//! Matches the residue: the patterns of a connection that hashes cannot distinguish.
//!
//! Patterns that differ only in text *between* two stars of one segment (`*road*.*`, `*rail*.*`) have the same shape
//! and the same key. A few such patterns are evaluated one by one. If a token has many, one pass over the name finds
//! the patterns of the whole connection that may cover it. The token's grants are then intersected with these patterns.

mod literal_automaton;
mod literal_tree;

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::HashMap;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};
use smallvec::SmallVec;

use self::literal_tree::{Built, Sequences};
use super::grants::{Block, Residue};
use super::texts::TextId;
use super::{Options, ResidueStrategy};
use crate::name::STAR;

/// The matcher for the residue of one connection.
#[derive(Debug, Default)]
pub(crate) enum Matcher {
    /// There is no residue, or each pattern is evaluated by itself. All ordinals are zero.
    #[default]
    EachByItself,
    /// One automaton reads the name once. Its final state lists the patterns that cover the name. Ordinals are the
    /// automaton's pattern ids.
    Automaton(Box<dense::DFA<Vec<u32>>>),
    /// An index of the literals of each pattern, in order. One pass finds the literals in the name. Ordinals are the
    /// numbers of the patterns in the index.
    Literals(Vec<u8>),
}

/// A matcher, the ordinal of each pattern in the matcher, and the reason for the choice.
pub(crate) struct Chosen {
    pub(crate) matcher: Matcher,
    pub(crate) ordinals: HashMap<TextId, u32>,
    pub(crate) why: String,
}

/// The remaining budget for the automata of all connections together.
pub(crate) struct Budget {
    bytes: usize,
    /// The number of attempts that may still fail. A failed attempt wastes the time of building an automaton.
    failures: usize,
}

impl Budget {
    pub(crate) fn new(options: &Options) -> Self {
        Self { bytes: options.automaton_bytes, failures: 8 }
    }
}

/// Chooses the matcher for `patterns`, the distinct residue of one connection.
pub(crate) fn choose(patterns: &[(TextId, Vec<u8>)], options: &Options, budget: &mut Budget) -> Chosen {
    let count = patterns.len();
    if count == 0 {
        return by_itself(String::from("every grant is found by its hash"));
    }
    match options.residue {
        ResidueStrategy::EachByItself => by_itself(format!("{count} patterns, each evaluated by itself: forced")),
        ResidueStrategy::Literals => literals(patterns, &format!("{count} patterns: forced")),
        ResidueStrategy::Automaton => automaton(patterns, budget)
            .unwrap_or_else(|why| literals(patterns, &format!("automaton forced, but {why}"))),
        // Determinization of many patterns with inner stars is exponential, so larger sets are not tried.
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

/// Returns the pattern as a regular expression over the bytes of a canonical name.
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
    let texts: Vec<&[u8]> = patterns.iter().map(|(_, pattern)| &**pattern).collect();
    match literal_tree::build(&texts) {
        Some(Built { bytes, literals, numbers }) => Chosen {
            why: format!("{why}; {literals} literals, {} bytes", bytes.len()),
            matcher: Matcher::Literals(bytes),
            ordinals: patterns.iter().map(|&(text, _)| text).zip(numbers).collect(),
        },
        None => by_itself(format!("{why}; an index of their literals would exceed 4 GiB; each evaluated by itself")),
    }
}

/// An index of patterns by the literals that each pattern requires.
#[derive(Debug, Default)]
pub struct RequiredLiterals {
    /// The index; empty if it could not be built. Every pattern is a candidate then.
    index: Vec<u8>,
    /// The ids of the patterns, by their number in the index.
    patterns: Vec<u32>,
}

impl RequiredLiterals {
    /// Indexes patterns, each given with its id. Linear in the length of the patterns.
    pub fn of(patterns: &[(u32, &[u8])]) -> Self {
        let (ids, texts): (Vec<u32>, Vec<&[u8]>) = patterns.iter().copied().unzip();
        let Some(Built { bytes, numbers, .. }) = literal_tree::build(&texts) else {
            return Self { index: Vec::new(), patterns: ids };
        };
        let mut by_number: Vec<(u32, u32)> = numbers.into_iter().zip(ids).collect();
        by_number.sort_unstable();
        Self { index: bytes, patterns: by_number.into_iter().map(|(_, id)| id).collect() }
    }

    /// Calls `candidate` once with each pattern that may cover `name`. Every pattern that covers it is among them.
    pub fn candidates(&self, name: &[u8], mut candidate: impl FnMut(u32)) {
        if self.patterns.is_empty() {
            return;
        }
        match Sequences::read(&self.index) {
            Some(index) => index.candidates(name, Some, |number| {
                self.patterns.get(number as usize).copied().into_iter().for_each(&mut candidate);
            }),
            None => self.patterns.iter().copied().for_each(candidate),
        }
    }
}

/// Evaluates candidates, the most specific first.
///
/// Candidates are collected up to a fixed number. They are then evaluated in order of decreasing specificity until one
/// covers the name. After that, no less specific candidate is evaluated.
struct MostSpecificFirst<F> {
    candidates: SmallVec<[(Reverse<u16>, u32, TextId); 128]>,
    covering: Option<(Reverse<u16>, u32)>,
    covers: F,
}

impl<F: FnMut(Residue) -> bool> MostSpecificFirst<F> {
    fn offer(&mut self, characters: u16, entry: Residue) {
        let (key, grant) = (Reverse(characters), entry.grant);
        if self.covering.is_none_or(|covering| (key, grant) < covering) {
            if self.candidates.len() == self.candidates.inline_size() {
                self.evaluate();
            }
            self.candidates.push((key, grant, entry.text));
        }
    }

    fn evaluate(&mut self) {
        self.candidates.sort_unstable();
        for (characters, grant, text) in self.candidates.drain(..) {
            if self.covering.is_some_and(|covering| covering <= (characters, grant)) {
                break;
            }
            if (self.covers)(Residue { ordinal: 0, text, grant }) {
                self.covering = Some((characters, grant));
                break;
            }
        }
    }
}

impl Matcher {
    /// Calls `covers` with grants of the block's residue that may cover `name`.
    ///
    /// The most specific grant that covers the name is among them, and the first of equally specific ones. `covers`
    /// evaluates the pattern and returns whether it covers the name.
    pub(crate) fn candidates(&self, block: Block<'_>, name: &[u8], mut covers: impl FnMut(Residue) -> bool) {
        let mut each = |entry| _ = covers(entry);
        match self {
            Self::EachByItself => block.residue().for_each(each),
            Self::Automaton(dfa) => {
                let Some(state) = end_state(dfa, name) else { return };
                let covering = dfa.match_len(state);
                if covering > block.residue().len() {
                    return block.residue().for_each(each);
                }
                for at in 0..covering {
                    block.residue_of(dfa.match_pattern(state, at).as_u32()).for_each(&mut each);
                }
            }
            Self::Literals(index) => {
                let Some(sequences) = Sequences::read(index) else { return block.residue().for_each(each) };
                let mut first = MostSpecificFirst { candidates: SmallVec::new(), covering: None, covers };
                // The index in the residue of the last pattern that `next` returned.
                let position = Cell::new(0);
                let next = |pattern| {
                    position.set(block.residue_from(pattern, position.get()));
                    block.residue_at(position.get()).map(|entry| entry.ordinal)
                };
                sequences.candidates(name, next, |pattern| {
                    if let Some(entry) = block.residue_at(position.get()) {
                        first.offer(sequences.characters(pattern), entry);
                    }
                });
                first.evaluate();
            }
        }
    }

    /// The names of all strategies. `hashes` means that there is no residue.
    pub(super) const STRATEGIES: [&str; 4] = ["hashes", "each_by_itself", "automaton", "literals"];

    /// Returns the stored form, which [`Matcher::from_bytes`] reads with the name of the strategy.
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

    /// Reads the stored form of a matcher of this strategy; `None` if it is not valid.
    pub(super) fn from_bytes(strategy: &str, bytes: &[u8]) -> Option<Self> {
        match strategy {
            "each_by_itself" => bytes.is_empty().then_some(Self::EachByItself),
            "automaton" => {
                // The automaton needs an alignment of four bytes.
                let mut aligned = vec![0_u32; bytes.len().div_ceil(4)];
                let copy = bytemuck::cast_slice_mut::<u32, u8>(&mut aligned).get_mut(..bytes.len())?;
                copy.copy_from_slice(bytes);
                let (dfa, read) = dense::DFA::from_bytes(copy).ok()?;
                (read == bytes.len()).then(|| Self::Automaton(Box::new(dfa.to_owned())))
            }
            "literals" => Sequences::read(bytes).map(|_| Self::Literals(bytes.to_vec())),
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

    /// Returns the size of the matcher, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::EachByItself => 0,
            Self::Automaton(dfa) => dfa.memory_usage(),
            Self::Literals(index) => index.len(),
        }
    }
}

/// Returns the match state after `name`; `None` if no pattern covers the name.
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
    use crate::model::{
        ApiId, Apis, Connection, ConnectionId, Expiry, Grant, GrantSource, Limits, Policy, Referers, SecretDigest,
        Token, TokenParts,
    };
    use crate::name::Dialect;
    use crate::snapshot::Snapshot;

    /// Compiles a policy with one token that has every pattern on each of `connections` connections.
    fn snapshot(connections: u32, patterns: &[String], options: &Options) -> Snapshot {
        let limits = Limits::default();
        let source = |text: &String| GrantSource::guess(text, Dialect::Generic, &limits).unwrap();
        let grants = (0..connections)
            .map(ConnectionId::new)
            .flat_map(|connection| patterns.iter().map(move |text| Grant::new(connection, source(text))));
        let token = Token::from(TokenParts {
            id: "tk".into(),
            name: None,
            owner: None,
            digest: SecretDigest::of("s3cret"),
            apis: [ApiId::MAPS].into_iter().collect(),
            grants: grants.collect(),
            referers: Referers::Any,
            expiry: Expiry::Never,
            created_at: None,
        });
        let connections = (0..connections).map(|at| Connection::new(format!("dw{at}"), Dialect::Generic, false));
        let policy = Policy::new(connections.collect(), Apis::default(), vec![token], limits.clone()).unwrap();
        Snapshot::compile(&policy, options).unwrap()
    }

    #[test]
    fn repeated_literals_do_not_repeat_the_evaluation_of_patterns() {
        // `*a*`, `*aa*`, …: each of the name's 4,000 offsets contains every literal.
        let patterns = (1..=300).map(|n| format!("p.d.*{}*", "a".repeat(n)));
        let snapshot = snapshot(1, &patterns.collect::<Vec<_>>(), &Options::default());
        assert_eq!(snapshot.report().connections[0].strategy, "literals");
        let compiled = &*snapshot.base;
        let block = compiled.block(&compiled.rows()[0], 0).unwrap();
        let mut evaluated = 0;
        let name = format!("p.d.{}", "a".repeat(4_000));
        compiled.residue(block, name.as_bytes(), |_| {
            evaluated += 1;
            false
        });
        assert!((300..=900).contains(&evaluated), "{evaluated} patterns were evaluated");
    }

    #[test]
    fn automata_of_all_connections_share_one_memory_limit() {
        let patterns: Vec<_> = (1..=12).map(|n| format!("p.d.*{}*", "a".repeat(n))).collect();
        let options =
            |automaton_bytes| Options { residue: ResidueStrategy::Automaton, automaton_bytes, ..Options::default() };
        let automata = |snapshot: &Snapshot| {
            snapshot.report().connections.iter().filter(|connection| connection.strategy == "automaton").count()
        };
        let one = snapshot(1, &patterns, &options(1 << 20));
        assert_eq!(automata(&one), 1, "{:?}", one.report());
        let all = snapshot(24, &patterns, &options(8 * one.report().matcher_bytes));
        assert!((1..=8).contains(&automata(&all)), "{:?}", all.report());
    }
}
