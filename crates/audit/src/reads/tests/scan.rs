//! Compares the scan of the words with queries made from the tables that they read, and with a naive scan.

use proptest::prelude::*;
use sqlparser::ast::ObjectNamePart;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::super::{spoken, words};
use super::{query, reads};
use Dialect::{BigQuery, Databricks, Postgres, Snowflake};
use portcullis::name::Dialect;

fn dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(&[BigQuery, Snowflake, Postgres, Databricks][..])
}

fn scan(sql: &str, dialect: Dialect) -> words::Words {
    let tokens = Tokenizer::new(&*spoken(dialect), sql).tokenize_with_location().unwrap();
    words::scan(&tokens, dialect)
}

/// The names that directly follow `FROM` or `JOIN`: dots, and words without quotes.
fn naive(sql: &str, dialect: Dialect) -> Vec<String> {
    let tokens = Tokenizer::new(&*spoken(dialect), sql).tokenize().unwrap();
    let words: Vec<_> = tokens.iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let starts = words.iter().enumerate().filter(|(_, token)| {
        matches!(token, Token::Word(word) if word.quote_style.is_none()
            && ["FROM", "JOIN"].contains(&word.value.to_ascii_uppercase().as_str()))
    });
    let names = starts.map(|(at, _)| {
        let path = words[at + 1..].iter().take_while(|token| matches!(token, Token::Word(_) | Token::Period));
        let mut name = String::new();
        let mut ends_part = false;
        for token in path {
            match token {
                Token::Word(_) if ends_part => break,
                Token::Word(word) => name += &word.value,
                _ => name.push('.'),
            }
            ends_part = matches!(token, Token::Word(_));
        }
        name
    });
    names.filter(|name| name.contains('.')).collect()
}

/// Pieces of queries. No alias is the first part of a name.
const PIECES: &[&str] = &[
    "a.b",
    "c.d AS x",
    "e.f y",
    "(SELECT * FROM g.h) AS z",
    "(SELECT * FROM i.j",
    "(",
    ")",
    ",",
    "JOIN",
    "LEFT JOIN",
    "CROSS JOIN",
    "JOIN k.l",
    "JOIN LATERAL (SELECT 1 FROM m.n) AS v",
    "ON true",
    "ON CASE WHEN u THEN 1 END = w",
    "USING (i)",
    "PIVOT (sum(x) FOR y IN (1, 2))",
    "TABLESAMPLE SYSTEM (1)",
    "AS OF TIMESTAMP '2024-01-01'",
    "WITH OFFSET AS o",
    "WHERE i IN (SELECT 1 FROM o.p)",
    "WHERE i = 1",
    "GROUP BY i, j",
    "ORDER BY (SELECT 1 FROM q.r), j",
    "LIMIT 1",
    "UNION ALL SELECT 1 FROM s.t",
    "EXCEPT DISTINCT",
    "SELECT 1",
    "; SELECT 1 FROM",
    "|> WHERE true",
    "FOR UPDATE",
    "FOO",
    "!!",
];

/// A table without quotes, in lower case.
fn plain(name: &str) -> String {
    name.replace(['"', '`'], "").to_lowercase()
}

proptest! {
    #[test]
    fn scan_finds_every_table_of_a_generated_query(
        (dialect, made) in dialect().prop_flat_map(|dialect| (Just(dialect), query(dialect)))
    ) {
        let found = scan(&made.sql, dialect);
        prop_assert!(found.unclear.is_none(), "{}: {}", dialect, made.sql);
        let found: Vec<String> = found.tables.iter().map(|table| {
            let parts = table.name.0.iter().filter_map(ObjectNamePart::as_ident).map(|part| part.value.clone());
            plain(&parts.collect::<Vec<_>>().join("."))
        }).collect();
        for table in &made.tables {
            prop_assert!(found.contains(&plain(table)), "{} of {}: {}", table, dialect, made.sql);
        }
    }

    /// The parser rejects the clause.
    #[test]
    fn unknown_syntax_hides_no_table(
        (dialect, made) in dialect().prop_flat_map(|dialect| (Just(dialect), query(dialect))),
        clause in prop::sample::select(&[" WHERE a ^^^ b", " WHERE x = = y", " ORDER BY x NULLS", " WHERE f(x => => y)", " UNION ALL BY"][..])
    ) {
        let sql = format!("SELECT 1 FROM ({}) AS q{clause}", made.sql);
        let found = reads(&sql, dialect).map_err(|error| TestCaseError::fail(format!("{error}: {sql}")));
        // An unfinished clause cannot be read.
        if clause.ends_with("BY") {
            prop_assert!(found.is_err(), "{}", sql);
            return Ok(());
        }
        let found = found?;
        let tables: Vec<String> = found.tables.iter().map(|table| table.display(dialect)).collect();
        for table in &made.tables {
            prop_assert!(tables.contains(table), "{} of {}: {}", table, dialect, sql);
        }
    }

    #[test]
    fn tables_include_those_of_a_naive_scan(pieces in prop::collection::vec(prop::sample::select(PIECES), 1..16)) {
        let sql = format!("SELECT * FROM {}", pieces.join(" "));
        for dialect in Dialect::ALL {
            let Ok(found) = reads(&sql, dialect) else { continue };
            let tables: Vec<String> = found.tables.iter().map(|table| plain(&table.display(dialect))).collect();
            // A name before parentheses is a function.
            let calls: Vec<String> = found.beyond.iter().map(|what| plain(what.trim_end_matches("()"))).collect();
            for name in naive(&sql, dialect) {
                prop_assert!(tables.contains(&name) || calls.contains(&name), "{} of {}: {}", name, dialect, sql);
            }
        }
    }
}
