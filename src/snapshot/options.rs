//! The options and limits of a compilation.

/// The strategy for matching the patterns of a connection that hashes cannot distinguish (the *residue*).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ResidueStrategy {
    /// Uses an automaton if it stays small, else literals.
    #[default]
    Auto,
    /// Evaluates each pattern by itself.
    EachByItself,
    /// Uses one deterministic automaton, or literals if the automaton would exceed [`Options::automaton_bytes`].
    Automaton,
    /// Finds the literals of all patterns in one or two passes, then evaluates the patterns whose literals occur in
    /// order.
    Literals,
}

/// The options of a compilation. The defaults suit nearly every policy, and no option changes a decision.
///
/// ```
/// use portcullis::snapshot::Options;
///
/// let options = Options { automaton_bytes: 64 << 10, ..Options::default() };
/// assert_eq!(options.automaton_patterns, 256);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Memory limit for the automata of all connections together, and for building each of them, in bytes. Default: 1
    /// MiB.
    ///
    /// After a few automata that exceed the limit, the compiler tries no more. Its time and memory stay linear.
    pub automaton_bytes: usize,
    /// The maximum number of patterns for which the compiler tries an automaton. Default: 256.
    pub automaton_patterns: usize,
    /// The strategy for patterns that hashes cannot distinguish. Default: [`ResidueStrategy::Auto`].
    pub residue: ResidueStrategy,
    /// The maximum number of patterns of one token that share a hash and are evaluated one by one. More become residue.
    /// Default: 8.
    pub same_key: usize,
    /// The maximum number of pattern shapes that a decision looks up for one token on a connection. The patterns of
    /// rarer shapes become residue. Default: 64.
    pub shapes: usize,
    /// The maximum length of a run of hashes that is scanned. Longer runs are searched. Default: 8.
    pub scan_up_to: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            automaton_bytes: 1 << 20,
            automaton_patterns: 256,
            residue: ResidueStrategy::Auto,
            same_key: 8,
            shapes: 64,
            scan_up_to: 8,
        }
    }
}
