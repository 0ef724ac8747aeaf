//! Tracks the names of a query that refer to its own results instead of tables.

use std::ptr;

use sqlparser::ast::{Query, Select, SetExpr, SetOperator, TableFactor, TableWithJoins};

use super::relation::folded;
use portcullis::name::Dialect;

/// The queries of one `WITH`, and how many of them are visible at the visitor's position.
#[derive(Default)]
pub(super) struct With {
    queries: Vec<Defined>,
    visible: usize,
}

/// A query of a `WITH`.
struct Defined {
    name: String,
    query: *const Query,
    recursion: Recursion,
    /// The first operands of a union that reads itself, from which the recursion starts. Inside them, the name is a
    /// table.
    anchor: Vec<*const ()>,
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
        let Some(with) = &query.with else { return Self::default() };
        // These dialects omit `RECURSIVE`; the form of the query shows the recursion.
        let unsaid = matches!(dialect, Dialect::Snowflake | Dialect::Oracle);
        let queries = with.cte_tables.iter().map(|cte| {
            let anchor = if unsaid && !with.recursive { anchor(&cte.query.body) } else { Vec::new() };
            let recursion = match (with.recursive, dialect) {
                // Here, queries may also read queries that follow them.
                (true, Dialect::BigQuery | Dialect::Postgres) => Recursion::All,
                (true, _) => Recursion::Itself,
                (false, _) if !anchor.is_empty() => Recursion::Itself,
                (false, _) => Recursion::None,
            };
            Defined { name: folded(&cte.alias.name, dialect), query: ptr::from_ref(&*cte.query), recursion, anchor }
        });
        let queries: Vec<_> = queries.collect();
        Self { visible: queries.len(), queries }
    }

    /// Records that the visitor enters or leaves `query`. Returns whether it is one of these.
    pub(super) fn at(&mut self, query: &Query, enters: bool) -> bool {
        let Some(at) = self.queries.iter().position(|known| ptr::eq(known.query, query)) else { return false };
        let recursion = self.queries.get(at).map_or(Recursion::None, |known| known.recursion);
        self.visible = match (enters, recursion) {
            (false, _) | (_, Recursion::All) => self.queries.len(),
            (true, Recursion::Itself) => at + 1,
            (true, Recursion::None) => at,
        };
        true
    }

    /// Records that the visitor enters or leaves an operand of a union.
    pub(super) fn at_operand(&mut self, operand: *const (), enters: bool) {
        let Some(at) = self.queries.iter().position(|known| known.anchor.contains(&operand)) else { return };
        self.visible = if enters { at } else { at + 1 };
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.queries.iter().take(self.visible).any(|known| known.name == name)
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
    all: Vec<String>,
    /// The number of aliases before the visitor's position; `None` outside the `FROM`, where all are visible.
    before: Option<usize>,
    first: *const TableFactor,
    last: *const TableFactor,
    factors: Vec<*const TableFactor>,
    /// Whether the visitor is in a subquery of the `FROM`, in which the aliases are not visible.
    is_hidden: bool,
}

impl From {
    pub(super) fn of(select: &Select, dialect: Dialect) -> Self {
        let mut factors = Vec::new();
        select.from.iter().for_each(|tables| collect(tables, &mut factors));
        let all = factors.iter().map(|factor| alias(factor, dialect)).collect();
        let factors: Vec<*const TableFactor> = factors.into_iter().map(ptr::from_ref).collect();
        let end = |factor: Option<&*const TableFactor>| factor.copied().unwrap_or(ptr::null());
        Self { all, before: None, first: end(factors.first()), last: end(factors.last()), factors, is_hidden: false }
    }

    /// Records that the visitor enters or leaves `factor`.
    pub(super) fn at(&mut self, factor: &TableFactor, enters: bool) {
        // Also inside a `PIVOT`, which is not one of these.
        if let TableFactor::Derived { lateral: false, .. } = factor {
            self.is_hidden = enters;
        }
        let Some(at) = self.factors.iter().position(|known| ptr::eq(*known, factor)) else { return };
        self.before = match (enters, self.before) {
            (true, None) if ptr::eq(self.first, factor) => Some(0),
            (true, before) => before,
            (false, _) if ptr::eq(self.last, factor) => None,
            (false, _) => Some(at + 1),
        };
    }

    pub(super) fn has(&self, name: &str) -> bool {
        !self.is_hidden && self.all.iter().take(self.before.unwrap_or(self.all.len())).any(|known| known == name)
    }
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
fn alias(factor: &TableFactor, dialect: Dialect) -> String {
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
    alias.map(|alias| &alias.name).or(name).map_or_else(String::new, |name| folded(name, dialect))
}
