//! What a compilation may choose, and how far it may go.

/// How the patterns that no hash tells apart are matched, for a whole connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ResidueStrategy {
    /// An automaton where it stays small, else literals.
    #[default]
    Auto,
    /// Ask each pattern.
    EachByItself,
    /// One deterministic automaton; literals where it would exceed [`Options::automaton_bytes`].
    Automaton,
    /// The literals of all patterns, found in one pass or two; then ask the patterns whose literals occur in their order.
    Literals,
}

/// What a compilation may choose. The defaults are right for nearly everyone; no choice changes a decision.
///
/// ```
/// use portcullis::snapshot::Options;
///
/// let options = Options { automaton_bytes: 64 << 10, ..Options::default() };
/// assert_eq!(options.automaton_patterns, 256);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The ceiling on the bytes of the automata of all connections together, and of what building each may take. 1 MiB.
    ///
    /// After a few automata that did not fit, no more are tried: time and memory of a compilation stay linear.
    pub automaton_bytes: usize,
    /// The most patterns for which an automaton is tried. 256.
    pub automaton_patterns: usize,
    /// How patterns that no hash tells apart are matched. [`ResidueStrategy::Auto`].
    pub residue: ResidueStrategy,
    /// The most patterns of one token that share a hash and are asked one by one; more become residue. 8.
    pub same_key: usize,
    /// The most shapes of patterns that one token may look up on a connection; the rarer ones become residue. 64.
    pub shapes: usize,
    /// The longest run of hashes that is scanned; longer ones are searched. 8.
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
