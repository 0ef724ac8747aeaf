//! From text to shapes, in one pass.

use serde::Deserialize;

use super::field::{Element, Field, Read};
use super::form::{Form, trim, without_bom};
use super::shape::{Document, Token};
use super::syntax::SyntaxError;

/// What a text that is no document is told.
const FORMS: &str = "an object with `tokens`, a list of tokens, or one token a line";

/// Reads a document in any of its forms: an object with `tokens`, a list of tokens, or one token a line.
///
/// Takes linear time in the length of `text` and borrows from it what is written without escapes. Everything that is
/// JSON is read: see [`Document::problems`] for what has the wrong shape. A byte order mark at the beginning is skipped.
///
/// # Errors
///
/// Where `text` is empty, is not JSON, or is neither an object nor a list. In JSON Lines a line that is not JSON
/// spoils only itself: it is an [`Element::Unread`] of `tokens`, and a problem of the document.
///
/// # Examples
///
/// ```
/// use portcullis::definition::read;
///
/// let document = read("{\"id\": \"a\", \"allowed_apis\": [\"lds\"]}\n{\"id\": \"b\",}\n")?;
/// let [problem] = document.problems().try_into().unwrap();
/// assert_eq!(problem.to_string(), "tokens[1]: trailing comma at line 2 column 12");
/// # Ok::<(), portcullis::definition::SyntaxError>(())
/// ```
pub fn read(text: &str) -> Result<Document<'_>, SyntaxError> {
    let body = without_bom(text);
    let start = text.len() - body.len();
    let json = |error: serde_json::Error| SyntaxError::of_json(&error, text, body, start);
    let tokens = match Form::of(body) {
        Form::Empty => return Err(SyntaxError::new(format!("expected {FORMS}, found nothing"), text, start)),
        Form::Document | Form::Other => {
            let Read(document) = whole(body).map_err(json)?;
            let first = start + body.len() - body.trim_ascii_start().len();
            return document.map_err(|found| SyntaxError::new(format!("expected {FORMS}, found {found}"), text, first));
        }
        Form::List => whole(body).map_err(json)?,
        Form::Token => vec![whole(body).map_err(json)?],
        Form::Lines => lines(body, start),
    };
    Ok(Document { tokens: Field::Found(tokens), ..Document::default() })
}

/// All of `text` as one value.
fn whole<'t, T: Deserialize<'t>>(text: &'t str) -> serde_json::Result<T> {
    serde_json::from_str(text)
}

/// One token for each line of `body`, which begins at byte `start` of the text, that is not blank.
fn lines(body: &str, start: usize) -> Vec<Element<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut begin = start;
    for (index, line) in body.split('\n').enumerate() {
        if !trim(line).is_empty() {
            let token = whole(line);
            tokens.push(
                token.unwrap_or_else(|error| Element::Unread(SyntaxError::of_line(&error, line, index + 1, begin))),
            );
        }
        begin += line.len() + 1;
    }
    tokens
}
