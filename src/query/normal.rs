//! The normal form of a query text (N4.2), piece by piece.

use std::iter::FusedIterator;

use super::lex::{Fold, NotPlain, next_fold};
use super::marks::has_wide_space;
use super::{QueryError, is_space};

/// An iterator over the pieces of the normal form of a text (N4.2): slices of the text, `" "` and `"\n"`.
///
/// The concatenation of the pieces is the normal form. The iterator does not allocate. A text in normal form, which
/// clients often send, is one piece.
///
/// ```
/// use portcullis::query::{MAX_QUERY_BYTES, NormalForm};
///
/// let pieces = NormalForm::of(" select  'a  b' ; ", MAX_QUERY_BYTES)?;
/// assert_eq!(pieces.clone().collect::<Vec<_>>(), ["select", " ", "'a  b'"]);
/// assert!(pieces.is("select 'a  b'"));
/// # Ok::<(), portcullis::query::QueryError>(())
/// ```
#[derive(Debug, Clone)]
pub struct NormalForm<'t> {
    text: &'t str,
    // INVARIANT: a character boundary of `text`. The text before it has been returned.
    at: usize,
    // INVARIANT: the first run to fold at or after `at`; `None` in a text that is not plain.
    fold: Option<Fold>,
}

/// The text of a query without the white space and semicolons at its ends. Its normal form is not computed yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryText<'t> {
    // INVARIANT: trimmed, and not empty.
    text: &'t str,
}

impl<'t> QueryText<'t> {
    /// Trims `text`, without reading what is between its ends. Fails like [`NormalForm::of`].
    pub(crate) fn of(text: &'t str, max_bytes: usize) -> Result<Self, QueryError> {
        if text.len() > max_bytes {
            return Err(QueryError::TooLong { found: text.len(), limit: max_bytes });
        }
        let text = trim(text);
        if text.is_empty() { Err(QueryError::Empty) } else { Ok(Self { text }) }
    }

    /// Computes the normal form. Cost: one pass over the text.
    pub(crate) fn normal_form(self) -> NormalForm<'t> {
        NormalForm { text: self.text, at: 0, fold: first_fold(self.text).unwrap_or(None) }
    }
}

impl<'t> NormalForm<'t> {
    /// Trims `text` and checks whether its white space may be folded.
    ///
    /// Cost: one pass over `text`. The iteration takes a second pass only if there is white space to fold.
    ///
    /// # Errors
    ///
    /// - [`QueryError::TooLong`] if the original `text` has more than `max_bytes` bytes (N4.4).
    /// - [`QueryError::Empty`] if the normal form is empty.
    ///
    /// ```
    /// use portcullis::query::{MAX_QUERY_BYTES, NormalForm, QueryError};
    ///
    /// assert!(NormalForm::of("select  1", MAX_QUERY_BYTES)?.is("select 1"));
    /// // Not plain: in some dialects the `#` starts a comment that the line feed ends.
    /// assert!(NormalForm::of("select 1 # \n", MAX_QUERY_BYTES)?.is("select 1 #"));
    /// assert!(NormalForm::of("select #\n 1", MAX_QUERY_BYTES)?.is("select #\n 1"));
    /// assert_eq!(NormalForm::of(";", MAX_QUERY_BYTES).unwrap_err(), QueryError::Empty);
    /// # Ok::<(), QueryError>(())
    /// ```
    pub fn of(text: &'t str, max_bytes: usize) -> Result<Self, QueryError> {
        QueryText::of(text, max_bytes).map(QueryText::normal_form)
    }

    /// Returns whether the remaining pieces make up `normal`, the [`as_str`](super::Query::as_str) of a query.
    ///
    /// Cost: linear in the shorter of the two. Does not allocate.
    ///
    /// ```
    /// use portcullis::query::{NormalForm, Query};
    ///
    /// let granted = Query::parse("select 1;", 100)?;
    /// assert!(NormalForm::of("select\n1", 100)?.is(granted.as_str()));
    /// # Ok::<(), portcullis::query::QueryError>(())
    /// ```
    #[must_use]
    pub fn is(&self, normal: &str) -> bool {
        let mut left = normal;
        for piece in self.clone() {
            match left.strip_prefix(piece) {
                Some(after) => left = after,
                None => return false,
            }
        }
        left.is_empty()
    }
}

impl<'t> Iterator for NormalForm<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let piece = match self.fold {
            Some(fold) if fold.start == self.at => {
                self.at = fold.end;
                // Cannot fail: `first_fold` has already walked the plain text to its end.
                self.fold = next_fold(self.text, fold.end).unwrap_or(None);
                if fold.after_comment { "\n" } else { " " }
            }
            fold => {
                let end = fold.map_or(self.text.len(), |fold| fold.start);
                let piece = self.text.get(self.at..end)?;
                self.at = end;
                piece
            }
        };
        (!piece.is_empty()).then_some(piece)
    }
}

impl FusedIterator for NormalForm<'_> {}

/// Returns the first run to fold of a plain text.
fn first_fold(text: &str) -> Result<Option<Fold>, NotPlain> {
    if !has_wide_space(text.as_bytes()) {
        // Nothing to fold, plain or not.
        return Ok(None);
    }
    let first = next_fold(text, 0)?;
    let mut last = first;
    while let Some(fold) = last {
        last = next_fold(text, fold.end)?;
    }
    Ok(first)
}

/// Removes ASCII white space at both ends and semicolons at the end (N4.2).
fn trim(text: &str) -> &str {
    text.trim_start_matches(is_space_char).trim_end_matches(|last| last == ';' || is_space_char(last))
}

fn is_space_char(character: char) -> bool {
    u8::try_from(character).is_ok_and(is_space)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::query::{MAX_QUERY_BYTES, NormalForm, Query, QueryError};

    fn normal(text: &str) -> String {
        Query::parse(text, MAX_QUERY_BYTES).map(|query| query.as_str().to_owned()).unwrap_or_default()
    }

    #[test]
    fn texts_have_a_normal_form() {
        let long = "s".repeat(MAX_QUERY_BYTES);
        for (text, want, why) in [
            ("select 1", "select 1", "already normal"),
            (" \t\n\r\x0Cselect 1 ; ;\n;", "select 1", "white space at both ends, semicolons at the end"),
            ("; select  1", "; select 1", "a semicolon at the start stays"),
            ("select\t1", "select 1", "a run of one is folded too"),
            ("select \r\n\x0C 1", "select 1", "any run is one space"),
            ("select\x0B 1", "select\x0B 1", "a vertical tab is not white space"),
            ("select\u{a0} 1", "select\u{a0} 1", "nor is a no-break space"),
            ("SELECT  é", "SELECT é", "letters keep their case"),
            ("a  'b  c'  d", "a 'b  c' d", "quotes keep theirs"),
            ("a  \"b  c\"  d", "a \"b  c\" d", "double quotes"),
            ("a  `b  c`  d", "a `b  c` d", "back quotes"),
            ("a  'it''s  b'  c", "a 'it''s  b' c", "a doubled quote"),
            ("a  '\"  `'  c", "a '\"  `' c", "other quotes in quotes"),
            ("a  ''  b", "a '' b", "an empty string"),
            ("a  '--  b'  c", "a '--  b' c", "no comment in quotes"),
            ("a  '/*  b'  c", "a '/*  b' c", "no block comment in quotes"),
            ("a  /*  b  */  c", "a /*  b  */ c", "block comments keep theirs"),
            ("a  /*  'b  */  c", "a /*  'b  */ c", "a quote in a comment is no quote"),
            ("a  /* -- */  c", "a /* -- */ c", "a line comment does not start in a block comment"),
            ("a  /**/  c", "a /**/ c", "the shortest comment"),
            ("a  /***/  c", "a /***/ c", "stars in a comment"),
            ("2*/*  c  */*  3", "2*/*  c  */* 3", "stars around a comment"),
            ("a  --  b  \n  c", "a --  b  \nc", "a line comment ends in one line feed"),
            ("a --b\n\n\t c", "a --b\nc", "with the white space after it"),
            ("a --b\r\nc", "a --b\r\nc", "the carriage return belongs to the comment"),
            ("a --b \r\n  c", "a --b \r\nc", "also before a longer run"),
            ("a -- 'b\n  c", "a -- 'b\nc", "a quote in a line comment is no quote"),
            ("a -- /* b\n  c", "a -- /* b\nc", "nor is a block comment"),
            ("a  --", "a --", "a line comment to the end"),
            ("a --  b ;", "a --  b", "the end is trimmed in a comment too"),
            ("a - -  b", "a - - b", "two minus signs apart"),
            ("a  $1", "a $1", "a numbered parameter"),
            ("a  $", "a $", "a dollar at the end"),
            ("a  / *  b", "a / * b", "division and a star"),
            ("a ''  ''  b", "a '' '' b", "two strings"),
        ] {
            assert_eq!(normal(text), want, "{text:?}: {why}");
            assert_eq!(normal(want), want, "{want:?}: idempotent");
            let form = NormalForm::of(text, MAX_QUERY_BYTES).unwrap();
            assert!(
                form.is(want) && !form.is(&format!("{want}x")) && !form.is("") && form.is(normal(want).as_str()),
                "{text:?}"
            );
        }
        assert_eq!(
            NormalForm::of("select 1 from t where a = 'x'", 100).unwrap().count(),
            1,
            "a normal text is one piece"
        );
        assert!(Query::parse(&long, MAX_QUERY_BYTES).is_ok());
        for (text, max_bytes, want) in [
            ("", 10, QueryError::Empty),
            (" \t;\n; ", 10, QueryError::Empty),
            ("select 1  ", 9, QueryError::TooLong { found: 10, limit: 9 }),
            (
                &format!("{long} "),
                MAX_QUERY_BYTES,
                QueryError::TooLong { found: MAX_QUERY_BYTES + 1, limit: MAX_QUERY_BYTES },
            ),
        ] {
            assert_eq!(Query::parse(text, max_bytes), Err(want.clone()));
            assert_eq!(NormalForm::of(text, max_bytes).unwrap_err(), want);
        }
    }

    #[test]
    fn texts_that_are_not_plain_keep_their_white_space() {
        for (text, why) in [
            ("a  \\b", "a backslash"),
            ("a  '\\'  b'", "a backslash in quotes"),
            ("a  # b", "a hash"),
            ("a  -- #\n  b", "a hash in a comment"),
            ("a  // b", "two slashes"),
            ("a  'https://b'", "two slashes in quotes"),
            ("a  /* //  */  b", "two slashes in a comment"),
            ("a  /* b *//c", "two slashes of which the first ends a comment"),
            ("a  /*// */", "two slashes after the start of a comment"),
            ("a  '''  b'''", "a triple quote"),
            ("a  ''''  b", "four quotes"),
            ("a  \"\"\"b\"\"\"", "a triple double quote"),
            ("a  -- '''\n  b", "a triple quote in a comment"),
            ("a  $$b  c$$", "a dollar quote"),
            ("a  $b$", "a dollar quote with a tag"),
            ("a  $_", "a dollar and an underscore"),
            ("a  $é", "a dollar and a letter"),
            ("a  '$b'", "a dollar and a letter in quotes"),
            ("a  /* /* */  b", "a comment in a comment"),
            ("a  /*/*/  b", "the same, overlapping its end"),
            ("a  /* b /*/  c", "the same, at the end"),
            ("a  'b", "an open quote"),
            ("a  \"b", "an open double quote"),
            ("a  `b", "an open back quote"),
            ("a  '''", "an open quote after a string"),
            ("a  /* b", "an open comment"),
            ("a  /*/", "a comment whose end is not its start"),
            ("a  -- b\rc", "a carriage return alone in a line comment"),
            ("a  -- b\r\r\n  c", "one of two"),
        ] {
            assert_eq!(normal(&format!(" \n{text} ;")), text, "{why}");
        }
    }

    proptest! {
        #[test]
        fn normal_form_is_idempotent_and_equals_its_pieces(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    " ", "  ", "\n", "\r", "\r\n", "\t", ";", "'", "''", "\"", "`", "--", "-", "/*", "*/", "/", "*", "$", "$1", "\\", "#", "a",
                    "é", "_", "select", "-- c\n", "/* c  */", "'  '", "\x0B",
                ]),
                0..24,
            ),
            other in 0_usize..24,
        ) {
            let text = parts.concat();
            let once = normal(&text);
            prop_assert_eq!(normal(&once), once.clone());
            if let Ok(form) = NormalForm::of(&text, MAX_QUERY_BYTES) {
                prop_assert_eq!(form.clone().collect::<String>(), once.clone());
                prop_assert!(form.clone().all(|piece| !piece.is_empty()));
                prop_assert!(form.is(&once));
                let shorter: String = once.chars().take(other).collect();
                prop_assert_eq!(form.is(&shorter), shorter == once);
            }
        }
    }
}
