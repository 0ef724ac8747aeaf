//! Finds the columns of a listing that contain the name.

use std::sync::LazyLock;

use portcullis_document::definition::Kind;

use super::skipped::Kind as Skip;
use super::{CatalogError, Row, WrittenName, others};

/// The headings of the parts of a name in one kind of listing.
struct Layout {
    /// The headings of the database, in the order of preference. A listing may have none of them.
    catalogs: &'static [&'static str],
    schema: &'static str,
    table: &'static str,
}

const fn layout(catalogs: &'static [&'static str], schema: &'static str, table: &'static str) -> Layout {
    Layout { catalogs, schema, table }
}

/// The headings of a database beside `name`: with one of them, `name` is not a complete name.
const DATABASES: &[&str] = &["database_name", "catalog_name", "database", "catalog"];

/// Listings in which `name` is the name of the table: `SHOW TABLES` of Snowflake; `dbt ls` and `\dt` of psql. The other
/// ones are tables that people assemble, with the headings of their listing for the schema.
const NAMED: [Layout; 8] = [
    layout(DATABASES, "schema_name", "name"),
    layout(DATABASES, "schema", "name"),
    layout(&["table_catalog", "database_name", "catalog_name", "database", "catalog"], "table_schema", "name"),
    layout(&["table_cat", "database_name", "catalog_name", "database", "catalog"], "table_schem", "name"),
    layout(&["redshift_database_name", "database_name", "databasename", "database"], "schemaname", "name"),
    layout(&["project_id", "project", "database_name", "database"], "dataset_id", "name"),
    layout(&["projectid", "project", "database_name", "database"], "datasetid", "name"),
    layout(&["catalog"], "namespace", "name"),
];

/// All other listings. The first one whose schema and table exist is used.
const LAYOUTS: [Layout; 18] = [
    // `INFORMATION_SCHEMA.TABLES`, `system.information_schema.tables`, `SVV_TABLES`.
    layout(&["table_catalog"], "table_schema", "table_name"),
    // The metadata of JDBC.
    layout(&["table_cat"], "table_schem", "table_name"),
    // `SVV_ALL_TABLES` and `SVV_REDSHIFT_TABLES`.
    layout(DATABASES, "schema_name", "table_name"),
    // `SVV_EXTERNAL_TABLES`, `pg_tables`, `pg_views`, `pg_matviews`.
    layout(&["redshift_database_name", "database_name", "databasename", "database"], "schemaname", "tablename"),
    layout(DATABASES, "schemaname", "viewname"),
    layout(DATABASES, "schemaname", "matviewname"),
    // `SVV_TABLE_INFO`.
    layout(DATABASES, "schema", "table"),
    layout(DATABASES, "schema", "table_name"),
    // `SHOW TABLES` and `SHOW VIEWS` of Databricks, whose database is a schema.
    layout(&["catalog"], "namespace", "tablename"),
    layout(&["catalog"], "database", "tablename"),
    layout(&["catalog"], "namespace", "viewname"),
    // `ALL_TABLES`, `ALL_VIEWS` and `ALL_MVIEWS` of Oracle.
    layout(&[], "owner", "table_name"),
    layout(&[], "owner", "view_name"),
    layout(&[], "owner", "mview_name"),
    // `ALL_OBJECTS` of Oracle, in which only some objects are tables.
    layout(&[], "owner", others::OBJECT),
    // `__TABLES__` of BigQuery, and `bq ls --format=json`.
    layout(&["project_id"], "dataset_id", "table_id"),
    layout(&["projectid"], "datasetid", "tableid"),
    layout(&["catalog"], "schema", "tablename"),
];

/// Headings of a table.
const TABLES: &[&str] =
    &["name", "table_name", "tablename", "table", "view_name", "viewname", "mview_name", "matviewname"];

/// Headings that mean one thing: the table, the schema, the database. Two of them in one row must agree. Left out are those
/// that some listing has with another meaning beside one of the group: `table_id`, which may be a number, `owner`,
/// `catalog_name` of Iceberg tables in Snowflake, and `databasename` of external tables in Redshift.
const SYNONYMS: [&[&str]; 3] = [
    TABLES,
    &["schema_name", "schema", "table_schema", "table_schem", "schemaname", "namespace", "dataset_id", "datasetid"],
    &[
        "database_name",
        "database",
        "catalog",
        "table_catalog",
        "table_cat",
        "redshift_database_name",
        "project_id",
        "projectid",
        "project",
    ],
];

/// The heading of `dbt ls` for a complete name, which takes precedence over `name`.
const RELATION: &str = "relation_name";

/// The heading of `dbt ls` that says what a row is, and its values for tables and views.
const RESOURCE_TYPE: (&str, [&str; 4]) = ("resource_type", ["model", "seed", "snapshot", "source"]);

/// The headings of `dbt ls` that take precedence over `name`.
const ALIASES: [&str; 2] = ["alias", "identifier"];

/// The type of dbt for models, of which ephemeral ones are only a part of the queries of other models.
const MODEL: &str = "model";

/// The heading of dbt for how a model is stored, and its value for one that is not.
pub(super) const MATERIALIZED: (&str, &str) = ("materialized", "ephemeral");

/// The heading of Databricks for views that exist only in a session.
const TEMPORARY: &str = "istemporary";

/// Headings of the time of deletion, or of a flag: `SHOW TABLES HISTORY` and `ACCOUNT_USAGE.TABLES` of Snowflake,
/// `TABLE_STORAGE` of BigQuery, `ALL_TABLES` of Oracle, Unity Catalog.
const DROPPED: [&str; 5] = ["dropped_on", "deleted", "deleted_on", "deleted_at", "dropped"];

/// Texts of [`DROPPED`] for a table that exists.
const NOT_DROPPED: [&str; 10] = ["", "null", "none", "nan", "nat", "false", "f", "no", "n", "0"];

/// Every heading that is used.
pub(super) static HEADINGS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let parts = NAMED
        .iter()
        .chain(&LAYOUTS)
        .flat_map(|layout| layout.catalogs.iter().copied().chain([layout.schema, layout.table]));
    let single = ["connection", "name", "table_owner", "grantor", RELATION, RESOURCE_TYPE.0, MATERIALIZED.0, TEMPORARY];
    let all = parts.chain(single).chain(DROPPED).chain(ALIASES).chain(others::KINDS).chain(others::headings());
    let mut all: Vec<_> = all.collect();
    all.sort_unstable();
    all.dedup();
    all
});

/// Words of headings. A heading of other words is not repeated in an error: the first line of another file may be a
/// secret.
const WORDS: &[&str] = &[
    "access",
    "acl",
    "alias",
    "budget",
    "bytes",
    "catalog",
    "change",
    "cluster",
    "column",
    "comment",
    "connection",
    "count",
    "created",
    "current",
    "data",
    "database",
    "dataset",
    "date",
    "default",
    "description",
    "dropped",
    "email",
    "enabled",
    "encoded",
    "external",
    "format",
    "full",
    "has",
    "id",
    "identifier",
    "indexes",
    "information",
    "is",
    "key",
    "kind",
    "label",
    "labels",
    "last",
    "location",
    "modified",
    "name",
    "namespace",
    "number",
    "object",
    "on",
    "options",
    "owner",
    "path",
    "project",
    "provider",
    "redshift",
    "relation",
    "remarks",
    "resource",
    "retention",
    "role",
    "row",
    "rows",
    "rules",
    "schema",
    "schemas",
    "size",
    "source",
    "space",
    "status",
    "storage",
    "table",
    "tables",
    "tablespace",
    "tags",
    "temporary",
    "text",
    "time",
    "title",
    "tracking",
    "triggers",
    "type",
    "unique",
    "updated",
    "url",
    "user",
    "version",
    "view",
];

/// The indexes of the columns of a name.
#[derive(Clone)]
pub(super) struct Columns {
    connection: Option<usize>,
    name: Named,
    /// Other columns with the meaning of a part of the name, each with that part.
    synonyms: Vec<(Part, Part)>,
    resource_type: Option<usize>,
    /// In a listing of dbt, how a model is stored, and its complete name.
    materialized: Option<usize>,
    relation: Option<usize>,
    temporary: Option<usize>,
    dropped: Vec<usize>,
    /// The kind of a row, beside the heading of its table.
    kind: Option<(Part, &'static str)>,
}

#[derive(Clone)]
enum Named {
    Whole(Part),
    Parts {
        catalog: Option<Part>,
        schema: Part,
        /// The columns of the table: the first one with a value counts.
        tables: Vec<Part>,
    },
}

#[derive(Clone, Copy)]
struct Part {
    at: usize,
    heading: &'static str,
}

/// The value of a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'v> {
    Text(&'v str),
    Flag(bool),
    Null,
    /// A value of another type.
    Other(Kind),
}

impl Columns {
    /// Finds the columns of a table by its heading, in any case.
    pub(super) fn of_heading<'h>(heading: impl Iterator<Item = &'h [u8]> + Clone) -> Result<Self, CatalogError> {
        let all = heading.clone();
        Self::of(
            move |name| {
                let named = |(_, found): &(usize, &[u8])| found.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
                let mut indexes = (0_usize..).zip(heading.clone()).filter(named);
                match (indexes.next(), indexes.next()) {
                    (_, Some(_)) => Err(CatalogError::Twice(name)),
                    (first, None) => Ok(first.map(|(index, _)| index)),
                }
            },
            all,
        )
    }

    /// Finds the columns with `find`, which returns the index of a heading.
    pub(super) fn of<'h>(
        mut find: impl FnMut(&'static str) -> Result<Option<usize>, CatalogError>,
        heading: impl Iterator<Item = &'h [u8]> + Clone,
    ) -> Result<Self, CatalogError> {
        let mut part = |heading| Ok::<_, CatalogError>(find(heading)?.map(|at| Part { at, heading }));
        let mut first = |headings: &[&'static str]| {
            for heading in headings {
                if let Some(part) = part(heading)? {
                    return Ok(Some(part));
                }
            }
            Ok::<_, CatalogError>(None)
        };
        let name = first(&["name"])?;
        let resource_type = first(&[RESOURCE_TYPE.0])?;
        let mut found = None;
        for layout in if name.is_some() { NAMED.as_slice() } else { LAYOUTS.as_slice() } {
            let (Some(schema), Some(table)) = (first(&[layout.schema])?, first(&[layout.table])?) else { continue };
            let mut tables = Vec::new();
            if resource_type.is_some() {
                for alias in ALIASES {
                    tables.extend(first(&[alias])?);
                }
            }
            tables.push(table);
            found = Some(Named::Parts { catalog: first(layout.catalogs)?, schema, tables });
            break;
        }
        let connection = first(&["connection"])?;
        let relation = first(&[RELATION])?;
        let databases = first(DATABASES)?;
        let temporary = first(&[TEMPORARY])?;
        let materialized = if resource_type.is_some() { first(&[MATERIALIZED.0])? } else { None };
        let mut dropped = Vec::new();
        for heading in DROPPED {
            dropped.extend(first(&[heading])?.map(|part| part.at));
        }
        let name = match (found, relation, name) {
            (Some(parts), ..) => parts,
            (None, Some(relation), _) => Named::Whole(relation),
            // A listing of schemas has a database, and no listing has a connection. In `dbt ls`, `name` is only a table.
            (None, None, Some(name)) if resource_type.is_none() && (connection.is_some() || databases.is_none()) => {
                Named::Whole(name)
            }
            _ => {
                let mut has = |heading| Ok(first(&[heading])?.is_some());
                return Err(match others::listed(&mut has, heading.clone())? {
                    Some(objects) => CatalogError::Other { objects, found: shown(heading), query: others::query(has)? },
                    None => CatalogError::Columns(shown(heading)),
                });
            }
        };
        // No listing has a connection: beside it, `name` is complete.
        if connection.is_none() || !matches!(name, Named::Whole(_)) {
            let mut has = |heading| Ok(first(&[heading])?.is_some());
            if let Some(objects) = others::listed(&mut has, heading.clone())? {
                return Err(CatalogError::Other { objects, found: shown(heading), query: others::query(has)? });
            }
        }
        let kind = match &name {
            Named::Parts { tables, .. } => match (first(&others::KINDS)?, tables.first()) {
                (Some(kind), Some(table)) if table.heading != others::OBJECT || kind.heading == others::OBJECT_TYPE => {
                    Some((kind, table.heading))
                }
                (_, Some(table)) if table.heading == others::OBJECT => return Err(CatalogError::Untyped),
                _ => None,
            },
            Named::Whole(_) => None,
        };
        let used: Vec<Part> = match &name {
            Named::Whole(name) => vec![*name],
            Named::Parts { catalog, schema, tables } => catalog.iter().chain([schema]).chain(tables).copied().collect(),
        };
        let mut synonyms = Vec::new();
        for part in &used {
            // An alias of dbt is the table, and the name another text.
            let is_of_dbt = resource_type.is_some() && TABLES.contains(&part.heading);
            let group = SYNONYMS.iter().find(|group| group.contains(&part.heading) && !is_of_dbt);
            for other in group.into_iter().flat_map(|group| *group) {
                if used.iter().all(|part| part.heading != *other)
                    && let Some(other) = first(&[other])?
                {
                    synonyms.push((*part, other));
                }
            }
        }
        Ok(Self {
            connection: connection.map(|part| part.at),
            name,
            synonyms,
            resource_type: resource_type.map(|part| part.at),
            materialized: materialized.map(|part| part.at),
            relation: relation.filter(|_| resource_type.is_some()).map(|part| part.at),
            dropped,
            temporary: temporary.map(|part| part.at),
            kind,
        })
    }

    /// Ignores the kind of rows if `is_text` is false for its index: then it is not the kind that a listing has.
    #[cfg(feature = "parquet")]
    pub(super) fn check_kind(&mut self, is_text: impl Fn(usize) -> bool) {
        self.kind = self.kind.filter(|(kind, table)| *table == others::OBJECT || is_text(kind.at));
    }

    /// Whether the column at this index may have values other than text: times and flags.
    #[cfg(feature = "parquet")]
    pub(super) fn is_any(&self, index: usize) -> bool {
        self.dropped.contains(&index) || self.temporary == Some(index)
    }

    /// Returns the indexes of all columns, ascending.
    #[cfg(feature = "parquet")]
    pub(super) fn indexes(&self) -> Vec<usize> {
        let mut indexes: Vec<usize> = match &self.name {
            Named::Whole(name) => vec![name.at],
            Named::Parts { catalog, schema, tables } => {
                catalog.iter().chain([schema]).chain(tables).map(|part| part.at).collect()
            }
        };
        indexes.extend([self.connection, self.resource_type, self.materialized, self.relation].into_iter().flatten());
        indexes.extend(&self.dropped);
        indexes.extend(self.temporary);
        indexes.extend(self.kind.map(|(kind, _)| kind.at));
        indexes.extend(self.synonyms.iter().map(|(_, other)| other.at));
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    }

    /// Builds the row of a line; its kind for a row of a listing that is not a table or view that outlives its session.
    /// `field` returns the value of a column by index.
    pub(super) fn row<'r>(
        &self,
        line: u64,
        field: impl Fn(usize) -> Result<Value<'r>, &'static str>,
    ) -> Result<Result<Row<'r>, Skip>, String> {
        let text = |at: usize, column: &str| match field(at)? {
            Value::Text(text) if text.trim() != text => Err(format!("`{column}` has white space around its value")),
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            Value::Flag(_) => Err(format!("`{column}`: expected a string, found {}", Kind::Boolean)),
            Value::Other(kind) => Err(format!("`{column}`: expected a string, found {kind}")),
        };
        let filled = |at: usize, column: &str| text(at, column)?.ok_or_else(|| format!("`{column}` is null"));
        let given = |at: Option<usize>, column: &str| {
            let given = at.map(|at| text(at, column)).transpose()?.flatten();
            Ok::<_, String>(given.filter(|text| !text.is_empty()))
        };
        if let Some(at) = self.temporary
            && let Value::Flag(true) | Value::Text("true" | "TRUE" | "True") = field(at)?
        {
            return Ok(Err(Skip::Known("temporary")));
        }
        for at in &self.dropped {
            let is_dropped = match field(*at)? {
                Value::Text(text) => !NOT_DROPPED.iter().any(|not| not.eq_ignore_ascii_case(text.trim())),
                Value::Flag(flag) => flag,
                Value::Null => false,
                Value::Other(_) => true,
            };
            if is_dropped {
                return Ok(Err(Skip::Known("dropped")));
            }
        }
        if let Some(kind) = given(self.resource_type, RESOURCE_TYPE.0)? {
            if !RESOURCE_TYPE.1.contains(&kind) {
                return Ok(Err(Skip::typed(kind)));
            }
            let is_ephemeral = match self.materialized {
                Some(at) => matches!(field(at)?, Value::Text(text) if text == MATERIALIZED.1),
                None => false,
            };
            let has_name = self.relation.is_none() || given(self.relation, RELATION)?.is_some();
            if kind == MODEL && (is_ephemeral || !has_name) {
                return Ok(Err(Skip::Known("ephemeral")));
            }
        }
        if let Some((kind, table)) = self.kind {
            match field(kind.at)? {
                Value::Text(text) if others::is_other(table, text.trim()) => return Ok(Err(Skip::typed(text.trim()))),
                Value::Null | Value::Flag(_) | Value::Other(_) if table == others::OBJECT => {
                    return Err(format!("`{}`: expected the type of the object", kind.heading));
                }
                _ => {}
            }
        }
        for (part, other) in &self.synonyms {
            let (Some(own), Some(found)) = (given(Some(part.at), part.heading)?, given(Some(other.at), other.heading)?)
            else {
                continue;
            };
            let is_whole = matches!(self.name, Named::Whole(_));
            if own != found && !(is_whole && last_segment(own) == found) {
                return Err(format!(
                    "`{}` and `{}` have different values: leave out one of the two columns",
                    part.heading, other.heading
                ));
            }
        }
        let name = match &self.name {
            Named::Whole(part) => WrittenName::Whole(filled(part.at, part.heading)?),
            Named::Parts { catalog, schema, tables } => {
                let mut table = None;
                for part in tables {
                    table = table.or(given(Some(part.at), part.heading)?.map(|text| (text, part.heading)));
                }
                let (table, heading) = match (table, tables.last()) {
                    (Some((text, "name")), _) if text.contains('.') => {
                        return Err(format!(
                            "`name` has a dot, and may be complete: leave out `{}`, or `name` must be the table alone",
                            schema.heading
                        ));
                    }
                    (Some(table), _) => table,
                    (None, Some(last)) => (filled(last.at, last.heading)?, last.heading),
                    (None, None) => return Err("there is no table".to_owned()),
                };
                let catalog = match catalog {
                    Some(part) => given(Some(part.at), part.heading)?.map(|text| bare(text, part.heading)),
                    None => None,
                };
                WrittenName::Parts {
                    catalog: catalog.transpose()?,
                    schema: bare(filled(schema.at, schema.heading)?, schema.heading)?,
                    table: bare(table, heading)?,
                    unquoted: self.resource_type.is_some(),
                }
            }
        };
        Ok(Ok(Row { line, connection: given(self.connection, "connection")?, name }))
    }
}

/// Returns the part of a complete name after its last dot, without quotes.
fn last_segment(name: &str) -> &str {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.trim_matches(['"', '`'])
}

/// Returns a part of a name, which a listing writes without quotes. Quotes around the part would become part of its name.
fn bare<'v>(part: &'v str, heading: &str) -> Result<&'v str, String> {
    let is_quoted = |quote| part.len() > 1 && part.starts_with(quote) && part.ends_with(quote);
    if is_quoted('"') || is_quoted('`') {
        return Err(format!("`{heading}` is quoted: expected the part of the name without quotes"));
    }
    Ok(part)
}

/// Lists the headings of known words, and the number of the other ones.
fn shown<'h>(heading: impl Iterator<Item = &'h [u8]>) -> String {
    let (mut shown, mut hidden) = (Vec::new(), 0_usize);
    for name in heading {
        match std::str::from_utf8(name.trim_ascii()) {
            Ok("") => {}
            Ok(name) if is_known(name) && shown.len() < 20 => shown.push(format!("`{name}`")),
            _ => hidden += 1,
        }
    }
    let others = if hidden == 1 { "1 other column".to_owned() } else { format!("{hidden} other columns") };
    match (shown.is_empty(), hidden) {
        (true, 0) => "none".to_owned(),
        (true, _) => others,
        (false, 0) => shown.join(", "),
        (false, _) => format!("{} and {others}", shown.join(", ")),
    }
}

/// Whether the heading consists of known words, as in `table_name`, `Table Name` and `tableName`.
fn is_known(heading: &str) -> bool {
    if HEADINGS.iter().any(|known| known.eq_ignore_ascii_case(heading)) {
        return true;
    }
    let mut spaced = String::with_capacity(heading.len());
    let mut lower = false;
    for character in heading.chars() {
        if lower && character.is_ascii_uppercase() {
            spaced.push(' ');
        }
        lower = character.is_ascii_lowercase();
        spaced.push(character.to_ascii_lowercase());
    }
    spaced.split([' ', '_']).all(|word| WORDS.contains(&word))
}
