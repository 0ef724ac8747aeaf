//! The outermost object of a document (N11.1).

use serde::de::{IgnoredAny, MapAccess};

use super::field::{Element, Field, Lenient, Name};
use super::problem::{Problem, Problems, Report, Stray, Strays, Trail, report_strays};
use super::shape::{Api, Connection, shape};
use super::tokens::{Forgotten, Tokens};

shape! {
    /// A policy document in any of the three forms.
    ///
    /// ```
    /// use portcullis_document::definition::read;
    ///
    /// let token = r#"{"id": "a", "token": "s3cret", "allowed_apis": ["lds"]}"#;
    /// let object = format!(r#"{{"tokens": [{token}]}}"#);
    /// let list = format!("[{token}]");
    /// assert_eq!(read(&object)?, read(&list)?);
    /// assert_eq!(read(&list)?, read(token)?);
    /// # Ok::<(), portcullis_document::definition::SyntaxError>(())
    /// ```
    pub Document {
        /// The version of the format: 1.
        "version" version: u64, optional;
        /// Data warehouses that need more than a name.
        "connections" connections: Vec<Element<Connection<'t>>>, optional;
        /// APIs beyond the built-in ones.
        "apis" apis: Vec<Element<Api<'t>>>, optional;
        /// The tokens.
        "tokens" tokens: Tokens<'t>, required;
    }
}

shape! {
    /// A document that is parsed for its first error. Unlike [`Document`], it parses the tokens too.
    pub(super) Checked {
        "version" version: u64, optional;
        "connections" connections: Vec<Element<Connection<'t>>>, optional;
        "apis" apis: Vec<Element<Api<'t>>>, optional;
        "tokens" tokens: Forgotten, required;
    }
}

impl Document<'_> {
    /// Returns all problems of shape, in the order of the tokens. Lists the first thousand malformed elements of a
    /// list, and the first thousand unknown fields of an object.
    ///
    /// Parses each token.
    ///
    /// ```
    /// use portcullis_document::definition::read;
    ///
    /// let document = read(r#"{"version": 1, "token": []}"#)?;
    /// let [problem] = document.problems().try_into().unwrap();
    /// assert_eq!(problem.to_string(), "token: unknown field `token`, did you mean `tokens`?");
    /// # Ok::<(), portcullis_document::definition::SyntaxError>(())
    /// ```
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.own_problems(usize::MAX).into_kept();
        for (index, token) in self.tokens.found().into_iter().flat_map(Tokens::iter).enumerate() {
            problems.extend(token.problems(index, usize::MAX).into_kept());
        }
        problems
    }

    /// Returns the first `max` problems of shape outside the tokens, and counts all of them.
    pub(crate) fn own_problems(&self, max: usize) -> Problems {
        let mut problems = Problems::up_to(max);
        self.report(&Trail::Root, &mut problems);
        problems
    }
}
