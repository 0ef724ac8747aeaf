//! Tracks the names of a query that refer to its own results instead of tables.

use std::collections::HashMap;
use std::ptr;

use sqlparser::ast::{Query, Select, SetExpr, SetOperator, TableFactor, TableWithJoins};

use super::relation::folded;
use portcullis::name::Dialect;

/// The queries of one `WITH`, and how many of them are visible at the visitor's position.
#[derive(Default)]
pub(super) struct With {
    /// The index of the first query with each name.
    names: HashMap<String, usize>,
    queries: HashMap<*const Query, (usize, Recursion)>,
    /// The first operands of unions that read themselves, from which the recursion starts, each with the index of its
    /// query. Inside them, the name of the query is a table.
    anchors: HashMap<*const (), usize>,
    visible: usize,
}

/// Whether a `WITH` query may read itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recursion {
    /// Inside the query, its name is a table.
    None,
    Itself,
    /// The query may read itself and later queries.
    All,
}

impl With {
    pub(super) fn of(query: &Query, dialect: Dialect) -> Self {
        let mut all = Self::default();
        let Some(with) = &query.with else { return all };
        // These dialects omit `RECURSIVE`; the form of the query shows the recursion.
        let unsaid = matches!(dialect, Dialect::Snowflake | Dialect::Oracle);
        for (index, cte) in with.cte_tables.iter().enumerate() {
            let anchor = if unsaid && !with.recursive { anchor(&cte.query.body) } else { Vec::new() };
            let recursion = match (with.recursive, dialect) {
                // Here, queries may also read queries that follow them.
                (true, Dialect::BigQuery | Dialect::Postgres) => Recursion::All,
                (true, _) => Recursion::Itself,
                (false, _) if !anchor.is_empty() => Recursion::Itself,
                (false, _) => Recursion::None,
            };
            all.names.entry(folded(&cte.alias.name, dialect)).or_insert(index);
            all.queries.insert(ptr::from_ref(&*cte.query), (index, recursion));
            all.anchors.extend(anchor.into_iter().map(|operand| (operand, index)));
        }
        all.visible = all.queries.len();
        all
    }

    /// Records that the visitor enters or leaves `query`. Returns whether it is one of these.
    pub(super) fn at(&mut self, query: &Query, enters: bool) -> bool {
        let Some(&(index, recursion)) = self.queries.get(&ptr::from_ref(query)) else { return false };
        self.visible = match (enters, recursion) {
            (false, _) | (_, Recursion::All) => self.queries.len(),
            (true, Recursion::Itself) => index + 1,
            (true, Recursion::None) => index,
        };
        true
    }

    /// Records that the visitor enters or leaves an operand of a union.
    pub(super) fn at_operand(&mut self, operand: *const (), enters: bool) {
        if let Some(&index) = self.anchors.get(&operand) {
            self.visible = if enters { index } else { index + 1 };
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|index| *index < self.visible)
    }
}

/// Returns the operands of a union, without the last one. Empty for other queries.
fn anchor(body: &SetExpr) -> Vec<*const ()> {
    let SetExpr::SetOperation { op: SetOperator::Union, left, .. } = body else { return Vec::new() };
    let (mut anchor, mut operands) = (Vec::new(), vec![&**left]);
    while let Some(operand) = operands.pop() {
        match operand {
            SetExpr::SetOperation { left, right, .. } => operands.extend([&**left, &**right]),
            SetExpr::Select(select) => anchor.push(ptr::from_ref::<Select>(select).cast()),
            SetExpr::Query(query) => anchor.push(ptr::from_ref::<Query>(query).cast()),
            other => anchor.push(ptr::from_ref(other).cast()),
        }
    }
    anchor
}

/// The aliases of one `FROM`. A path that starts with one of them may refer to a row of that table.
pub(super) struct From {
    /// The index of the first table with each alias.
    aliases: HashMap<String, usize>,
    factors: HashMap<*const TableFactor, usize>,
    /// The number of tables before the visitor's position; `None` outside the `FROM`, where all are visible.
    before: Option<usize>,
    /// Whether the visitor is in a subquery of the `FROM`, in which the aliases are not visible.
    is_hidden: bool,
    /// Whether a table other than Oracle's `DUAL` is in the `FROM`.
    has_columns: bool,
}

impl From {
    pub(super) fn of(select: &Select, dialect: Dialect) -> Self {
        let mut factors = Vec::new();
        select.from.iter().for_each(|tables| collect(tables, &mut factors));
        let has_columns = factors.iter().any(|factor| !is_dual(factor));
        let mut all =
            Self { aliases: HashMap::new(), factors: HashMap::new(), before: None, is_hidden: false, has_columns };
        for (index, factor) in factors.into_iter().enumerate() {
            all.factors.insert(ptr::from_ref(factor), index);
            if let Some(alias) = alias(factor, dialect) {
                all.aliases.entry(alias).or_insert(index);
            }
        }
        all
    }

    /// Records that the visitor enters or leaves `factor`.
    pub(super) fn at(&mut self, factor: &TableFactor, enters: bool) {
        // Also inside a `PIVOT`, which is not one of these.
        if let TableFactor::Derived { lateral: false, .. } = factor {
            self.is_hidden = enters;
        }
        let Some(&index) = self.factors.get(&ptr::from_ref(factor)) else { return };
        self.before = match (enters, self.before) {
            (true, None) if index == 0 => Some(0),
            (true, before) => before,
            (false, _) if index + 1 == self.factors.len() => None,
            (false, _) => Some(index + 1),
        };
    }

    pub(super) fn has_columns(&self) -> bool {
        self.has_columns
    }

    pub(super) fn has(&self, name: &str) -> bool {
        let index = self.aliases.get(name);
        !self.is_hidden && index.is_some_and(|index| self.before.is_none_or(|before| *index < before))
    }
}

/// Whether a table is `DUAL` or `SYS.DUAL`.
fn is_dual(factor: &TableFactor) -> bool {
    let TableFactor::Table { name, args: None, .. } = factor else { return false };
    let last = name.0.last().and_then(|part| part.as_ident());
    name.0.len() <= 2 && last.is_some_and(|last| last.value.eq_ignore_ascii_case("dual"))
}

/// Returns the tables of a `FROM`, including joins in parentheses, in the order of the visit.
fn collect<'q>(tables: &'q TableWithJoins, factors: &mut Vec<&'q TableFactor>) {
    let all = std::iter::once(&tables.relation).chain(tables.joins.iter().map(|join| &join.relation));
    for factor in all {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => collect(table_with_joins, factors),
            other => factors.push(other),
        }
    }
}

/// Returns the name of the table in the rest of the query.
fn alias(factor: &TableFactor, dialect: Dialect) -> Option<String> {
    let (alias, name) = match factor {
        TableFactor::Table { alias, name, .. } => (alias.as_ref(), name.0.last().and_then(|part| part.as_ident())),
        TableFactor::Derived { alias, .. }
        | TableFactor::TableFunction { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. }
        | TableFactor::Pivot { alias, .. }
        | TableFactor::Unpivot { alias, .. } => (alias.as_ref(), None),
        _ => (None, None),
    };
    // In Redshift, paths start with an alias that the query declares.
    let name = name.filter(|_| dialect == Dialect::BigQuery);
    alias.map(|alias| &alias.name).or(name).map(|name| folded(name, dialect))
}
