//! The document as a whole (N11.1).

use serde::de::{IgnoredAny, MapAccess};

use super::field::{Element, Field, Lenient, Name};
use super::problem::{Problem, Problems, Report, Stray, Strays, Trail, report_strays};
use super::shape::{Api, Connection, shape};
use super::tokens::{Forgotten, Tokens};

shape! {
    /// A policy document, whichever of the three forms it is written in.
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
    /// A document that is read for its first error: as [`Document`], but whatever is in a token is read with it.
    pub(super) Checked {
        "version" version: u64, optional;
        "connections" connections: Vec<Element<Connection<'t>>>, optional;
        "apis" apis: Vec<Element<Api<'t>>>, optional;
        "tokens" tokens: Forgotten, required;
    }
}

impl Document<'_> {
    /// Everything in the document that has the wrong shape, in the order of its tokens. Of a list with more than a thousand
    /// malformed elements, and of an object with more than a thousand unknown fields, the first thousand are listed.
    ///
    /// Reads each token for it.
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

    /// The first `max` problems of shape outside the tokens, and the number of all of them.
    pub(crate) fn own_problems(&self, max: usize) -> Problems {
        let mut problems = Problems::up_to(max);
        self.report(&Trail::Root, &mut problems);
        problems
    }
}
