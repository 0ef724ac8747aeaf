//! Compares the reads of queries with the cases of `tests/data`.

use serde::Deserialize;

use super::reads;
use portcullis::name::Dialect;

const CASES: &str = include_str!("../../../../../tests/data/reads.json");
const EXCERPTS: &str = include_str!("../../../../../tests/data/reads-sqlglot.json");

/// The start of the entry for syntax that the parser does not know.
const UNKNOWN: &str = "unknown syntax at ";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    dialect: String,
    sql: String,
    /// `None` if the query cannot be read.
    tables: Option<Vec<String>>,
    #[serde(default)]
    beyond: Vec<String>,
    /// Whether the parser does not know the syntax.
    #[serde(default)]
    scanned: bool,
    #[serde(default, rename = "why")]
    _why: String,
}

#[test]
fn queries_read_the_tables_of_the_cases() {
    for cases in [CASES, EXCERPTS] {
        let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
        let wrong: Vec<_> = cases.iter().filter_map(wrong).collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

/// Returns the query and what it reads, if that differs from the case.
fn wrong(case: &Case) -> Option<String> {
    let dialect: Dialect = case.dialect.parse().unwrap();
    let found = reads(&case.sql, dialect).map(|reads| {
        let tables: Vec<String> = reads.tables.iter().map(|table| table.display(dialect)).collect();
        let (unknown, beyond) = reads.beyond.into_iter().partition::<Vec<_>, _>(|what| what.starts_with(UNKNOWN));
        (tables, beyond, !unknown.is_empty())
    });
    let is_right = match (&found, &case.tables) {
        (Ok((tables, beyond, scanned)), Some(expected)) => {
            tables == expected && *beyond == case.beyond && *scanned == case.scanned
        }
        (Err(_), None) => true,
        _ => false,
    };
    (!is_right).then(|| format!("{dialect}: {}: {found:?}", case.sql))
}
