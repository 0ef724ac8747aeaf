//! Visits a parsed query and collects its tables.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::ptr;

use sqlparser::ast::{Expr, Function, Ident, ObjectName, Query, Select, SetExpr, Statement, TableFactor, TableObject};

use super::relation::{folded, table};
use super::scope::{From, With};
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
];

/// Functions that read a table, or run a query, from their arguments.
const RUNNING: &[&str] = &[
    "cursor_to_xml",
    "database_to_xml",
    "dblink",
    "dblink_exec",
    "dblink_open",
    "dblink_send_query",
    "external_query",
    "query_to_xml",
    "query_to_xml_and_xmlschema",
    "query_to_xmlschema",
    "schema_to_xml",
    "table_to_xml",
    "table_to_xml_and_xmlschema",
    "ts_stat",
];

/// The prefixes of BigQuery's built-in functions.
const OWN: &[&str] = &["aead", "d3a_count", "hll_count", "keys", "kll_quantiles", "kll_quantiles_int64", "net", "safe"];

pub(super) struct Visitor {
    dialect: Dialect,
    withs: Vec<With>,
    froms: Vec<From>,
    tables: BTreeMap<String, Table>,
    beyond: BTreeSet<String>,
    /// The name of the last table or function that the visitor entered.
    factor: *const ObjectName,
}

impl Visitor {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            withs: Vec::new(),
            froms: Vec::new(),
            tables: BTreeMap::new(),
            beyond: BTreeSet::new(),
            factor: ptr::null(),
        }
    }

    pub(super) fn reads(self) -> Reads {
        Reads { tables: self.tables.into_values().collect(), beyond: self.beyond.into_iter().collect() }
    }

    /// Records a name in the position of a table.
    fn relation(&mut self, name: &ObjectName) {
        let first = name.0.first().and_then(|part| part.as_ident()).map(|part| folded(part, self.dialect));
        if let Some(first) = first {
            let is_result = name.0.len() == 1 && self.withs.iter().any(|with| with.has(&first));
            // Only these dialects unnest arrays by a path.
            let has_paths =
                matches!(self.dialect, Dialect::BigQuery | Dialect::Redshift | Dialect::RedshiftCaseSensitive);
            let is_path = has_paths && name.0.len() > 1 && self.froms.iter().any(|from| from.has(&first));
            let is_nothing = matches!(self.dialect, Dialect::Oracle | Dialect::Snowflake) && first == "DUAL";
            if is_result || is_path || (is_nothing && name.0.len() == 1) {
                return;
            }
        }
        self.table(name);
    }

    fn table(&mut self, name: &ObjectName) {
        match table(name, self.dialect) {
            Some(table) => {
                self.tables.insert(table.display(self.dialect), table);
            }
            None => self.beyond(name.to_string()),
        }
    }

    fn beyond(&mut self, what: String) {
        self.beyond.insert(what);
    }

    /// Records a function in the position of a table.
    fn table_function(&mut self, name: &ObjectName) {
        if let [part] = name.0.as_slice()
            && let Some(part) = part.as_ident()
            && UNFOLDING.contains(&part.value.to_ascii_lowercase().as_str())
        {
            return;
        }
        self.beyond(format!("{name}()"));
    }

    /// Records a function in an expression. Functions without a schema are built in.
    fn function(&mut self, function: &Function) {
        let first = function.name.0.first().and_then(|part| part.as_ident());
        let first = first.map(|part| part.value.to_ascii_lowercase()).unwrap_or_default();
        let own = match function.name.0.len() {
            1 => !RUNNING.contains(&first.as_str()),
            _ => first == "pg_catalog" || (self.dialect == Dialect::BigQuery && OWN.contains(&first.as_str())),
        };
        if !own {
            self.beyond(format!("{}()", function.name));
        }
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
            Statement::Query(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Merge(_)
            | Statement::Explain { .. }
            | Statement::ExplainTable { .. } => {}
            Statement::Insert(insert) => {
                // Never refers to the result of a query.
                if let TableObject::TableName(name) = &insert.table {
                    self.table(name);
                }
            }
            Statement::Call(function) => self.beyond(format!("CALL {}", function.name)),
            other => {
                let text = other.to_string();
                let words: Vec<&str> = text.split_whitespace().take(2).collect();
                self.beyond(words.join(" "));
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Infallible> {
        if let Some(with) = self.withs.last_mut() {
            with.at(query, true);
        }
        self.withs.push(With::of(query, self.dialect));
        self.tables_of(&query.body);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<Infallible> {
        self.withs.pop();
        if let Some(with) = self.withs.last_mut() {
            with.at(query, false);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Infallible> {
        if let Some(into) = &select.into {
            into.targets.iter().for_each(|name| self.beyond(format!("INTO {name}")));
        }
        self.froms.push(From::of(select, self.dialect));
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &Select) -> ControlFlow<Infallible> {
        self.froms.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Infallible> {
        if let Some(from) = self.froms.last_mut() {
            from.at(factor, true);
        }
        match factor {
            TableFactor::Table { name, args, .. } => {
                self.factor = name;
                if args.is_some() { self.table_function(name) } else { self.relation(name) }
            }
            TableFactor::Function { name, .. } => self.table_function(name),
            TableFactor::TableFunction { expr: Expr::Function(function), .. } => self.table_function(&function.name),
            TableFactor::TableFunction { expr, .. } => self.beyond(format!("TABLE({expr})")),
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
        if let Expr::Function(function) = expr {
            self.function(function);
        }
        ControlFlow::Continue(())
    }
}
