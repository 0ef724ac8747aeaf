//! Between records and policy documents. Tokens are read by [`load`], as those of policy files are: there is no second
//! set of rules.

use serde::Serialize;

use super::error::{RegistryError, Result, storage};
use super::record::{Api, Connection, Grant, Token};
use super::storage::{Records, Which};
use portcullis::model::{Expiry, Policy};
use portcullis_document::load::{Diagnostic, Input, LoadOptions, load};

/// A policy document.
#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    connections: &'a [Connection],
    #[serde(skip_serializing_if = "<[Api]>::is_empty")]
    apis: &'a [Api],
    tokens: &'a [Draft],
}

/// A token as a document writes it, to be read by the rules.
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

/// A grant; one without a type is read as N6 says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct DraftGrant {
    pub(super) connection_name: String,
    pub(super) source: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<&'static str>,
}

impl From<&Token> for Draft {
    fn from(token: &Token) -> Self {
        let grant = |grant: &Grant| DraftGrant {
            connection_name: grant.connection.clone(),
            source: grant.source.clone(),
            kind: Some(grant.kind.as_str()),
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

/// All that the registry knows, as a policy document; of tokens, `which`.
pub(super) fn document(records: &mut dyn Records, which: Which<'_>) -> Result<String> {
    let tokens: Vec<_> = records.tokens(which)?.iter().map(Draft::from).collect();
    write(&records.connections()?, &records.apis()?, &tokens)
}

pub(super) fn write(connections: &[Connection], apis: &[Api], tokens: &[Draft]) -> Result<String> {
    let document = Document { version: 1, connections, apis, tokens };
    let mut text = serde_json::to_string_pretty(&document)
        .map_err(|error| storage(format!("cannot write JSON: {error}"), "nothing was changed"))?;
    text.push('\n');
    Ok(text)
}

/// What the registry declares beside tokens, as a document to read others with.
pub(super) fn declarations(connections: &[Connection], apis: &[Api]) -> Result<Input> {
    Ok(Input::new("the registry", write(connections, apis, &[])?))
}

/// Reads `drafts` by the rules; also what is legal but surely unintended.
pub(super) fn settle(records: &mut dyn Records, drafts: &[Draft]) -> Result<(Vec<Token>, Vec<Diagnostic>)> {
    let text = write(&records.connections()?, &records.apis()?, drafts)?;
    let options = LoadOptions { warnings: true, ..LoadOptions::default() };
    let (policy, warnings) = usable(&[Input::new("the registry", text)], &options)?;
    let token = |(draft, token): (&Draft, &portcullis::model::Token)| settled(draft, &policy, token);
    Ok((drafts.iter().zip(policy.tokens()).map(token).collect(), warnings))
}

/// The policy of `inputs` and its warnings, or everything that is wrong with them.
pub(super) fn usable(inputs: &[Input], options: &LoadOptions) -> Result<(Policy, Vec<Diagnostic>)> {
    let loaded = load(inputs, options);
    let warnings = loaded.warnings().cloned().collect();
    match loaded.into_policy() {
        Ok(policy) => Ok((policy, warnings)),
        Err(error) => Err(RegistryError::Definition(error.diagnostics().to_vec())),
    }
}

/// The record of a draft that was read as `token` of `policy`.
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

/// Each once, where it stands first.
pub(super) fn unique<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut list = Vec::new();
    for value in values {
        if !list.contains(&value) {
            list.push(value);
        }
    }
    list
}
