//! Copies of documents that can be stored: a digest replaces every secret (N11.5).

use serde::Serialize;

use super::{Input, Loaded};
use crate::definition::{Api, Connection, Document, Element, Field, Grant, Secret, SyntaxError, Text, Token};
use crate::lower::LoweredToken;
use portcullis::model::SecretDigest;

/// A document without its tokens.
#[derive(Serialize)]
struct Head<'a> {
    version: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    connections: Vec<StoredConnection<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    apis: Vec<StoredApi<'a>>,
}

#[derive(Serialize)]
struct StoredConnection<'a> {
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dialect: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    named_sources_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    case_sensitive: Option<bool>,
}

#[derive(Serialize)]
struct StoredApi<'a> {
    name: Option<&'a str>,
    accepts: Vec<&'a str>,
}

#[derive(Serialize)]
struct StoredToken<'a> {
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    token_sha256: Option<String>,
    allowed_apis: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grants: Vec<StoredGrant<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    referers: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_date: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<&'a str>,
}

#[derive(Serialize)]
struct StoredGrant<'a> {
    connection_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
}

impl Loaded {
    /// Returns the inputs in a form that can be stored: a digest replaces every secret, and the tokens that were left out
    /// are missing. They load as the same policy, without errors. `None` if there is no policy, or without
    /// [`LoadOptions::digested`](super::LoadOptions::digested).
    ///
    /// ```
    /// use portcullis_document::load::{Input, LoadOptions, load};
    ///
    /// let inputs = [Input::new("policy.json", r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["lds"]}]"#)];
    /// let kept = load(&inputs, &LoadOptions { digested: true, ..LoadOptions::default() }).into_digested().unwrap();
    /// assert!(!kept[0].text().contains("s3cret"));
    /// let digest = *load(&kept, &LoadOptions::default()).policy.unwrap().tokens()[0].digest();
    /// assert_eq!(digest, portcullis::model::SecretDigest::of("s3cret"));
    /// ```
    pub fn into_digested(self) -> Option<Vec<Input>> {
        self.digested
    }
}

/// Writes the tokens of documents while they are lowered.
pub(super) struct Digests {
    /// The elements of the list of tokens of each document. `None` if one could not be written.
    tokens: Vec<Option<String>>,
}

impl Digests {
    pub(super) fn new(documents: usize) -> Self {
        Self { tokens: vec![Some(String::new()); documents] }
    }

    pub(super) fn token(&mut self, lowered: &LoweredToken<'_, '_>) {
        let Some(tokens) = self.tokens.get_mut(lowered.origin.document) else { return };
        let json = serde_json::to_string(&token(lowered.written)).ok();
        *tokens = tokens.take().zip(json).map(|(mut tokens, json)| {
            tokens.push_str(if tokens.is_empty() { "\n" } else { ",\n" });
            tokens.push_str(&json);
            tokens
        });
    }

    /// Returns the documents with the tokens so far.
    pub(super) fn documents(self, inputs: &[Input], read: &[Result<Document<'_>, SyntaxError>]) -> Option<Vec<Input>> {
        let written = inputs.iter().zip(read).zip(self.tokens);
        let document = |((input, document), tokens): ((&Input, &Result<Document<'_>, SyntaxError>), Option<String>)| {
            Some(Input::new(input.name(), write(document.as_ref().ok()?, &tokens?)?))
        };
        written.map(document).collect()
    }
}

fn write(document: &Document<'_>, tokens: &str) -> Option<String> {
    let head = Head {
        version: 1,
        connections: elements(&document.connections).map(connection).collect(),
        apis: elements(&document.apis).map(api).collect(),
    };
    let mut text = serde_json::to_string(&head).ok()?;
    text.truncate(text.len() - 1);
    text.push_str(",\"tokens\":[");
    text.push_str(tokens);
    text.push_str("\n]}\n");
    Some(text)
}

fn connection<'a>(connection: &'a Connection<'_>) -> StoredConnection<'a> {
    StoredConnection {
        name: text(&connection.name),
        dialect: text(&connection.dialect),
        named_sources_only: connection.named_sources_only.found().copied(),
        case_sensitive: connection.case_sensitive.found().copied(),
    }
}

fn api<'a>(api: &'a Api<'_>) -> StoredApi<'a> {
    StoredApi { name: text(&api.name), accepts: texts(&api.accepts) }
}

fn token<'a>(token: &'a Token<'_>) -> StoredToken<'a> {
    let digest = token.token.found().map(|secret| SecretDigest::of(secret.expose()).to_hex());
    StoredToken {
        id: text(&token.id),
        name: nullable(&token.name),
        owner: nullable(&token.owner),
        token_sha256: digest.or_else(|| token.token_sha256.found().map(|digest| digest_again(digest))),
        allowed_apis: texts(&token.allowed_apis),
        grants: elements(&token.grants).map(grant).collect(),
        referers: texts(&token.referers),
        expiration_date: nullable(&token.expiration_date),
        created_at: nullable(&token.created_at),
    }
}

/// Normalizes a digest. Text that is not a digest is dropped: it may be a secret.
fn digest_again(digest: &Secret<'_>) -> String {
    SecretDigest::from_hex(digest.expose()).map(|digest| digest.to_hex()).unwrap_or_default()
}

fn grant<'a>(grant: &'a Grant<'_>) -> StoredGrant<'a> {
    StoredGrant { connection_name: text(&grant.connection_name), source: text(&grant.source), kind: text(&grant.kind) }
}

fn text<'a>(field: &'a Field<Text<'_>>) -> Option<&'a str> {
    field.found().map(|text| &**text)
}

fn nullable<'a>(field: &'a Field<Option<Text<'_>>>) -> Option<&'a str> {
    field.found()?.as_deref()
}

fn texts<'a>(field: &'a Field<Vec<Element<Text<'_>>>>) -> Vec<&'a str> {
    elements(field).map(|text| &**text).collect()
}

fn elements<T>(field: &Field<Vec<Element<T>>>) -> impl Iterator<Item = &T> {
    field.found().into_iter().flatten().filter_map(|element| match element {
        Element::Found(value) => Some(value),
        Element::Wrong(_) | Element::Unread(_) | Element::Rest(_) => None,
    })
}
