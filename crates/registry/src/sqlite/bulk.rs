//! Additions of many tokens at once.

use sqlx::AssertSqlSafe;

use super::SqliteRecords;
use crate::error::Result;

/// From this number of tokens, indexes are made again.
const MANY: usize = 5_000;

/// Indexes are made again if the table then has at most so many times the tokens that were added.
const MAX_GROWTH: usize = 4;

impl SqliteRecords<'_> {
    /// Adds `count` tokens by `add`. Removes the indexes of their tables before, and makes them again after, if that takes less
    /// time: an index that is made at once is sorted once, and an index that grows is searched for each row.
    ///
    /// Indexes that keep rows unique stay. Readers see the indexes of one state, as they see its rows.
    pub(super) fn without_indexes(&mut self, count: usize, add: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        const INDEXES: &str = "SELECT name, sql FROM sqlite_schema \
            WHERE type = 'index' AND tbl_name IN ('tokens', 'grants') AND sql LIKE 'CREATE INDEX %' ORDER BY name";
        if count < MANY || self.has_more_tokens(count.saturating_mul(MAX_GROWTH - 1))? {
            return add(self);
        }
        let indexes: Vec<(String, String)> = self.all(sqlx::query_as(INDEXES))?;
        for (name, _) in &indexes {
            let drop = format!("DROP INDEX \"{}\"", name.replace('"', "\"\""));
            self.run(sqlx::query(AssertSqlSafe(drop)).persistent(false))?;
        }
        add(self)?;
        for (_, create) in indexes {
            self.run(sqlx::query(AssertSqlSafe(create)).persistent(false))?;
        }
        Ok(())
    }

    /// Whether there are more than `count` tokens.
    fn has_more_tokens(&mut self, count: usize) -> Result<bool> {
        let more = sqlx::query_as("SELECT EXISTS (SELECT 1 FROM tokens LIMIT 1 OFFSET ?1)");
        let rows: Vec<(bool,)> = self.all(more.bind(i64::try_from(count).unwrap_or(i64::MAX)))?;
        Ok(rows.first().is_some_and(|(exists,)| *exists))
    }
}
