//! Recognizes listings of objects that are not tables, such as columns and indexes.
//!
//! Many of these listings have the headings of a table, too: `ALL_INDEXES` has an owner and a table. Their rows would be
//! read as tables of the wrong schema, or as tables that do not exist.

use super::CatalogError;

/// A kind of object, and headings that no listing of tables has.
struct Other {
    /// The plural of the kind.
    objects: &'static str,
    headings: &'static [&'static str],
}

const fn other(objects: &'static str, headings: &'static [&'static str]) -> Other {
    Other { objects, headings }
}

/// The first kind with a heading of the listing is reported.
const OTHERS: [Other; 36] = [
    other("privileges", &["privilege", "privilege_type", "grantee", "grantee_name", "granted_on", "granted_to"]),
    other("synonyms", &["synonym_name"]),
    other("indexes", &["index_name", "indexname", "index_type", "key_name"]),
    other("triggers", &["trigger_name", "action_orientation"]),
    other("constraints", &["constraint_name", "constraint_type", "pk_name", "fk_name"]),
    other("columns", &["column_name", "columnname", "column", "col_name", "attname", "field_path"]),
    other("partitions", &["partition_name", "partition_id", "subpartition_name", "values"]),
    other("options", &["option_name"]),
    other("tags", &["tag_name", "allowed_values"]),
    other("policies", &["policy_name", "policyname", "filter_name"]),
    other("rules", &["rulename"]),
    other("statistics", &["statistics_name", "ndistinct"]),
    other("log groups", &["log_group_name"]),
    other("dependencies", &["referenced_name", "view_schema"]),
    // The functions and operators of psql, and the routines of the other ones.
    other("functions", &["argument data types", "min_num_arguments", "function_name"]),
    other("routines", &["routine_name", "specific_name", "procedure_name"]),
    other("operators", &["left arg type"]),
    other("domains", &["nullable"]),
    other("collations", &["deterministic?"]),
    other("extensions", &["default version"]),
    other("sequences", &["sequence_name", "sequencename", "next_value"]),
    // The other ones are listings of `SHOW` in Snowflake.
    other("stages", &["has_credentials", "stage_name"]),
    other("streams", &["stale_after"]),
    other("tasks", &["predecessors"]),
    other("pipes", &["error_integration", "pipe_name"]),
    other("file formats", &["format_options"]),
    other("secrets", &["secret_type"]),
    other("models", &["model_type"]),
    other("image repositories", &["repository_url"]),
    other("git repositories", &["git_credentials"]),
    other("services", &["compute_pool"]),
    other("apps", &["url_id"]),
    other("search services", &["search_column"]),
    other("network rules", &["entries_in_valuelist"]),
    other("shares", &["share_name"]),
    other("views and the tables that they read", &["view_catalog"]),
];

/// Headings of psql that are exactly those of another listing, in their order.
const WHOLE: [(&str, &[&str]); 2] =
    [("types", &["schema", "name", "description"]), ("extensions", &["name", "version", "schema", "description"])];

/// Every heading of another listing.
pub(super) fn headings() -> impl Iterator<Item = &'static str> {
    OTHERS.iter().flat_map(|other| other.headings).copied()
}

/// Returns the objects that a listing with this heading contains, unless they may be tables.
pub(super) fn listed<'h>(
    mut has: impl FnMut(&'static str) -> Result<bool, CatalogError>,
    heading: impl Iterator<Item = &'h [u8]>,
) -> Result<Option<&'static str>, CatalogError> {
    for other in &OTHERS {
        for heading in other.headings {
            if has(heading)? {
                return Ok(Some(other.objects));
            }
        }
    }
    let heading: Vec<&[u8]> = heading.map(<[u8]>::trim_ascii).collect();
    let is_heading = |names: &[&str]| {
        names.len() == heading.len()
            && names.iter().zip(&heading).all(|(name, found)| name.as_bytes().eq_ignore_ascii_case(found))
    };
    Ok(WHOLE.iter().find(|(_, names)| is_heading(names)).map(|(objects, _)| *objects))
}

/// The query that lists tables, in Oracle and in the other warehouses.
const OF_ORACLE: &str = "SELECT owner, table_name FROM all_tables UNION ALL SELECT owner, view_name FROM all_views";
const OF_OTHERS: &str = "SELECT table_catalog, table_schema, table_name FROM information_schema.tables";

/// Returns a query that lists tables where a listing has these headings.
pub(super) fn query(
    mut has: impl FnMut(&'static str) -> Result<bool, CatalogError>,
) -> Result<&'static str, CatalogError> {
    let has_owner = has("owner")? || has("table_owner")? || has("table_schema")? && has("grantor")?;
    let has_schema = has("schema_name")? || has("database_name")? || has("table_catalog")?;
    Ok(if has_owner && !has_schema { OF_ORACLE } else { OF_OTHERS })
}

/// The heading of the names of `ALL_OBJECTS` in Oracle, of which only some are tables.
pub(super) const OBJECT: &str = "object_name";

/// The heading of the kind of an object, which a row beside [`OBJECT`] needs.
pub(super) const OBJECT_TYPE: &str = "object_type";

/// The headings of the kind of a row.
pub(super) const KINDS: [&str; 5] = [OBJECT_TYPE, "table_type", "tabletype", "kind", "type"];

/// The kinds of objects in listings of tables, of objects and in the metadata of JDBC that are not tables.
const NOT_TABLES: &[&str] = &[
    "agg",
    "func",
    "function",
    "index",
    "package",
    "partitioned index",
    "proc",
    "procedure",
    "routine",
    "sequence",
    "system index",
    "temporary index",
    "temporary sequence",
    "trigger",
    "type",
    "window",
];

/// Whether a row is not a table or view. A synonym is one: a query reads its table by the name of the synonym.
///
/// In `ALL_OBJECTS`, a materialized view is a table as well.
pub(super) fn is_other(table: &str, kind: &str) -> bool {
    let is = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(kind));
    if table == OBJECT { !is(&["table", "view", "synonym"]) } else { is(NOT_TABLES) || kind.ends_with("_POLICY") }
}
