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
const OTHERS: [Other; 58] = [
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
    other(
        "functions",
        &[
            "argument data types",
            "min_num_arguments",
            "function_name",
            "function_id",
            "full_data_type",
            "routine_definition",
            "input_params",
        ],
    ),
    other("routines", &["routine_name", "specific_name", "procedure_name", "routinereference", "routine_type"]),
    other("operators", &["left arg type"]),
    other("domains", &["nullable"]),
    other("collations", &["deterministic?"]),
    other("extensions", &["default version"]),
    other("sequences", &["sequence_name", "sequencename", "next_value"]),
    // The other ones are listings of `SHOW` in Snowflake.
    other("stages", &["has_credentials", "has_encryption_key", "directory_enabled", "stage_name"]),
    other("streams", &["stale_after"]),
    other("tasks", &["predecessors", "allow_overlapping_execution", "task_name"]),
    other("alerts", &["schedule", "condition"]),
    other("pipes", &["error_integration", "pipe_name"]),
    other("file formats", &["format_options"]),
    other("secrets", &["secret_type"]),
    other(
        "models",
        &["model_type", "model_name", "default_version_name", "modelreference", "modeltype", "registered_model_name"],
    ),
    other("volumes", &["volume_type", "volume_name", "volume_id"]),
    other("image repositories", &["repository_url"]),
    other("git repositories", &["git_credentials", "api_integration"]),
    other("services", &["compute_pool", "dns_name", "service_name"]),
    other("apps and notebooks", &["url_id", "query_warehouse"]),
    other("search services", &["search_column"]),
    other("network rules", &["entries_in_valuelist"]),
    other("datasets", &["datasetreference", "default_table_expiration_ms"]),
    other("instances of a class", &["current_version"]),
    other("shares", &["share_name", "owner_account", "listing_global_name"]),
    // Listings of `SHOW` for the whole account, whose `name` is not the name of a table.
    other("warehouses", &["auto_suspend", "auto_resume", "resource_monitor", "min_cluster_count", "warehouse_type"]),
    other("users", &["login_name", "has_password", "must_change_password", "days_to_expiry", "usename"]),
    other("roles", &["assigned_to_users", "granted_to_roles", "granted_roles", "role_name", "rolname"]),
    other("databases or schemas", &["is_current", "is_default", "schema_owner", "datdba", "nspowner"]),
    other("integrations", &["category", "integration_type"]),
    other("resource monitors", &["credit_quota"]),
    other("compute pools", &["instance_family", "min_nodes"]),
    other("external volumes", &["allow_writes"]),
    other("network policies", &["entries_in_allowed_ip_list"]),
    other("replication groups", &["snowflake_region", "replication_schedule"]),
    other("applications", &["upgrade_state"]),
    other("listings", &["global_name"]),
    other("transactions", &["session_id"]),
    other("external connections", &["connection_type", "credential_type", "credential_name"]),
    other("recipients", &["authentication_type", "recipient_name", "activation_link"]),
    other("locations", &["credential_id", "storage_credential_name"]),
    other("data sources", &["source_definition"]),
    other("jobs", &["job_name"]),
    other("views and the tables that they read", &["view_catalog"]),
];

/// The kinds of listings with `name`, and headings that no listing of tables has beside it. `pg_views` has a definition
/// beside `viewname`.
const BESIDE_NAME: [Other; 4] = [
    other("pipes", &["definition"]),
    other("agents", &["profile"]),
    other("datasets", &["versions"]),
    other("lines of code", &["line"]),
];

/// The heading of the objects of Unity Catalog, and the heading that only its tables have.
const UNITY: (&str, &str) = ("metastore_id", "table_type");

/// Headings of psql that are exactly those of another listing, in their order.
const WHOLE: [(&str, &[&str]); 2] =
    [("types", &["schema", "name", "description"]), ("extensions", &["name", "version", "schema", "description"])];

/// Every heading of another listing.
pub(super) fn headings() -> impl Iterator<Item = &'static str> {
    OTHERS.iter().chain(&BESIDE_NAME).flat_map(|other| other.headings).copied().chain([UNITY.0])
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
    for Other { objects, headings } in &BESIDE_NAME {
        for heading in *headings {
            if has("name")? && !has("connection")? && has(heading)? {
                return Ok(Some(objects));
            }
        }
    }
    if has(UNITY.0)? && !has(UNITY.1)? {
        return Ok(Some("objects of Unity Catalog, such as models"));
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
