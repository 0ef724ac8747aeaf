//! Token definitions as they are written (N11): the shapes of a document, read leniently, and their positions in the
//! text.
//!
//! [`read`] passes over the text once and fails only if it is not JSON. Its [`Tokens`] are parsed one by one, on
//! demand. Values of the wrong shape stay in the [`Document`], so that [`Document::problems`] can list all of them at
//! once:
//!
//! ```
//! use portcullis_document::definition::read;
//!
//! let text = r#"{"tokens": [{"id": "a", "token": "s3cret", "allowed_apis": "maps", "referrers": []}]}"#;
//! let document = read(text)?;
//! let problems: Vec<String> = document.problems().iter().map(ToString::to_string).collect();
//! assert_eq!(problems, [
//!     "tokens[0].referrers: unknown field `referrers`, did you mean `referers`?",
//!     "tokens[0].allowed_apis: expected a list, found a string",
//! ]);
//! # Ok::<(), portcullis_document::definition::SyntaxError>(())
//! ```
//!
//! The layer above interprets the values: it may reject a document without problems.
//!
//! Three forms are read: an object with `tokens`, a bare list of tokens, and JSON Lines with one token a line. In all
//! of them the JSON path of a token is `tokens[i]`. [`locate`] turns JSON paths into spans of the text, [`LineIndex`]
//! turns offsets into lines and columns.

mod document;
mod field;
mod form;
mod json_message;
mod lines;
mod locate;
mod object;
mod present;
mod problem;
mod read;
mod shape;
mod synonyms;
mod syntax;
#[cfg(test)]
mod tests;
mod tokens;

pub use document::Document;
pub use field::{Element, Field, Kind, Secret, Text};
pub use field::{Lenient, Name};
pub use json_message::json_message;
pub use lines::{LineIndex, Position};
pub use locate::{Target, locate};
pub use object::{FromObject, Object};
pub use present::present;
pub(crate) use problem::MAX_PATH;
pub use problem::{Problem, ProblemKind, Problems};
pub use read::read;
pub use shape::{Api, Connection, Grant, Token};
pub use syntax::SyntaxError;
pub use tokens::Tokens;
