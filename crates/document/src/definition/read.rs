//! From text to shapes, in one pass.

use serde::Deserialize;

use super::document::{Checked, Document};
use super::field::{Element, Field, Read};
use super::form::{Form, without_bom};
use super::shape::Token;
use super::syntax::SyntaxError;
use super::tokens::{Forgotten, Tokens};

/// What a text that is no document is told.
const FORMS: &str = "an object with `tokens`, a list of tokens, or one token a line";

/// Reads a document in any of its forms: an object with `tokens`, a list of tokens, or one token a line.
///
/// Takes linear time in the length of `text` and borrows from it what is written without escapes. Tokens are only
/// passed over; each is read when it is asked for. Everything that is JSON is read: see [`Document::problems`] for what
/// has the wrong shape. A byte order mark at the beginning is skipped.
///
/// # Errors
///
/// Where `text` is empty, is not JSON, or is neither an object nor a list. In JSON Lines a line that is not JSON
/// spoils only itself: it is an [`Element::Unread`] of `tokens`, and a problem of the document. So is a token with a
/// value that JSON can write but nobody can read, which spoils its document.
///
/// # Examples
///
/// ```
/// use portcullis_document::definition::read;
///
/// let document = read("{\"id\": \"a\", \"allowed_apis\": [\"lds\"]}\n{\"id\": \"b\",}\n")?;
/// let [problem] = document.problems().try_into().unwrap();
/// assert_eq!(problem.to_string(), "tokens[1]: trailing comma at line 2 column 12");
/// # Ok::<(), portcullis_document::definition::SyntaxError>(())
/// ```
pub fn read(text: &str) -> Result<Document<'_>, SyntaxError> {
    let body = without_bom(text);
    let start = text.len() - body.len();
    let error = |error: serde_json::Error| SyntaxError::of_json(&error, text, body, start);
    // Passing over a token expects other things of it than reading it does: what is said comes from reading.
    let list = |passed: serde_json::Error| error(whole::<Read<Forgotten>>(body).err().unwrap_or(passed));
    let object = |passed: serde_json::Error| error(whole::<Read<Checked<'_>>>(body).err().unwrap_or(passed));
    let mut tokens: Tokens<'_> = match Form::of(body) {
        Form::Empty => return Err(SyntaxError::new(format!("expected {FORMS}, found nothing"), text, start)),
        Form::Document | Form::Other => {
            let Read(document) = whole::<Read<Document<'_>>>(body).map_err(object)?;
            let first = start + body.len() - body.trim_ascii_start().len();
            let mut document =
                document.map_err(|found| SyntaxError::new(format!("expected {FORMS}, found {found}"), text, first))?;
            if let Field::Found(tokens) = &mut document.tokens {
                tokens.stand_in(text);
            }
            return Ok(document);
        }
        Form::List => whole::<Read<Tokens<'_>>>(body).map_err(list)?.0.unwrap_or_default(),
        Form::Token => {
            whole::<Element<Token<'_>>>(body).map_err(error)?;
            Tokens::one(body)
        }
        Form::Lines => Tokens::lines(body),
    };
    tokens.stand_in(text);
    Ok(Document { tokens: Field::Found(tokens), ..Document::default() })
}

/// All of `text` as one value.
fn whole<'t, T: Deserialize<'t>>(text: &'t str) -> serde_json::Result<T> {
    serde_json::from_str(text)
}
