//! Writes a suggestion as a policy document.

use serde::Serialize;

use super::{SuggestedGrant, Suggestion, TokenAdvice};
use portcullis::model::{Api, Connection, Expiry, GrantSource, MAX_APIS, Policy, Referers, Token};
use portcullis::name::Dialect;

#[derive(Serialize)]
struct DocumentJson<'a> {
    version: u32,
    connections: Vec<ConnectionJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    apis: Vec<ApiJson<'a>>,
    tokens: Vec<TokenJson<'a>>,
}

#[derive(Serialize)]
struct ConnectionJson<'a> {
    name: &'a str,
    dialect: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    named_sources_only: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    case_sensitive: bool,
}

#[derive(Serialize)]
struct ApiJson<'a> {
    name: &'a str,
    accepts: Vec<&'a str>,
}

#[derive(Serialize)]
struct TokenJson<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    token_sha256: String,
    allowed_apis: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    grants: Vec<GrantJson<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    referers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
}

#[derive(Serialize)]
struct GrantJson<'a> {
    connection_name: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    source: &'a str,
}

impl Suggestion {
    /// Returns the document of `policy` with the suggested grants, and with digests instead of secrets.
    pub fn document(&self, policy: &Policy) -> String {
        let tokens = policy.tokens().iter().zip(&self.tokens);
        let kept = tokens.filter(|(_, suggested)| suggested.advice != TokenAdvice::UnusedDropped);
        let document = DocumentJson {
            version: 1,
            connections: policy.connections().iter().map(connection).collect(),
            // The first four APIs are built in.
            apis: policy.apis().iter().map(|(_, api)| api).take(MAX_APIS).skip(4).map(api).collect(),
            tokens: kept.map(|(token, suggested)| self::token(policy, token, &suggested.grants)).collect(),
        };
        serde_json::to_string_pretty(&document).unwrap_or_default()
    }
}

fn connection(connection: &Connection) -> ConnectionJson<'_> {
    ConnectionJson {
        name: connection.name(),
        dialect: connection.dialect().as_str(),
        named_sources_only: connection.named_sources_only(),
        case_sensitive: connection.dialect().is_case_sensitive(),
    }
}

fn api(api: &Api) -> ApiJson<'_> {
    let accepts =
        api.considers(portcullis::model::Operation::Query).iter().map(portcullis::model::GrantKind::as_str).collect();
    ApiJson { name: api.name(), accepts }
}

fn token<'a>(policy: &'a Policy, token: &'a Token, grants: &'a [SuggestedGrant]) -> TokenJson<'a> {
    TokenJson {
        id: token.id(),
        name: token.name(),
        owner: token.owner(),
        token_sha256: token.digest().to_hex(),
        allowed_apis: token.apis().iter().filter_map(|api| policy.apis().get(api)).map(Api::name).collect(),
        grants: grants.iter().map(|grant| self::grant(policy, grant)).collect(),
        referers: match token.referers() {
            Referers::Any => Vec::new(),
            Referers::Only(set) => set.entries().map(|entry| entry.to_string()).collect(),
        },
        expiration_date: match token.expiry() {
            Expiry::Never => None,
            Expiry::At(end) => Some(end.to_string()),
        },
        created_at: token.created_at().map(|at| at.to_string()),
    }
}

/// Writes a grant; adds the type if the text alone would be read as another type.
fn grant<'a>(policy: &Policy, grant: &'a SuggestedGrant) -> GrantJson<'a> {
    let connection = policy.connections().iter().find(|connection| connection.name() == grant.connection);
    let dialect: Dialect = connection.map(Connection::dialect).unwrap_or_default();
    let guessed = GrantSource::guess(&grant.source, dialect, policy.limits()).is_ok_and(|source| source == grant.of);
    let kind = (!guessed).then(|| grant.of.kind().as_str());
    GrantJson { connection_name: &grant.connection, kind, source: &grant.source }
}
