//! Conversion between records and policy documents. Tokens are read by [`load`], as those of policy files are: there is
//! no second set of rules.

use std::borrow::Cow;

use serde::Serialize;

use super::error::{RegistryError, Result, storage};
use super::record::{Api, Connection, Grant, Token};
use super::storage::{Declared, Records, TokenFilter};
use portcullis::model::{Expiry, Policy};
use portcullis_document::load::{Diagnostic, Input, LoadOptions, Severity, load};

/// A policy document.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    connections: &'a [Connection],
    #[serde(skip_serializing_if = "<[Api]>::is_empty")]
    apis: &'a [Api],
    tokens: &'a [Draft],
}

/// The parts of a policy document before its tokens.
#[derive(Serialize)]
struct Declarations<'a> {
    version: u32,
    connections: &'a [Connection],
    #[serde(skip_serializing_if = "<[Api]>::is_empty")]
    apis: &'a [Api],
}

/// A token in the form that a document writes, before the rules are applied.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) token_sha256: String,
    pub(super) allowed_apis: Vec<String>,
    pub(super) grants: Vec<DraftGrant>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) referers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expiration_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) created_at: Option<String>,
}

/// A grant. N6 decides the type of a grant without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct DraftGrant {
    pub(super) connection_name: String,
    pub(super) source: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<Cow<'static, str>>,
}

impl From<&Token> for Draft {
    fn from(token: &Token) -> Self {
        let grant = |grant: &Grant| DraftGrant {
            connection_name: grant.connection.clone(),
            source: grant.source.clone(),
            kind: Some(grant.kind.as_str().into()),
        };
        Self {
            id: token.id.clone(),
            name: token.name.clone(),
            owner: token.owner.clone(),
            token_sha256: token.digest.to_hex(),
            allowed_apis: token.allowed_apis.clone(),
            grants: token.grants.iter().map(grant).collect(),
            referers: token.referers.clone(),
            expiration_date: token.expiration_date.map(|instant| instant.to_string()),
            created_at: token.created_at.map(|instant| instant.to_string()),
        }
    }
}

/// Returns everything that the registry declares, with the tokens in `filter`, as a policy document.
pub(super) fn document(records: &mut dyn Records, which: TokenFilter<'_>) -> Result<String> {
    let tokens: Vec<_> = records.tokens(which)?.iter().map(Draft::from).collect();
    write(&records.connections()?, &records.apis()?, &tokens)
}

/// Returns everything that the registry declares and every token as a policy document, one token a line.
pub(super) fn compact_document(records: &mut dyn Records) -> Result<String> {
    let declarations = Declarations { version: 1, connections: &records.connections()?, apis: &records.apis()? };
    let declarations = serde_json::to_string(&declarations)
        .map_err(|error| storage(format!("cannot write JSON: {error}"), "nothing was changed"))?;
    let tokens = records.token_documents()?;
    let mut text =
        String::with_capacity(declarations.len() + tokens.iter().map(|token| token.len() + 2).sum::<usize>() + 16);
    text.push_str(declarations.strip_suffix('}').unwrap_or(&declarations));
    text.push_str(",\"tokens\":[");
    for (index, token) in tokens.iter().enumerate() {
        text.push_str(if index == 0 { "\n" } else { ",\n" });
        text.push_str(token);
    }
    text.push_str("\n]}\n");
    Ok(text)
}

pub(super) fn write(connections: &[Connection], apis: &[Api], tokens: &[Draft]) -> Result<String> {
    let document = Document { version: 1, connections, apis, tokens };
    let mut text = serde_json::to_string_pretty(&document)
        .map_err(|error| storage(format!("cannot write JSON: {error}"), "nothing was changed"))?;
    text.push('\n');
    Ok(text)
}

/// Returns the connections and APIs as a document, against which other documents are read.
pub(super) fn declarations(connections: &[Connection], apis: &[Api]) -> Result<Input> {
    Ok(Input::new("the registry", write(connections, apis, &[])?))
}

/// Reads `drafts` by the rules, with grants on `connections`. Also returns warnings about valid but probably unintended texts.
pub(super) fn settle(
    connections: &[Connection],
    declared: &mut dyn Declared,
    drafts: &[Draft],
) -> Result<(Vec<Token>, Vec<Diagnostic>)> {
    let text = write(connections, &declared.apis()?, drafts)?;
    let options = LoadOptions { warnings: true, ..LoadOptions::default() };
    let (policy, warnings) = usable(&[Input::new("the registry", text)], &options)?;
    let token = |(draft, token): (&Draft, &portcullis::model::Token)| settled(draft, &policy, token);
    Ok((drafts.iter().zip(policy.tokens()).map(token).collect(), warnings))
}

/// Checks that every database can store the sources of a draft. PostgreSQL stores no text with U+0000, which SQL texts may have
/// by the rules of documents.
pub(super) fn check_storable(draft: &Draft) -> Result<()> {
    let wrong = draft.grants.iter().enumerate().filter(|(_, grant)| grant.source.contains('\0'));
    let diagnostics: Vec<_> = wrong
        .map(|(index, _)| Diagnostic {
            severity: Severity::Error,
            code: "control_character",
            file: "the registry".to_owned(),
            path: format!("tokens[0].grants[{index}].source"),
            line: 0,
            column: 0,
            span: None,
            message: NUL.into(),
            help: "remove the character".into(),
        })
        .collect();
    if diagnostics.is_empty() { Ok(()) } else { Err(RegistryError::Definition(diagnostics)) }
}

/// The problem of a text that a registry does not store.
pub(super) const NUL: &str = "the source has the character U+0000, which a registry does not store";

/// Returns the policy of `inputs` and its warnings, or every error.
pub(super) fn usable(inputs: &[Input], options: &LoadOptions) -> Result<(Policy, Vec<Diagnostic>)> {
    let loaded = load(inputs, options);
    let warnings = loaded.warnings().cloned().collect();
    match loaded.into_policy() {
        Ok(policy) => Ok((policy, warnings)),
        Err(error) => Err(RegistryError::Definition(error.diagnostics().to_vec())),
    }
}

/// Returns the record of a draft that was read as `token` of `policy`.
pub(super) fn settled(draft: &Draft, policy: &Policy, token: &portcullis::model::Token) -> Token {
    let grant = |(draft, grant): (&DraftGrant, &portcullis::model::Grant)| Grant {
        connection: policy.connection(grant.connection()).map_or_else(String::new, |known| known.name().to_owned()),
        kind: grant.source().kind(),
        source: draft.source.clone(),
    };
    Token {
        id: draft.id.clone(),
        name: draft.name.clone(),
        owner: draft.owner.clone(),
        digest: *token.digest(),
        allowed_apis: unique(draft.allowed_apis.iter().cloned()),
        grants: unique(draft.grants.iter().zip(token.grants()).map(grant)),
        referers: unique(draft.referers.iter().cloned()),
        expiration_date: match token.expiry() {
            Expiry::Never => None,
            Expiry::At(end) => Some(end),
        },
        created_at: token.created_at(),
    }
}

/// Removes duplicates, and keeps the first of each.
pub(super) fn unique<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut list = Vec::new();
    for value in values {
        if !list.contains(&value) {
            list.push(value);
        }
    }
    list
}
