//! Reads a text into shapes in one pass.

use serde::Deserialize;

use super::document::{Checked, Document};
use super::field::{Element, Field, Read};
use super::form::{Form, without_bom};
use super::shape::Token;
use super::syntax::SyntaxError;
use super::tokens::{Forgotten, Tokens};

/// The forms of a document, for messages.
const FORMS: &str = "an object with `tokens`, a list of tokens, or one token a line";

/// Reads a document in any of its forms: an object with `tokens`, a list of tokens, or one token a line.
///
/// Takes linear time in the length of `text` and borrows strings without escapes. Tokens are skipped, and parsed on
/// demand. All JSON is read: [`Document::problems`] lists the values of the wrong shape. A byte order mark at the start
/// is skipped.
///
/// # Errors
///
/// If `text` is empty, is not JSON, or is neither an object nor a list. In JSON Lines a line that is not JSON affects
/// only itself: it is an [`Element::Unread`] of `tokens`, and a problem of the document. A token with a value that JSON
/// can write but no reader accepts is an [`Element::Unread`], too, and invalidates its document.
///
/// # Examples
///
/// ```
/// use portcullis_document::definition::read;
///
/// let document = read("{\"id\": \"a\", \"allowed_apis\": [\"lds\"]}\n{\"id\": \"b\",}\n")?;
/// let [problem] = document.problems().try_into().unwrap();
/// assert_eq!(problem.to_string(), "tokens[1]: expected a value after the comma at line 2 column 12");
/// # Ok::<(), portcullis_document::definition::SyntaxError>(())
/// ```
pub fn read(text: &str) -> Result<Document<'_>, SyntaxError> {
    let body = without_bom(text);
    let start = text.len() - body.len();
    let error = |error: serde_json::Error| SyntaxError::of_json(&error, text, body, start);
    // Skipping a token and parsing it report different errors: the message is that of parsing.
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
                tokens.set_text(text);
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
    tokens.set_text(text);
    Ok(Document { tokens: Field::Found(tokens), ..Document::default() })
}

/// Parses all of `text` as one value.
fn whole<'t, T: Deserialize<'t>>(text: &'t str) -> serde_json::Result<T> {
    serde_json::from_str(text)
}
