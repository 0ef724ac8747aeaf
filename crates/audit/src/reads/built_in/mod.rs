//! Knows the functions of each warehouse that read only their arguments.
//!
//! A function that is not in a list may be one that people create, and may read any table. The lists have no functions that
//! read tables or files which their arguments name.

use std::collections::HashSet;
use std::sync::LazyLock;

use portcullis::name::Dialect;

/// The functions of all warehouses.
const COMMON: &str = include_str!("common.txt");

const BIGQUERY: &str = include_str!("bigquery.txt");
const DATABRICKS: &str = include_str!("databricks.txt");
const ORACLE: &str = include_str!("oracle.txt");
const POSTGRES: &str = include_str!("postgres.txt");
const REDSHIFT: &str = include_str!("redshift.txt");
const SNOWFLAKE: &str = include_str!("snowflake.txt");

/// The prefixes of the functions for geometries and for cells of grids.
const PREFIXES: &[&str] = &["h3_", "quadbin_", "s2_", "st_"];

/// The lists of the warehouses, and of all together.
static NAMES: LazyLock<[HashSet<&'static str>; 7]> = LazyLock::new(|| {
    let own = [BIGQUERY, DATABRICKS, ORACLE, POSTGRES, REDSHIFT, SNOWFLAKE];
    let of = |lists: &[&'static str]| lists.iter().flat_map(|list| list.split_whitespace()).collect();
    let one = |list| of(&[COMMON, list]);
    let [bigquery, databricks, oracle, postgres, redshift, snowflake] = own.map(one);
    let all = of(&[COMMON, BIGQUERY, DATABRICKS, ORACLE, POSTGRES, REDSHIFT, SNOWFLAKE]);
    [bigquery, databricks, oracle, postgres, redshift, snowflake, all]
});

/// Whether the function with the lower-case `name` reads only its arguments.
pub(super) fn is_built_in(name: &str, dialect: Dialect) -> bool {
    let [bigquery, databricks, oracle, postgres, redshift, snowflake, all] = &*NAMES;
    let names = match dialect {
        Dialect::BigQuery => bigquery,
        Dialect::Databricks => databricks,
        Dialect::Oracle => oracle,
        Dialect::Postgres => postgres,
        Dialect::Redshift | Dialect::RedshiftCaseSensitive => redshift,
        Dialect::Snowflake => snowflake,
        Dialect::Generic => all,
    };
    names.contains(name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}
