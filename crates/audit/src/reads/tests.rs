//! What queries read: by table, and against queries made from the tables that they read.

mod cases;
mod scan;

use proptest::prelude::*;

use super::reads;
use Dialect::{BigQuery, Databricks, Generic, Oracle, Postgres, Redshift, Snowflake};
use portcullis::name::Dialect;

/// The tables of a query; after `?`, the calls beyond the tables.
fn of(sql: &str, dialect: Dialect) -> String {
    match reads(sql, dialect) {
        Ok(reads) => {
            let tables: Vec<String> = reads.tables.iter().map(|table| table.display(dialect)).collect();
            let beyond: Vec<&str> = reads.beyond.iter().flat_map(|what| [" ? ", what.as_str()]).collect();
            tables.join(" ") + &beyond.concat()
        }
        Err(error) => format!("! {error}"),
    }
}

#[test]
fn tables_are_read_wherever_they_stand() {
    let cases = [
        (Generic, "SELECT 1", ""),
        (Generic, "select * from db.s.roads", "db.s.roads"),
        (
            Generic,
            "SELECT * FROM a.b, c.d JOIN e.f ON true LEFT JOIN (g.h CROSS JOIN i.j) USING (id)",
            "a.b c.d e.f g.h i.j",
        ),
        (
            Generic,
            "SELECT (SELECT max(x) FROM a.b) FROM c.d WHERE y IN (SELECT y FROM e.f) AND EXISTS (SELECT 1 FROM g.h) ORDER BY (SELECT 1 FROM i.j)",
            "a.b c.d e.f g.h i.j",
        ),
        (Generic, "SELECT * FROM a.b UNION ALL (SELECT * FROM c.d EXCEPT SELECT * FROM e.f)", "a.b c.d e.f"),
        (Generic, "SELECT * FROM (SELECT * FROM (SELECT * FROM a.b) AS x) AS y", "a.b"),
        (Generic, "VALUES (1, (SELECT x FROM a.b))", "a.b"),
        (Generic, "SELECT * FROM a.b; SELECT * FROM c.d;", "a.b c.d"),
        (Generic, "SELECT 'FROM c.d' /* FROM e.f */ FROM a.b -- FROM g.h", "a.b"),
        (Generic, "SELECT * FROM a.b AS x, a.b AS y", "a.b"),
        // Names of `WITH` queries, where they are visible.
        (Generic, "WITH x AS (SELECT * FROM a.b), y AS (SELECT * FROM x) SELECT * FROM y JOIN x USING (id)", "a.b"),
        (Generic, "WITH x AS (SELECT * FROM y), y AS (SELECT * FROM a.b) SELECT * FROM x, y", "a.b y"),
        (Generic, "WITH x AS (SELECT * FROM x) SELECT * FROM x", "x"),
        (Generic, "WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT * FROM x) SELECT * FROM x", ""),
        (Postgres, "WITH RECURSIVE x AS (SELECT * FROM y), y AS (SELECT 1) SELECT * FROM x", ""),
        (Generic, "SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) AS q, x", "x"),
        (Generic, "WITH x AS (SELECT 1) SELECT * FROM (WITH x AS (SELECT * FROM x) SELECT * FROM x) AS q", ""),
        (Generic, "WITH x AS (SELECT 1) SELECT * FROM s.x", "s.x"),
        (
            Generic,
            "WITH x AS (SELECT 1) SELECT * FROM a.b WHERE i IN (SELECT i FROM x UNION SELECT i FROM c.d)",
            "a.b c.d",
        ),
        (Snowflake, "WITH x AS (SELECT 1 UNION ALL SELECT * FROM X) SELECT * FROM \"X\"", ""),
        (Snowflake, "WITH x AS (SELECT * FROM x) SELECT * FROM \"x\"", "\"x\" X"),
        (Oracle, "WITH x(n) AS (SELECT 1 FROM dual UNION ALL SELECT n + 1 FROM x) SELECT * FROM x", ""),
        (BigQuery, "WITH Recent AS (SELECT * FROM p.d.t) SELECT * FROM recent", "p.d.t"),
        // Names as each dialect writes them.
        (BigQuery, "SELECT * FROM `a-b.c.d`, `e`.`f`.`g`, h-i.j.k, `l.m`.n", "a-b.c.d e.f.g h-i.j.k l.m.n"),
        (BigQuery, "SELECT * FROM `p.d.events_*` WHERE _TABLE_SUFFIX > '2024'", "p.d.events_*"),
        (BigQuery, "SELECT * FROM `example.com:p.d.t`, `example.com:p`.d.u", "example.com:p.d.t example.com:p.d.u"),
        (BigQuery, "SELECT * FROM p.d.INFORMATION_SCHEMA.TABLES", "p.d.INFORMATION_SCHEMA.TABLES"),
        (BigQuery, "SELECT * FROM p.d.t FOR SYSTEM_TIME AS OF TIMESTAMP '2024-01-01'", "p.d.t"),
        (BigQuery, "FROM p.d.t |> JOIN p.d.u USING (id) |> WHERE x IN (SELECT x FROM p.d.v)", "p.d.t p.d.u p.d.v"),
        (Snowflake, "SELECT * FROM Db.s.\"t\", \"a.b\".c.D$1", "\"a.b\".C.D$1 DB.S.\"t\""),
        (Snowflake, "SELECT * FROM IDENTIFIER('db.s.t')", "DB.S.T"),
        (Snowflake, "SELECT * FROM IDENTIFIER($t)", " ? IDENTIFIER($t)"),
        (Snowflake, "SELECT * FROM @stage/path, db.s.t", "DB.S.T ? @stage/path"),
        (Postgres, "SELECT * FROM ONLY Public.Roads, \"Public\".\"a\"\"b\"", "\"Public\".\"a\"\"b\" public.roads"),
        (Postgres, "TABLE public.roads", "public.roads"),
        (Postgres, "SELECT 1 UNION TABLE b.c", "b.c"),
        (Databricks, "SELECT * FROM Main.`Sales`.`a.b`", "main.sales.`a.b`"),
        (Redshift, "SELECT * FROM Sales.Orders", "sales.orders"),
        (Oracle, "SELECT * FROM Hr.\"Emp\"", "HR.\"Emp\""),
        // Paths of arrays are no tables, where they begin with an alias.
        (BigQuery, "SELECT * FROM p.d.t AS x, x.items, UNNEST(x.tags)", "p.d.t"),
        (BigQuery, "SELECT * FROM x.items, p.d.t AS x", "p.d.t x.items"),
        (BigQuery, "SELECT (SELECT COUNT(*) FROM t.items) FROM p.d.t", "p.d.t"),
        (BigQuery, "SELECT * FROM p.d.t CROSS JOIN t.items AS i JOIN i.parts", "p.d.t"),
        (Postgres, "SELECT * FROM a.t AS x, x.items", "a.t x.items"),
        // Names that are not tables, and calls beyond the tables.
        (Postgres, "SELECT * FROM generate_series(1, 3), a.b, LATERAL jsonb_each(b.data)", "a.b"),
        (Postgres, "SELECT * FROM dblink('x', 'SELECT 1') AS t(i int)", " ? dblink()"),
        (Postgres, "SELECT query_to_xml('SELECT * FROM a.b', true, true, '')", "a.b ? query_to_xml()"),
        (Snowflake, "SELECT * FROM db.s.t, LATERAL FLATTEN(input => t.v), TABLE(SPLIT_TO_TABLE('a', ','))", "DB.S.T"),
        (Snowflake, "SELECT * FROM TABLE(db.s.report(1))", " ? db.s.report()"),
        (BigQuery, "SELECT carto.H3_CENTER(SAFE.SUBSTR(h, 1)), ST_AREA(g) FROM p.d.t", "p.d.t ? carto.H3_CENTER()"),
        (BigQuery, "SELECT * FROM EXTERNAL_QUERY('c', 'SELECT 1')", " ? EXTERNAL_QUERY()"),
        (Generic, "CALL db.s.refresh(1)", " ? CALL db.s.refresh"),
        // Statements that change data.
        (
            Postgres,
            "WITH gone AS (DELETE FROM a.b USING c.d WHERE b.i = d.i RETURNING *) SELECT * FROM gone",
            "a.b c.d",
        ),
        (Postgres, "INSERT INTO a.b SELECT * FROM c.d", "a.b c.d"),
        (Postgres, "WITH b AS (SELECT 1) INSERT INTO b SELECT * FROM b", "b"),
        (Postgres, "UPDATE a.b SET x = (SELECT 1 FROM c.d) FROM e.f", "a.b c.d e.f"),
        (Snowflake, "MERGE INTO a.b USING c.d ON b.i = d.i WHEN MATCHED THEN DELETE", "A.B C.D"),
        (Generic, "EXPLAIN SELECT * FROM a.b", "a.b"),
        (Postgres, "SELECT * INTO a.c FROM a.b", "a.b a.c ? INTO a.c"),
        (Generic, "DROP TABLE a.b", "a.b ? DROP TABLE"),
        // Text that cannot be parsed is an error.
        (Generic, "SELECT * FRM a.b", "! line 1, column 10: expected end of statement, found FRM"),
        (Generic, "SELECT *\nFROM a.b WHERE", "! expected an expression, found EOF"),
        (Postgres, "SELECT 'open", "! line 1, column 8: unterminated string literal"),
        (Generic, ";", "! it holds no statement"),
        (Postgres, "TABLE a.b.c", "a.b.c ? unknown syntax at line 1, column 10"),
    ];
    let found = cases.map(|(dialect, sql, _)| (dialect, sql, of(sql, dialect)));
    let wrong: Vec<_> = found.iter().zip(&cases).filter(|(found, case)| found.2 != case.2).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn names_without_a_database_match_every_database() {
    let sources = |sql, dialect| {
        let reads = reads(sql, dialect).unwrap();
        let [table] = reads.tables.as_slice() else { panic!("one table") };
        table.sources().iter().map(|source| source.display(dialect)).collect::<Vec<_>>()
    };
    assert_eq!(sources("SELECT * FROM db.s.t", Snowflake), ["DB.S.T"]);
    assert_eq!(sources("SELECT * FROM s.\"t\"", Snowflake), ["S.\"t\"", "*.S.\"t\""]);
    assert_eq!(sources("SELECT * FROM t", Postgres), ["t", "*.t", "*.*.t"]);
    assert_eq!(sources("SELECT * FROM `d.t_*`", BigQuery), ["d.t_*", "*.d.t_*"]);
}

#[test]
fn deep_nesting_is_read_or_rejected_without_overflow() {
    let long = |count: usize| format!("SELECT {} FROM a.b", vec!["1"; count].join(" + "));
    assert_eq!(of(&long(45_000), Generic), "a.b");
    assert_eq!(of(&long(60_000), Generic), "! it has 120004 words and signs: at most 100000 are read");
    let unions = vec!["SELECT * FROM a.b"; 10_000].join(" UNION ALL ");
    assert_eq!(of(&unions, Postgres), "a.b");
    for (dialect, deep) in
        Dialect::ALL.into_iter().flat_map(|dialect| [(dialect, "("), (dialect, "(SELECT "), (dialect, "lower(")])
    {
        let text = format!("SELECT {}1", deep.repeat(5_000));
        assert!(of(&text, dialect).starts_with("! "), "{dialect} {deep}");
        let text = format!("SELECT {}1{}", deep.repeat(8), ")".repeat(8));
        assert_eq!(of(&text, dialect), "", "{dialect} {deep}");
    }
}

#[test]
fn long_chains_are_read_or_rejected_without_overflow() {
    let chains = [
        ("SELECT * FROM t ", "JOIN t ", ""),
        ("SELECT * FROM t ", "LEFT JOIN t ", ""),
        ("SELECT * FROM t ", "RIGHT OUTER JOIN t AS x ", ""),
        ("SELECT * FROM t ", "CROSS JOIN t ", ""),
        ("SELECT * FROM t ", "NATURAL JOIN t ", ""),
        ("SELECT * FROM t ", "JOIN t ON true ", ""),
        ("SELECT * FROM t ", "JOIN (t JOIN t) ", ""),
        ("SELECT * FROM t ", "JOIN t ", "JOIN (SELECT 1) AS x ON true"),
        ("SELECT * FROM t ", "PIVOT(sum(x) FOR y IN (1)) ", ""),
        ("SELECT * FROM ", "t, ", "t"),
        ("SELECT * FROM t", ".t", ""),
        ("SELECT 1", " UNION SELECT 1", ""),
        ("SELECT 1", " INTERSECT SELECT 1", ""),
        ("SELECT ", "a+", "a"),
        ("SELECT ", "a", ""),
        ("SELECT a", "!", ""),
        ("SELECT a", "[1]", ""),
        ("SELECT a", ".a", ""),
        ("SELECT a", "::int", ""),
        ("SELECT a::int", "[]", ""),
        ("SELECT a", " IS NULL", ""),
        ("SELECT a", " AND a", ""),
        ("SELECT a", " OR a = 1", ""),
        ("SELECT a", " || a", ""),
        ("SELECT a", " LIKE a", ""),
        ("SELECT a", " COLLATE a", ""),
        ("SELECT a", " AT TIME ZONE 'x'", ""),
        ("SELECT a", " IN (1)", ""),
        ("SELECT ", "NOT ", "a"),
        ("SELECT ", "- ", "a"),
        ("SELECT ", "CASE WHEN a THEN ", "1"),
        ("SELECT CAST(a AS ", "ARRAY<", ""),
        ("SELECT ", "{a:", "1"),
        ("SELECT ", "[", "1"),
        ("SELECT ", "x -> ", "x"),
        ("", "EXPLAIN ", "SELECT 1"),
        ("", "SELECT 1;", ""),
        ("", "BEGIN ", ""),
        ("CREATE VIEW v AS SELECT a", "+a", ""),
        ("SELECT * FROM TABLE(a", "+a", ")"),
        ("SELECT * FROM t MATCH_RECOGNIZE(PATTERN (a", "|a", ") DEFINE a AS true)"),
        ("FROM t", " |> WHERE a", ""),
    ];
    for (start, link, end) in chains {
        let text = start.to_owned() + &link.repeat(4_000) + end;
        for dialect in Dialect::ALL {
            let found = of(&text, dialect);
            // Text that names a table has it in its reads, or is rejected.
            assert!(!found.is_empty() || !text.contains(" t"), "{dialect}: {start}{link}");
        }
    }
}

/// A query, and the tables that it reads.
#[derive(Debug, Clone)]
struct Made {
    sql: String,
    tables: Vec<String>,
}

/// Spellings of a table in a query, by dialect, and its canonical form. Few, so that names collide with those of
/// `WITH`.
fn table(dialect: Dialect) -> impl Strategy<Value = Made> {
    let spellings: &[(&str, &str)] = match dialect {
        BigQuery => &[
            ("`p-1.d.t`", "p-1.d.t"),
            ("p-1.d.`T`", "p-1.d.T"),
            ("`p-1`.`d`.u", "p-1.d.u"),
            ("d.x", "d.x"),
            ("y", "y"),
        ],
        Snowflake => &[
            ("Db.s.t", "DB.S.T"),
            ("\"Db\".S.t", "\"Db\".S.T"),
            ("s.\"x\"", "S.\"x\""),
            ("y", "Y"),
            ("\"y\"", "\"y\""),
        ],
        Postgres => &[
            ("Db.S.t", "db.s.t"),
            ("\"Db\".\"a\"\"b\"", "\"Db\".\"a\"\"b\""),
            ("s.x", "s.x"),
            ("Y", "y"),
            ("\"Y\"", "\"Y\""),
        ],
        _ => &[("db.`S x`.t", "db.`s x`.t"), ("Main.a", "main.a"), ("s.x", "s.x"), ("Y", "y")],
    };
    prop::sample::select(spellings).prop_map(|(sql, name)| Made { sql: sql.into(), tables: vec![name.into()] })
}

/// A `SELECT` over tables, subqueries, joins, set operations and `WITH` queries whose names tables have, too.
fn query(dialect: Dialect) -> impl Strategy<Value = Made> {
    let leaf = table(dialect).prop_map(|made| Made { sql: format!("SELECT 1 FROM {}", made.sql), ..made });
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let join = |parts: Vec<Made>, separator: &str| Made {
            sql: parts.iter().map(|part| part.sql.clone()).collect::<Vec<_>>().join(separator),
            tables: parts.into_iter().flat_map(|part| part.tables).collect(),
        };
        let item = prop_oneof![
            table(dialect),
            inner.clone().prop_map(|made| Made { sql: format!("({}) AS q", made.sql), ..made }),
        ];
        let joined = prop::sample::select(&[(", ", ""), (" CROSS JOIN ", ""), (" LEFT JOIN ", " ON TRUE")][..]);
        let from = (prop::collection::vec(item, 1..4), joined).prop_map(move |(mut items, (separator, on))| {
            items.iter_mut().skip(1).for_each(|item| item.sql += on);
            let made = join(items, separator);
            Made { sql: format!("SELECT 1 FROM {}", made.sql), ..made }
        });
        let set =
            prop::sample::select(&[" UNION ALL ", " UNION DISTINCT ", " EXCEPT DISTINCT ", " INTERSECT DISTINCT "][..]);
        let set = (inner.clone(), inner.clone(), set).prop_map(move |(one, other, set)| {
            let wrapped = |made: Made| Made { sql: format!("SELECT 1 FROM ({}) AS s", made.sql), ..made };
            join(vec![wrapped(one), wrapped(other)], set)
        });
        let nested = (inner.clone(), inner.clone(), 0..3_usize).prop_map(move |(outer, sub, place)| {
            let sub_sql = sub.sql;
            let sql = match place {
                0 => format!("SELECT ({sub_sql}) FROM ({}) AS q", outer.sql),
                1 => format!("SELECT 1 FROM ({}) AS q WHERE EXISTS ({sub_sql})", outer.sql),
                _ => format!("SELECT 1 FROM ({}) AS q WHERE 1 IN ({sub_sql})", outer.sql),
            };
            Made { sql, tables: [outer.tables, sub.tables].concat() }
        });
        // Inside the query, the name is a table; after it, the name is the result.
        let with = (inner.clone(), inner).prop_map(move |(body, rest)| {
            let name = if dialect == Snowflake { "Y" } else { "y" };
            let rest_tables = rest.tables.into_iter().filter(|table| table != name);
            let tables = body.tables.into_iter().chain(rest_tables).collect();
            Made { sql: format!("WITH y AS ({}) {}", unrecursive(&body.sql), parenthesized(&rest.sql)), tables }
        });
        prop_oneof![from, set, nested, with]
    })
}

/// So that it is no union, which may read itself in some dialects.
fn unrecursive(sql: &str) -> String {
    format!("SELECT 1 FROM ({sql}) AS w")
}

/// A query that may start with `WITH`, after another `WITH`.
fn parenthesized(sql: &str) -> String {
    format!("SELECT 1 FROM ({sql}) AS r")
}

/// Words and signs that mean much to some dialect.
const WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WITH",
    "RECURSIVE",
    "AS",
    "(",
    ")",
    "(",
    ")",
    ",",
    ".",
    "*",
    "a",
    "b",
    "`a.b`",
    "\"x\"",
    "'s'",
    "JOIN",
    "ON",
    "UNION",
    "ALL",
    "TABLE",
    "[",
    "]",
    "{",
    "}",
    ":",
    "@p",
    "$1",
    "$$",
    "-",
    "/*",
    "*/",
    "--",
    "\n",
    "INSERT",
    "INTO",
    "VALUES",
    "PIVOT",
    "UNPIVOT",
    "LATERAL",
    "UNNEST",
    "OVER",
    "CASE",
    "WHEN",
    "END",
    "INTERVAL",
    "1",
    "1e",
    "x'",
    "r'",
    "\\",
    "||",
    "|>",
    "::",
    "=>",
    "IN",
    "FOR",
    "SET",
    "UPDATE",
    "DELETE",
    "MERGE",
    "USING",
    "CALL",
    "EXPLAIN",
    "IDENTIFIER",
    "FLATTEN",
    "WHERE",
    "ORDER",
    "BY",
    "LIMIT",
    ";",
    "é",
    "\u{0}",
];

proptest! {
    #[test]
    fn whatever_is_written_is_read_or_refused(words in prop::collection::vec(prop::sample::select(WORDS), 1..30), start in 0..3_usize) {
        let text = ["", "SELECT * FROM ", "WITH x AS (SELECT 1) SELECT "][start].to_owned() + &words.join(" ");
        for dialect in Dialect::ALL {
            if let Err(error) = reads(&text, dialect) {
                prop_assert!(!error.why.is_empty() && !error.why.contains("mistake"), "{}: {}: {}", dialect, error, text);
            }
        }
    }

    #[test]
    fn query_reads_the_tables_that_it_was_generated_from(
        (dialect, made) in prop::sample::select(&[BigQuery, Snowflake, Postgres, Databricks][..])
            .prop_flat_map(|dialect| (Just(dialect), query(dialect)))
    ) {
        let found = reads(&made.sql, dialect);
        let found = found.map_err(|error| TestCaseError::fail(format!("{error}: {}", made.sql)))?;
        let mut tables: Vec<String> = found.tables.iter().map(|table| table.display(dialect)).collect();
        let mut expected = made.tables.clone();
        tables.sort();
        expected.sort();
        expected.dedup();
        prop_assert_eq!(tables, expected, "{}: {}", dialect, made.sql);
        prop_assert!(found.beyond.is_empty());
    }
}
