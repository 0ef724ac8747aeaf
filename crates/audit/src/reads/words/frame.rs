//! The state of a scan inside one pair of parentheses.

/// The meaning of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The start of a statement or query, or unknown syntax.
    Unknown,
    /// The list of a `WITH`: a name is one of its queries.
    With,
    /// A table that is read.
    Table,
    /// A table that is created or changed: parentheses after its name contain columns, not arguments.
    Target,
    /// The alias of a table.
    Alias,
    /// A column.
    Column,
}

/// The meaning of a comma.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Comma {
    /// Another name of the current mode follows.
    Continues,
    /// A table follows.
    Table,
    /// Another row of `VALUES` follows if it starts with a parenthesis, and a table otherwise.
    Row,
}

/// The meaning of the names after a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// One alias.
    Alias,
    /// The table has the name of a keyword, which may only precede the table: a name may be the table.
    Modifier,
    /// An alias and options of any syntax: the names of options may be tables.
    Options,
}

/// The state inside one pair of parentheses, or outside of all.
pub(super) struct Frame {
    pub(super) mode: Mode,
    pub(super) comma: Comma,
    pub(super) after: After,
    /// Whether `USING` precedes tables: in a `MERGE` or `DELETE`, before a `JOIN`.
    pub(super) uses_tables: bool,
    /// Whether the parentheses may be the arguments of a function, which `FROM` may separate.
    pub(super) is_call: bool,
    /// The number of operands of an expression that follow each other, or of words after a table, with the table.
    pub(super) operands: usize,
    /// The `WITH` query inside these parentheses.
    pub(super) defines: Option<String>,
    /// The `WITH` whose list is read.
    pub(super) with: With,
    /// The `WITH` queries that are visible up to the end of these parentheses.
    pub(super) visible: Vec<String>,
}

/// The list of a `WITH`.
#[derive(Default)]
pub(super) struct With {
    pub(super) is_recursive: bool,
    /// The last name.
    pub(super) name: Option<String>,
}

impl Frame {
    pub(super) fn new(mode: Mode) -> Self {
        Self {
            mode,
            comma: Comma::Continues,
            after: After::Alias,
            uses_tables: false,
            is_call: false,
            operands: 0,
            defines: None,
            with: With::default(),
            visible: Vec::new(),
        }
    }

    /// Expects columns: the clause of a query.
    pub(super) fn columns(&mut self) {
        self.mode = Mode::Column;
        self.comma = Comma::Continues;
        self.operands = 0;
    }

    /// Expects a list of tables.
    pub(super) fn tables(&mut self) {
        self.mode = Mode::Table;
        self.comma = Comma::Table;
    }

    /// Whether a table is expected.
    pub(super) fn expects_table(&self) -> bool {
        matches!(self.mode, Mode::Table | Mode::Target)
    }

    /// Records that no name of a table precedes what follows, but a stage, a variable or a literal.
    pub(super) fn unnamed(&mut self) {
        self.mode = Mode::Alias;
        self.after = After::Options;
        self.operands = 1;
    }
}
