//! Scans the words of a query for names in the positions of tables.
//!
//! The scan knows the words that precede tables (`FROM`, `JOIN`, `INTO`, …), and the clauses whose names are columns. It
//! does not build a tree. It therefore accepts syntax that the parser rejects, and finds tables that the tree of the
//! parser omits.
//!
//! The scan reports a name unless the name is certainly not a table:
//!
//! - a column or an alias, because of its position;
//! - a `WITH` query, after its end and inside the parentheses that contain the `WITH`.
//!
//! A text is [`unclear`](Words::unclear) if words follow each other in a way that the scan cannot explain.

mod frame;
mod keywords;
mod vocabulary;

use std::collections::HashMap;

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Word};

use super::relation::folded;
use frame::{After, Comma, Frame, Mode};
use portcullis::name::Dialect;
pub(super) use vocabulary::literal;
use vocabulary::{
    AFTER_COLUMN, Argument, DESCRIBING, NEVER_LAST, NEVER_TABLE, argument, is_prefix, is_syntax, reads_argument,
    starts_statement,
};

/// The names that a scan finds.
#[derive(Default)]
pub(super) struct Words {
    /// The names in the position of a table.
    pub(super) tables: Vec<Candidate>,
    /// The functions in the position of a table.
    pub(super) functions: Vec<Call>,
    /// The string literals that are queries.
    pub(super) queries: Vec<String>,
    /// The positions of words before tables that the parser takes for a table or function.
    pub(super) modifiers: Vec<Location>,
    /// The first position that the scan cannot explain.
    pub(super) unclear: Option<Location>,
}

/// A function in the position of a table.
pub(super) struct Call {
    pub(super) name: ObjectName,
    /// The position of its first word.
    pub(super) at: Location,
}

/// A name that may be a table.
pub(super) struct Candidate {
    pub(super) name: ObjectName,
    /// The position of its first word.
    pub(super) at: Location,
    pub(super) certainty: Certainty,
}

/// How certain it is that a name is a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Certainty {
    /// Only tables follow the word before the name.
    Table,
    /// The word before the name may also separate arguments, such as `FROM`.
    TableOrColumn,
    /// The syntax at the name is unknown.
    Unknown,
}

/// Scans the tokens of a text. Linear in their number.
pub(super) fn scan(tokens: &[TokenWithSpan], dialect: Dialect) -> Words {
    let words = tokens.iter().filter(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF)).collect();
    let mut scan = Scan {
        words,
        at: 0,
        dialect,
        outer: Vec::new(),
        inner: Frame::new(Mode::Unknown),
        visible: HashMap::new(),
        found: Words::default(),
    };
    scan.run();
    scan.found
}

struct Scan<'t> {
    words: Vec<&'t TokenWithSpan>,
    at: usize,
    dialect: Dialect,
    outer: Vec<Frame>,
    inner: Frame,
    /// The names of visible `WITH` queries, each with the number of its definitions.
    visible: HashMap<String, usize>,
    found: Words,
}

impl<'t> Scan<'t> {
    fn run(&mut self) {
        let starts = self.bare(0).is_some_and(starts_statement) || matches!(self.token(0), Some(Token::LParen));
        if !starts {
            self.unclear();
        }
        while let Some(token) = self.token(self.at) {
            match token {
                Token::LParen => self.open(),
                Token::RParen => self.close(),
                Token::SemiColon => self.end_statement(),
                Token::VerticalBarRightAngleBracket => self.inner.columns(),
                Token::Comma => self.comma(),
                Token::Word(word) => {
                    self.word(word);
                    continue;
                }
                other => match literal(other) {
                    Some(text) => self.text(text),
                    None => self.sign(other),
                },
            }
            self.at += 1;
        }
        let is_cut = self.inner.mode != Mode::Alias && self.follows(1, NEVER_LAST);
        if is_cut || !self.outer.is_empty() {
            self.unclear();
        }
    }

    fn token(&self, at: usize) -> Option<&'t Token> {
        self.words.get(at).map(|word| &word.token)
    }

    fn location(&self, at: usize) -> Location {
        self.words.get(at).or(self.words.last()).map_or(Location::new(1, 1), |word| word.span.start)
    }

    /// Returns the unquoted word at an index.
    fn bare(&self, at: usize) -> Option<&'t Word> {
        match self.token(at)? {
            Token::Word(word) if word.quote_style.is_none() => Some(word),
            _ => None,
        }
    }

    fn keyword_at(&self, at: usize) -> Keyword {
        self.bare(at).map_or(Keyword::NoKeyword, |word| word.keyword)
    }

    /// Whether the word `back` words before the current one is one of `keywords`.
    fn follows(&self, back: usize, keywords: &[Keyword]) -> bool {
        let before = self.at.checked_sub(back).map_or(Keyword::NoKeyword, |at| self.keyword_at(at));
        before != Keyword::NoKeyword && keywords.contains(&before)
    }

    /// Returns the token before the current one.
    fn before(&self) -> Option<&'t Token> {
        self.token(self.at.checked_sub(1)?)
    }

    /// Whether no space precedes the token at an index.
    fn touches(&self, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|before| self.words.get(before));
        before.zip(self.words.get(at)).is_some_and(|(before, word)| before.span.end == word.span.start)
    }

    /// Whether the token at an index may be the first word of a table.
    fn may_name_table(&self, at: usize) -> bool {
        match self.token(at) {
            Some(Token::Word(word)) => word.quote_style.is_some() || !NEVER_TABLE.contains(&word.keyword),
            _ => false,
        }
    }

    fn unclear(&mut self) {
        let at = self.location(self.at);
        self.found.unclear.get_or_insert(at);
    }

    fn comma(&mut self) {
        let is_row = self.inner.comma == Comma::Row && matches!(self.token(self.at + 1), Some(Token::LParen));
        if self.inner.comma != Comma::Continues && !is_row {
            self.inner.tables();
        }
        self.inner.operands = 0;
    }

    fn open(&mut self) {
        let after_word = matches!(self.before(), Some(Token::Word(_)));
        let mut frame = Frame::new(Mode::Column);
        match self.inner.mode {
            Mode::Table | Mode::Target => {
                frame.tables();
                self.inner.mode = Mode::Alias;
                self.inner.after = After::Alias;
                self.described();
            }
            Mode::With if self.follows(1, &[Keyword::AS, Keyword::MATERIALIZED]) => {
                frame.mode = Mode::Unknown;
                frame.defines = self.inner.with.name.take();
                if self.inner.with.is_recursive {
                    frame.visible.extend(frame.defines.clone());
                }
                for name in &frame.visible {
                    *self.visible.entry(name.clone()).or_default() += 1;
                }
            }
            Mode::Unknown if !after_word => frame.mode = Mode::Unknown,
            _ => {
                frame.is_call = after_word;
                if self.inner.mode == Mode::Alias && self.inner.after == After::Options {
                    frame.after = After::Options;
                }
            }
        }
        self.outer.push(std::mem::replace(&mut self.inner, frame));
    }

    /// Records the table of a statement in parentheses that describes one, such as `FROM (DESCRIBE t)`. The parser reads
    /// `DESCRIBE` as a table with the alias `t`, which it may be as well.
    fn described(&mut self) {
        let describes = self
            .bare(self.at + 1)
            .is_some_and(|word| DESCRIBING.iter().any(|known| word.value.eq_ignore_ascii_case(known)));
        if !describes || !self.may_name_table(self.at + 2) {
            return;
        }
        let start = self.at;
        self.at += 2;
        let at = self.location(self.at);
        let name = self.path();
        if matches!(self.token(self.at), Some(Token::RParen)) {
            self.found.tables.push(Candidate { name, at, certainty: Certainty::Table });
        }
        self.at = start;
    }

    fn close(&mut self) {
        let Some(outer) = self.outer.pop() else { return self.unclear() };
        let inner = std::mem::replace(&mut self.inner, outer);
        self.forget(inner.visible);
        if let Some(name) = inner.defines {
            *self.visible.entry(name.clone()).or_default() += 1;
            self.inner.visible.push(name);
        }
        self.inner.operands = 1;
    }

    fn end_statement(&mut self) {
        if !self.outer.is_empty() {
            self.unclear();
        }
        let inner = std::mem::replace(&mut self.inner, Frame::new(Mode::Unknown));
        self.forget(inner.visible);
    }

    fn forget(&mut self, names: Vec<String>) {
        for name in names {
            if let Some(count) = self.visible.get_mut(&name) {
                *count = count.saturating_sub(1);
            }
        }
    }

    /// Reads a string literal.
    fn text(&mut self, text: &str) {
        let in_parentheses = matches!(self.before(), Some(Token::LParen));
        let function = self.at.checked_sub(2).filter(|_| in_parentheses).and_then(|at| self.bare(at));
        let of_table = self.inner.expects_table()
            || self.outer.last().is_some_and(|outer| outer.mode == Mode::Alias)
            || function.is_some_and(|word| word.keyword == Keyword::TABLE);
        let runs = match self.keyword_at(0) {
            Keyword::ASSERT => false,
            // The body of a function, and the query of a cursor.
            _ if self.inner.mode == Mode::Unknown => self.follows(1, &[Keyword::AS, Keyword::FOR]),
            _ => false,
        };
        let runs = runs || self.follows(1, &[Keyword::IMMEDIATE, Keyword::EXECUTE, Keyword::DO]);
        // A name that is joined from several texts is not known.
        let is_whole = matches!(self.token(self.at + 1), None | Some(Token::RParen | Token::Comma));
        match function.filter(|_| is_whole).map_or(Argument::Value, argument) {
            Argument::Query => self.found.queries.push(text.to_owned()),
            Argument::Table => self.named(text),
            Argument::Identifier if of_table => self.named(text),
            _ if runs => self.found.queries.push(text.to_owned()),
            _ => {}
        }
        if self.inner.expects_table() {
            self.inner.unnamed();
        } else {
            self.operand(false);
        }
    }

    /// Records the name in a string literal.
    fn named(&mut self, text: &str) {
        let at = self.location(self.at);
        let name = ObjectName::from(vec![Ident::new(text)]);
        self.found.tables.push(Candidate { name, at, certainty: Certainty::Table });
    }

    /// Reads a token that is not a word.
    fn sign(&mut self, sign: &Token) {
        match sign {
            Token::Number(..) | Token::Placeholder(_) => self.operand(false),
            Token::Mul if self.inner.operands == 0 => self.inner.operands = 1,
            // A version or database of the table.
            Token::AtSign if self.inner.mode == Mode::Alias && self.touches(self.at + 1) => self.at += 1,
            _ => self.inner.operands = 0,
        }
        if self.inner.expects_table() {
            if !matches!(sign, Token::AtSign | Token::Number(..) | Token::Placeholder(_)) {
                // A name in brackets or a template.
                self.unclear();
            }
            // `@stage/path`.
            self.inner.unnamed();
            let ends = |token: &Token| matches!(token, Token::LParen | Token::RParen | Token::Comma | Token::SemiColon);
            while self.touches(self.at + 1) && self.token(self.at + 1).is_some_and(|token| !ends(token)) {
                self.at += 1;
            }
        }
    }

    /// Counts an operand of an expression, or a word after a table. An operand and its alias may follow each other.
    fn operand(&mut self, is_path: bool) {
        if !matches!(self.inner.mode, Mode::Column | Mode::Alias) {
            return;
        }
        self.inner.operands += 1;
        let is_strange = self.inner.operands > 2 || (self.inner.operands == 2 && is_path);
        if is_strange && self.inner.after != After::Options {
            self.unclear();
        }
    }

    /// Reads a word, or the path that starts with it.
    fn word(&mut self, word: &'t Word) {
        let is_path = matches!(self.token(self.at + 1), Some(Token::Period));
        let is_bare = word.quote_style.is_none() && !is_path;
        let keyword = if is_bare { word.keyword } else { Keyword::NoKeyword };
        if self.inner.expects_table() && !self.precedes_table(keyword) {
            return self.table();
        }
        if keyword == Keyword::NoKeyword || !self.keyword(keyword) {
            return self.name(keyword, is_path);
        }
        self.at += 1;
    }

    /// Reads `TABLE name` and `TABLE(name)` in an expression. The words are read again, as arguments.
    fn table_argument(&mut self) {
        let start = self.at;
        let parenthesized = matches!(self.token(start + 1), Some(Token::LParen));
        let first = start + 1 + usize::from(parenthesized);
        if !self.may_name_table(first) || AFTER_COLUMN.contains(&self.keyword_at(first)) {
            return;
        }
        self.at = first;
        let at = self.location(first);
        let name = self.path();
        let ends = match self.token(self.at) {
            Some(Token::LParen) => false,
            Some(Token::RParen) => true,
            _ => !parenthesized,
        };
        if ends && !self.is_visible(&name) {
            self.found.tables.push(Candidate { name, at, certainty: Certainty::Table });
        }
        self.at = start;
    }

    /// Records the table after the parenthesis at an index. The words are read again, as arguments.
    fn argument(&mut self, opens: usize) {
        if !matches!(self.token(opens), Some(Token::LParen)) || !self.may_name_table(opens + 1) {
            return;
        }
        let start = std::mem::replace(&mut self.at, opens + 1);
        let at = self.location(self.at);
        let name = self.path();
        let is_call = matches!(self.token(self.at), Some(Token::LParen));
        if !is_call && !self.is_visible(&name) {
            self.found.tables.push(Candidate { name, at, certainty: Certainty::Table });
        }
        self.at = start;
    }

    /// Reads the name of a table, or a function in its position.
    fn table(&mut self) {
        let at = self.location(self.at);
        let first = self.bare(self.at);
        let is_target =
            self.inner.mode == Mode::Target && !first.is_some_and(|word| argument(word) == Argument::Identifier);
        let name = self.path();
        self.inner.mode = Mode::Alias;
        self.inner.after = After::Alias;
        self.inner.operands = 1;
        if matches!(self.token(self.at), Some(Token::LParen)) && !is_target {
            if first.is_some_and(reads_argument) {
                self.argument(self.at);
            }
            self.found.functions.push(Call { name, at });
            return;
        }
        let is_keyword = name.0.len() == 1 && first.is_some_and(|word| word.keyword != Keyword::NoKeyword);
        self.inner.after = match (is_target, is_keyword) {
            (true, _) => After::Options,
            (false, true) => After::Modifier,
            (false, false) => After::Alias,
        };
        if is_target || !self.is_visible(&name) {
            let certainty = if is_target { Certainty::Table } else { Certainty::TableOrColumn };
            self.found.tables.push(Candidate { name, at, certainty });
        }
    }

    /// Reads a name that follows none of the words that precede tables.
    fn name(&mut self, keyword: Keyword, is_path: bool) {
        let at = self.location(self.at);
        let first = self.bare(self.at);
        // A unit, such as in `AS OF SCN 1`.
        let is_unit = self.follows(1, &[Keyword::OF]);
        let name = self.path();
        let is_call = matches!(self.token(self.at), Some(Token::LParen));
        match self.inner.mode {
            Mode::With => {
                let first = name.0.first().and_then(|part| part.as_ident());
                self.inner.with.name = first.map(|part| folded(part, self.dialect));
            }
            // The end of a block, such as `END LOOP`.
            Mode::Unknown if !is_path && first.is_some_and(starts_statement) => {}
            Mode::Unknown if !is_call && keyword == Keyword::NoKeyword => {
                self.found.tables.push(Candidate { name, at, certainty: Certainty::Unknown });
            }
            _ if is_syntax(first) => {}
            Mode::Alias if !is_unit => self.after_table(name, at, is_path),
            // A word before a name that is not a table.
            _ if is_unit => {}
            _ if is_prefix(first) && matches!(self.token(self.at), Some(Token::Word(_))) => {}
            _ => self.operand(is_path),
        }
    }

    /// Reads a name after a table. The name is an alias if it follows the table itself.
    fn after_table(&mut self, name: ObjectName, at: Location, is_path: bool) {
        if self.inner.comma == Comma::Row {
            self.inner.comma = Comma::Table;
        }
        let is_alias = match self.inner.after {
            After::Alias => self.inner.operands > 0,
            After::Modifier => false,
            After::Options => self.inner.operands == 1 && !is_path,
        };
        if is_alias {
            return self.operand(is_path);
        }
        self.found.tables.push(Candidate { name, at, certainty: Certainty::Unknown });
        match self.inner.after {
            After::Alias => self.inner.after = After::Modifier,
            After::Modifier => self.inner.after = After::Alias,
            After::Options => self.inner.operands = 2,
        }
    }

    fn is_visible(&self, name: &ObjectName) -> bool {
        let [part] = name.0.as_slice() else { return false };
        let part = part.as_ident().map(|part| folded(part, self.dialect));
        part.is_some_and(|part| self.visible.get(&part).is_some_and(|count| *count > 0))
    }

    /// Reads words with dots between them. Reads at least one token.
    fn path(&mut self) -> ObjectName {
        let mut parts = Vec::new();
        loop {
            let Some(Token::Word(word)) = self.token(self.at) else {
                // The default schema: `database..table`.
                if !matches!(self.token(self.at), Some(Token::Period)) || parts.is_empty() {
                    if !matches!(self.token(self.at), Some(Token::Mul)) {
                        self.unclear();
                    }
                    break;
                }
                parts.push(Ident::new(""));
                self.at += 1;
                continue;
            };
            self.at += 1;
            let mut part = Ident { value: word.value.clone(), quote_style: word.quote_style, span: Span::empty() };
            let continues = self.hyphens(&mut part) || matches!(self.token(self.at), Some(Token::Period));
            parts.push(part);
            parts.extend(self.number_part());
            if !continues {
                break;
            }
            if matches!(self.token(self.at), Some(Token::Period)) {
                self.at += 1;
            }
        }
        let is_wildcard = self.dialect == Dialect::BigQuery && self.inner.expects_table();
        if is_wildcard && matches!(self.token(self.at), Some(Token::Mul)) && self.touches(self.at) {
            match parts.last_mut().filter(|_| !matches!(self.before(), Some(Token::Period))) {
                Some(part) => part.value.push('*'),
                None => parts.push(Ident::new("*")),
            }
            self.at += 1;
        }
        ObjectName::from(parts)
    }

    /// Reads a part that starts with a digit, and whose dot belongs to the token of a number: `.25x`.
    fn number_part(&mut self) -> Option<Ident> {
        let Some(Token::Number(number, _)) = self.token(self.at) else { return None };
        let mut part = Ident::new(number.strip_prefix('.').filter(|_| self.touches(self.at))?);
        self.at += 1;
        if let Some(word) = self.bare(self.at).filter(|_| self.touches(self.at)) {
            part.value.push_str(&word.value);
            self.at += 1;
        }
        Some(part)
    }

    /// Reads the rest of an identifier of BigQuery that has hyphens. Returns whether a dot ends it, which belongs to
    /// the token of a number.
    fn hyphens(&mut self, identifier: &mut Ident) -> bool {
        let may_have =
            self.dialect == Dialect::BigQuery && identifier.quote_style.is_none() && self.inner.mode != Mode::Column;
        while may_have
            && matches!(self.token(self.at), Some(Token::Minus))
            && self.touches(self.at)
            && self.touches(self.at + 1)
        {
            let part = match self.token(self.at + 1) {
                Some(Token::Word(word)) if word.quote_style.is_none() => &word.value,
                Some(Token::Number(number, _)) => number,
                _ => return false,
            };
            identifier.value.push('-');
            identifier.value.push_str(part.trim_end_matches('.'));
            self.at += 2;
            if part.ends_with('.') {
                return true;
            }
        }
        false
    }
}
