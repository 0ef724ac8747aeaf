//! The keywords that change the meaning of the names after them.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use super::Scan;
use super::frame::{After, Comma, Mode};
use super::vocabulary::{BEFORE_QUERY, CLAUSES, ENDS_TABLE, MODIFIERS, NAMING_STATEMENTS, NEVER_ALIAS};
use portcullis::name::Dialect;

impl Scan<'_> {
    /// Whether the keyword at the current index precedes the name of a table, or replaces a table.
    pub(super) fn precedes_table(&self, keyword: Keyword) -> bool {
        use Keyword as K;
        match keyword {
            K::FROM | K::SELECT | K::WITH => return true,
            K::ALL => return self.inner.mode == Mode::Target,
            K::STDIN => return self.keyword_at(0) == K::COPY,
            K::UNPIVOT => return matches!(self.dialect, Dialect::Redshift | Dialect::RedshiftCaseSensitive),
            K::VALUES => return matches!(self.token(self.at + 1), Some(Token::LParen)),
            K::STREAM if self.dialect == Dialect::Databricks => {}
            other if MODIFIERS.contains(&other) => {}
            _ => return false,
        }
        match self.token(self.at + 1) {
            Some(Token::LParen) => true,
            Some(Token::Word(next)) => next.quote_style.is_some() || !ENDS_TABLE.contains(&next.keyword),
            _ => false,
        }
    }

    /// Reads a keyword. Returns `false` if the word is a name here.
    pub(super) fn keyword(&mut self, keyword: Keyword) -> bool {
        use Keyword as K;
        let next = self.at + 1;
        let mode = self.inner.mode;
        match keyword {
            K::AS if matches!(mode, Mode::Alias | Mode::Column) => {
                self.inner.operands = 0;
                let is_alias =
                    matches!(self.token(next), Some(Token::Word(_))) && !NEVER_ALIAS.contains(&self.keyword_at(next));
                if is_alias {
                    self.at = next;
                    self.inner.operands = 2;
                    if self.inner.comma == Comma::Row {
                        self.inner.comma = Comma::Table;
                    }
                }
                return true;
            }
            K::SELECT => {
                self.inner.columns();
                self.inner.is_call = false;
            }
            K::FROM => {
                let compares = self.follows(1, &[K::DISTINCT]) && self.follows(2, &[K::IS, K::NOT]);
                let separates = self.inner.is_call && !matches!(self.before(), Some(Token::LParen));
                if !compares && !separates {
                    self.inner.tables();
                }
            }
            K::JOIN | K::STRAIGHT_JOIN => {
                self.inner.tables();
                self.inner.uses_tables = false;
            }
            K::APPLY if self.follows(1, &[K::CROSS, K::OUTER]) => self.inner.tables(),
            _ if self.precedes_target(keyword) => self.inner.mode = Mode::Target,
            K::USING if self.inner.uses_tables => self.inner.tables(),
            K::ON | K::USING => self.inner.mode = Mode::Column,
            K::TABLE if mode == Mode::Column => self.table_argument(),
            K::VIEW if self.follows(1, &[K::LATERAL]) => self.inner.columns(),
            K::TABLE | K::VIEW
                if self.may_have_options()
                    && !self.follows(1, &[K::RETURNS])
                    && (self.may_name_table(next) || matches!(self.token(next), Some(Token::LParen))) =>
            {
                let is_query = match self.before() {
                    None | Some(Token::LParen | Token::RParen | Token::SemiColon) => true,
                    _ => self.follows(1, BEFORE_QUERY),
                };
                let is_list = self.follows(1, &[K::DROP, K::TRUNCATE, K::LOCK, K::ANALYZE, K::MATERIALIZED]);
                self.inner.comma = if is_list { Comma::Table } else { Comma::Continues };
                self.inner.mode = if is_query { Mode::Table } else { Mode::Target };
            }
            K::WHEN if mode == Mode::Unknown => self.inner.mode = Mode::Column,
            _ if self.names_tables(keyword) => {
                self.inner.comma = Comma::Table;
                self.inner.mode = Mode::Target;
            }
            K::INSERT | K::UPDATE | K::DELETE | K::MERGE => self.change(keyword),
            K::OF if self.follows(1, &[K::UPDATE, K::SHARE]) && mode != Mode::Unknown => {
                self.inner.columns();
                self.inner.after = After::Options;
            }
            // A point in time.
            K::OF if mode == Mode::Alias => self.inner.mode = Mode::Column,
            // Columns that `*` leaves out.
            K::EXCEPT if matches!(self.before(), Some(Token::Mul)) => {}
            K::UNION | K::INTERSECT | K::EXCEPT | K::MINUS => {
                if keyword == K::UNION && matches!(self.dialect, Dialect::Oracle | Dialect::Snowflake) {
                    self.recurse();
                }
                self.inner.columns();
                self.inner.mode = Mode::Unknown;
            }
            K::WITH => self.with(),
            K::STDIN | K::UNPIVOT if mode == Mode::Table => self.inner.unnamed(),
            K::VALUES if mode == Mode::Table => {
                self.inner.unnamed();
                self.inner.comma = Comma::Row;
            }
            // The parser may take these for a table or function.
            K::ONLY | K::STREAM if mode == Mode::Table => {
                self.found.modifiers.push(self.location(self.at));
                self.argument(next);
            }
            K::BY | K::RETURNING => self.inner.columns(),
            K::SET if mode != Mode::Column || self.follows(1, &[K::UPDATE]) => self.inner.columns(),
            K::WINDOW if self.keyword_at(next + 1) == K::AS => self.inner.columns(),
            clause if CLAUSES.contains(&clause) => self.inner.mode = Mode::Column,
            K::NOT | K::MATERIALIZED | K::AS => {}
            _ if mode == Mode::With => return false,
            _ if mode == Mode::Alias && self.inner.after == After::Modifier && !ENDS_TABLE.contains(&keyword) => {
                return false;
            }
            _ => {}
        }
        self.inner.operands = 0;
        true
    }

    /// Reads the first word of a statement that changes data.
    fn change(&mut self, keyword: Keyword) {
        use Keyword as K;
        let is_clause = self.follows(1, &[K::FOR, K::ON, K::KEY, K::DO, K::OR, K::BEFORE, K::AFTER, K::OF, K::COMMIT]);
        if is_clause {
            return;
        }
        if !self.follows(1, &[K::THEN]) {
            self.inner.uses_tables = matches!(keyword, K::DELETE | K::MERGE);
            self.inner.is_call = false;
        }
        let next = self.at + 1;
        let is_word =
            matches!(self.keyword_at(next), K::ROW | K::FIRST) && !matches!(self.token(next + 1), Some(Token::Period));
        // The keyword may be an alias.
        let is_alias = self.inner.mode == Mode::Alias && ENDS_TABLE.contains(&self.keyword_at(next));
        if self.may_name_table(next) && !is_word && !is_alias {
            self.inner.mode = Mode::Target;
            // Up to `SET`.
            self.inner.comma = if keyword == K::UPDATE { Comma::Table } else { Comma::Continues };
        }
    }

    /// Reads `WITH`, which also precedes options.
    fn with(&mut self) {
        let is_recursive = self.keyword_at(self.at + 1) == Keyword::RECURSIVE && !self.defines(self.at + 1);
        let name = self.at + 1 + usize::from(is_recursive);
        if self.defines(name) {
            self.inner.columns();
            self.inner.mode = Mode::With;
            self.inner.is_call = false;
            self.inner.with.is_recursive = is_recursive;
            self.at = name - 1;
        }
    }

    /// Makes a `WITH` query visible in its own union. These dialects omit `RECURSIVE`.
    fn recurse(&mut self) {
        if self.inner.visible.is_empty()
            && let Some(name) = &self.inner.defines
        {
            *self.visible.entry(name.clone()).or_default() += 1;
            self.inner.visible.push(name.clone());
        }
    }

    /// Whether a `WITH` query starts at an index: `name AS (` or `name (columns) AS (`.
    fn defines(&self, name: usize) -> bool {
        let mut at = name + 1;
        if matches!(self.token(at), Some(Token::LParen)) {
            at += 1;
            while matches!(self.token(at), Some(Token::Word(_) | Token::Comma)) {
                at += 1;
            }
            at += 1;
        }
        matches!(self.token(name), Some(Token::Word(_)))
            && self.keyword_at(at) == Keyword::AS
            && (matches!(self.token(at + 1), Some(Token::LParen))
                || matches!(self.keyword_at(at + 1), Keyword::NOT | Keyword::MATERIALIZED))
    }

    /// Whether the keyword at the current index precedes a table of a statement that is not a query.
    fn precedes_target(&self, keyword: Keyword) -> bool {
        use Keyword as K;
        let in_columns = self.inner.mode == Mode::Column;
        match keyword {
            K::INTO | K::REFERENCES => true,
            K::CLONE | K::INHERITS => self.may_have_options(),
            K::LIKE => self.may_have_options() || matches!(self.before(), Some(Token::LParen | Token::Comma)),
            K::ON => self.inner.mode == Mode::Unknown,
            // `PARTITION OF`, `REPLICA OF`; not `AS OF`.
            K::OF => self.inner.after == After::Options && !in_columns && !self.follows(1, &[K::AS, K::UPDATE]),
            K::PARTITION => self.follows(1, &[K::ATTACH, K::DETACH]),
            K::WITH => self.follows(1, &[K::SWAP]),
            _ => false,
        }
    }

    /// Whether the words here may be options, not only the alias of a table that is read.
    fn may_have_options(&self) -> bool {
        match self.inner.mode {
            Mode::Alias => self.inner.after == After::Options,
            Mode::Column => false,
            _ => true,
        }
    }

    /// Whether the keyword at the current index starts a statement that names tables without a further word.
    fn names_tables(&self, keyword: Keyword) -> bool {
        NAMING_STATEMENTS.contains(&keyword)
            && self.inner.mode == Mode::Unknown
            && !self.follows(1, &[Keyword::EXPLAIN])
            && self.may_name_table(self.at + 1)
    }
}
