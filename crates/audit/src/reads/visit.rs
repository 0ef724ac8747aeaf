//! Visits a parsed query and collects its tables.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::ptr;

use sqlparser::ast::{
    AccessExpr, Expr, FromTable, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName,
    ObjectNamePart, PipeOperator, Query, Select, SetExpr, Statement, TableFactor, TableObject, Value,
};
use sqlparser::tokenizer::Location;

use super::built_in::is_built_in;
use super::relation::{folded, table};
use super::scope::{From, With};
use super::words::{Call, Candidate, Certainty};
use super::{Reads, Table};
use portcullis::name::Dialect;

/// Table functions that read no table: they expand their arguments, or generate rows.
const UNFOLDING: &[&str] = &[
    "explode",
    "explode_outer",
    "flatten",
    "generate_array",
    "generate_date_array",
    "generate_series",
    "generate_subscripts",
    "generator",
    "inline",
    "inline_outer",
    "json_array_elements",
    "json_array_elements_text",
    "json_each",
    "json_each_text",
    "json_object_keys",
    "json_populate_recordset",
    "json_table",
    "json_to_record",
    "json_to_recordset",
    "jsonb_array_elements",
    "jsonb_array_elements_text",
    "jsonb_each",
    "jsonb_each_text",
    "jsonb_object_keys",
    "jsonb_path_query",
    "jsonb_populate_recordset",
    "jsonb_to_record",
    "jsonb_to_recordset",
    "posexplode",
    "posexplode_outer",
    "range",
    "regexp_matches",
    "regexp_split_to_table",
    "semantic_view",
    "sequence",
    "split_to_table",
    "stack",
    "st_dump",
    "st_dumppoints",
    "st_hexagongrid",
    "st_squaregrid",
    "string_to_table",
    "strtok_split_to_table",
    "unnest",
    "variant_explode",
    "xmltable",
];

/// The prefixes of BigQuery's built-in functions.
const OWN: &[&str] = &["aead", "d3a_count", "hll_count", "keys", "kll_quantiles", "kll_quantiles_int64", "net", "safe"];

/// The formats of files that Databricks reads by their path: ``delta.`/mnt/people` ``.
const FORMATS: &[&str] = &["avro", "binaryfile", "csv", "delta", "iceberg", "json", "orc", "parquet", "text", "xml"];

/// Names without parentheses that Oracle reads without a call.
const PSEUDO_COLUMNS: &[&str] = &[
    "column_value",
    "connect_by_iscycle",
    "connect_by_isleaf",
    "current_date",
    "current_timestamp",
    "dbtimezone",
    "level",
    "localtimestamp",
    "ora_rowscn",
    "rowid",
    "rownum",
    "sessiontimezone",
    "sysdate",
    "systimestamp",
    "uid",
    "user",
];

/// The pseudo columns of sequences, which `running` knows.
const SEQUENCE: &[&str] = &["currval", "nextval"];

/// Max characters of a name, function or statement in a report.
const MAX_CHARS: usize = 100;

pub(super) struct Visitor {
    dialect: Dialect,
    withs: Vec<With>,
    froms: Vec<From>,
    /// The `FROM`s outside of the `WITH` queries that the visitor is in, which cannot refer to them.
    outer_froms: Vec<Vec<From>>,
    tables: BTreeMap<String, Table>,
    beyond: BTreeSet<String>,
    /// The name of the last table or function that the visitor entered.
    factor: *const ObjectName,
    /// The positions of names that are tables, functions or `WITH` queries of the tree.
    relations: HashSet<Location>,
    /// The positions of names that are columns of the tree.
    columns: HashSet<Location>,
    /// The positions of the methods and fields of objects, which `method` records with their object.
    members: HashSet<Location>,
    /// The positions of words that the tree contains as tables, but that only precede tables.
    modifiers: HashSet<Location>,
}

impl Visitor {
    pub(super) fn new(dialect: Dialect, modifiers: &[Location]) -> Self {
        Self {
            dialect,
            withs: Vec::new(),
            froms: Vec::new(),
            outer_froms: Vec::new(),
            relations: HashSet::new(),
            columns: HashSet::new(),
            members: HashSet::new(),
            modifiers: modifiers.iter().copied().collect(),
            tables: BTreeMap::new(),
            beyond: BTreeSet::new(),
            factor: ptr::null(),
        }
    }

    pub(super) fn reads(self) -> Reads {
        Reads { tables: self.tables.into_values().collect(), beyond: self.beyond.into_iter().collect() }
    }

    /// Records a table that the words of the query name, unless the tree explains the name.
    pub(super) fn candidate(&mut self, candidate: &Candidate) {
        let is_column = candidate.certainty != Certainty::Table && self.columns.contains(&candidate.at);
        if is_column || self.relations.contains(&candidate.at) || self.is_nothing(&candidate.name) {
            return;
        }
        self.table(&candidate.name);
    }

    /// Records a function that the words of the query name in the position of a table, unless the tree explains it.
    pub(super) fn call(&mut self, call: &Call) {
        if !self.relations.contains(&call.at) {
            self.table_function(&call.name);
        }
    }

    /// Adds the tables of a query that is a string literal.
    pub(super) fn add(&mut self, reads: Reads) {
        self.tables.extend(reads.tables.into_iter().map(|table| (table.display(self.dialect), table)));
        self.beyond.extend(reads.beyond);
    }

    /// Records the position of a name that the tree explains. Returns `false` if the name is not a table, but a word
    /// before a table.
    fn explain(&mut self, name: &ObjectName) -> bool {
        let at = match name.0.first() {
            Some(ObjectNamePart::Identifier(part)) => part.span.start,
            Some(ObjectNamePart::Function(function)) => function.name.span.start,
            None => return true,
        };
        self.relations.insert(at);
        !self.modifiers.contains(&at)
    }

    /// Whether a name is the table of these dialects that has no data.
    fn is_nothing(&self, name: &ObjectName) -> bool {
        let [part] = name.0.as_slice() else { return false };
        matches!(self.dialect, Dialect::Oracle | Dialect::Snowflake)
            && part.as_ident().is_some_and(|part| folded(part, self.dialect) == "DUAL")
    }

    /// Records a name in the position of a table.
    fn relation(&mut self, name: &ObjectName) {
        if self.explain(name) && !self.is_result(name) && !self.is_path(name) && !self.is_nothing(name) {
            self.table(name);
        }
    }

    /// Records the target of a statement, which is never the result of a query.
    fn target(&mut self, factor: &TableFactor) {
        if let TableFactor::Table { name, args: None, .. } = factor {
            self.table(name);
        }
    }

    /// Whether a name refers to a `WITH` query.
    fn is_result(&self, name: &ObjectName) -> bool {
        let [part] = name.0.as_slice() else { return false };
        let name = part.as_ident().map(|part| folded(part, self.dialect));
        name.is_some_and(|name| self.withs.iter().any(|with| with.has(&name)))
    }

    /// Whether a name is an array of a row: a path that starts with the alias of a table.
    fn is_path(&self, name: &ObjectName) -> bool {
        let has_paths = matches!(self.dialect, Dialect::BigQuery | Dialect::Redshift | Dialect::RedshiftCaseSensitive);
        let mut parts = name.0.iter().map(|part| part.as_ident());
        let (Some(Some(first)), Some(Some(second))) = (parts.next(), parts.next()) else { return false };
        // One pair of backquotes around several parts is the path of a table.
        let is_quoted_together = first.quote_style.is_some() && first.span == second.span;
        let alias = folded(first, self.dialect);
        has_paths && !is_quoted_together && self.froms.iter().any(|from| from.has(&alias))
    }

    fn table(&mut self, name: &ObjectName) {
        // The parser gives an `INSERT` into several tables an empty name.
        if name.0.is_empty() {
            return;
        }
        match table(name, self.dialect) {
            Some(table) => {
                let text = table.display(self.dialect);
                if self.dialect == Dialect::Databricks && is_file(&text) {
                    return self.beyond(text);
                }
                self.tables.insert(text, table);
            }
            None => self.beyond(name.to_string()),
        }
    }

    pub(super) fn beyond(&mut self, what: String) {
        let is_long = what.chars().nth(MAX_CHARS).is_some();
        self.beyond.insert(if is_long { what.chars().take(MAX_CHARS - 1).chain(['…']).collect() } else { what });
    }

    /// Records a function in the position of a table.
    fn table_function(&mut self, name: &ObjectName) {
        if !self.explain(name) {
            return;
        }
        if let [part] = name.0.as_slice()
            && let Some(part) = part.as_ident()
            && UNFOLDING.contains(&part.value.to_ascii_lowercase().as_str())
        {
            return;
        }
        self.beyond(format!("{name}()"));
    }

    /// Records a function in an expression that is not built in. `running` knows the built-in ones that read more than
    /// their arguments.
    fn function(&mut self, function: &Function) {
        let parts: Vec<String> = function.name.0.iter().filter_map(|part| part.as_ident()).map(lower).collect();
        let path = parts.join(".");
        let is_built_in = match path.split_once('.') {
            None => is_built_in(&path, self.dialect),
            Some(("pg_catalog", _)) => true,
            Some((first, _)) => self.dialect == Dialect::BigQuery && OWN.contains(&first),
        };
        let is_method = start(function).is_some_and(|at| self.members.contains(&at));
        if !is_built_in && !is_method {
            self.beyond(format!("{}()", function.name));
        }
    }

    /// Records a function without parentheses in Oracle: a name where no table with columns is visible.
    fn unparenthesized(&mut self, parts: &[Ident]) {
        let has_columns = self.froms.is_empty() || self.froms.iter().any(From::has_columns);
        let last = parts.last().map(lower).unwrap_or_default();
        let is_value = if parts.len() == 1 { PSEUDO_COLUMNS } else { SEQUENCE }.contains(&last.as_str());
        let is_member = parts.first().is_some_and(|part| self.members.contains(&part.span.start));
        if self.dialect == Dialect::Oracle && !has_columns && !is_value && !is_member {
            self.beyond(ObjectName::from(parts.to_vec()).to_string());
        }
    }

    /// Records a function of a package or an object, whose result is used further: `hr.pay(1).total()`.
    fn method(&mut self, root: &Expr, chain: &[AccessExpr]) {
        let parts = chain.iter().filter_map(|part| match part {
            AccessExpr::Dot(part) => Some(part),
            AccessExpr::Subscript(_) => None,
        });
        self.members.extend(std::iter::once(root).chain(parts).filter_map(|part| match part {
            Expr::Identifier(name) => Some(name.span.start),
            Expr::CompoundIdentifier(parts) => parts.first().map(|name| name.span.start),
            Expr::Function(function) if !ptr::eq(part, root) => start(function),
            _ => None,
        }));
        if !matches!(root, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) {
            return;
        }
        let mut path = vec![root.to_string()];
        for part in chain {
            match part {
                AccessExpr::Dot(Expr::Identifier(part)) => path.push(part.to_string()),
                AccessExpr::Dot(Expr::Function(function)) => {
                    return self.beyond(format!("{}.{}()", path.join("."), function.name));
                }
                AccessExpr::Dot(_) | AccessExpr::Subscript(_) => return,
            }
        }
    }

    /// Records the argument of `TABLE(…)` in the position of a table. The words of the query name the table of a string
    /// literal.
    fn table_expression(&mut self, expr: &Expr) {
        let name = match expr {
            Expr::Identifier(name) => ObjectName::from(vec![name.clone()]),
            Expr::CompoundIdentifier(parts) => ObjectName::from(parts.clone()),
            Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)) => return,
            _ => return self.beyond(format!("TABLE({expr})")),
        };
        // In Oracle, the argument is a nested table of a row, or a variable.
        if self.dialect == Dialect::Oracle { self.beyond(format!("TABLE({expr})")) } else { self.relation(&name) }
    }

    /// Records that the visitor enters or leaves an operand of a union.
    fn at_operand(&mut self, operand: *const (), enters: bool) {
        self.withs.iter_mut().for_each(|with| with.at_operand(operand, enters));
    }

    /// Records `TABLE a.b`, which replaces a `SELECT`.
    fn tables_of(&mut self, body: &SetExpr) {
        let mut left = vec![body];
        while let Some(body) = left.pop() {
            match body {
                SetExpr::SetOperation { left: one, right: other, .. } => left.extend([&**one, &**other]),
                SetExpr::Table(table) => {
                    let parts: Vec<Ident> = table.schema_name.iter().chain(&table.table_name).cloned().collect();
                    self.relation(&ObjectName::from(parts));
                }
                _ => {}
            }
        }
    }
}

impl sqlparser::ast::Visitor for Visitor {
    type Break = Infallible;

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<Infallible> {
        match statement {
            Statement::Query(_) | Statement::Explain { .. } | Statement::ExplainTable { .. } => {}
            Statement::Update(update) => self.target(&update.table.relation),
            Statement::Merge(merge) => self.target(&merge.table),
            Statement::Delete(delete) => {
                let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
                for table in tables {
                    self.target(&table.relation);
                }
            }
            Statement::Insert(insert) => {
                if let TableObject::TableName(name) = &insert.table {
                    self.table(name);
                }
            }
            Statement::Call(function) => self.beyond(format!("CALL {}", function.name)),
            other => self.beyond(title(&other.to_string())),
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Infallible> {
        self.at_operand(ptr::from_ref(query).cast(), true);
        if self.withs.last_mut().is_some_and(|with| with.at(query, true)) {
            self.outer_froms.push(std::mem::take(&mut self.froms));
        }
        self.withs.push(With::of(query, self.dialect));
        self.tables_of(&query.body);
        for operator in &query.pipe_operators {
            if let PipeOperator::Call { function, .. } = operator {
                self.table_function(&function.name);
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Infallible> {
        self.withs.pop();
        if self.withs.last_mut().is_some_and(|with| with.at(query, false)) {
            self.froms = self.outer_froms.pop().unwrap_or_default();
        }
        self.at_operand(ptr::from_ref(query).cast(), false);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Infallible> {
        if let Some(into) = &select.into {
            into.targets.iter().for_each(|name| self.beyond(format!("INTO {name}")));
        }
        self.at_operand(ptr::from_ref(select).cast(), true);
        self.froms.push(From::of(select, self.dialect));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &Select) -> ControlFlow<Infallible> {
        self.froms.pop();
        self.at_operand(ptr::from_ref(select).cast(), false);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Infallible> {
        if let Some(from) = self.froms.last_mut() {
            from.at(factor, true);
        }
        match factor {
            TableFactor::Table { name, args, .. } => {
                self.factor = name;
                match args {
                    None => self.relation(name),
                    Some(args) if is_identifier(name) && is_literal(&args.args) => {
                        self.explain(name);
                    }
                    Some(_) => self.table_function(name),
                }
            }
            TableFactor::Function { name, .. } => self.table_function(name),
            TableFactor::TableFunction { expr: Expr::Function(function), .. } => match &function.args {
                FunctionArguments::List(list) if is_identifier(&function.name) && is_literal(&list.args) => {
                    self.explain(&function.name);
                }
                _ => self.table_function(&function.name),
            },
            TableFactor::TableFunction { expr, .. } => self.table_expression(expr),
            TableFactor::SemanticView { name, .. } => self.table(name),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// Records tables in further positions of a statement.
    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<Infallible> {
        if !ptr::eq(self.factor, name) {
            self.relation(name);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Infallible> {
        if let Some(from) = self.froms.last_mut() {
            from.at(factor, false);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Infallible> {
        match expr {
            Expr::Function(function) => self.function(function),
            Expr::CompoundFieldAccess { root, access_chain } => self.method(root, access_chain),
            Expr::Identifier(name) => {
                self.columns.insert(name.span.start);
                self.unparenthesized(std::slice::from_ref(name));
            }
            Expr::CompoundIdentifier(parts) => {
                self.columns.extend(parts.first().map(|part| part.span.start));
                self.unparenthesized(parts);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// Whether a name is the path of files: ``delta.`/mnt/people` ``.
fn is_file(name: &str) -> bool {
    name.split_once('.').is_some_and(|(format, path)| {
        let format = format.trim_matches('`');
        FORMATS.iter().any(|known| known.eq_ignore_ascii_case(format)) && path.contains(['/', ':'])
    })
}

/// Returns the position of the name of a function.
fn start(function: &Function) -> Option<Location> {
    function.name.0.first()?.as_ident().map(|part| part.span.start)
}

/// Returns the text of an identifier in lower case.
fn lower(part: &Ident) -> String {
    part.value.to_ascii_lowercase()
}

/// Whether a function is `IDENTIFIER`, whose argument is a name.
fn is_identifier(name: &ObjectName) -> bool {
    let [part] = name.0.as_slice() else { return false };
    part.as_ident().is_some_and(|part| part.value.eq_ignore_ascii_case("identifier"))
}

/// Whether the arguments of a function are one string literal.
fn is_literal(arguments: &[FunctionArg]) -> bool {
    matches!(arguments, [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] if matches!(value.value, Value::SingleQuotedString(_) | Value::DoubleQuotedString(_)))
}

/// Returns the first words of a statement: its kind.
fn title(statement: &str) -> String {
    let words = statement
        .split(|character: char| !character.is_ascii_uppercase())
        .filter(|word| !matches!(*word, "OR" | "REPLACE"));
    words.take_while(|word| !word.is_empty()).take(2).collect::<Vec<_>>().join(" ")
}
