//! What a secret is worth, by the policy.

use std::collections::{HashMap, HashSet};

use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::Timestamp;
use portcullis::model::{Connection, Expiry, GrantSource, Policy, Referers, SecretDigest, Token};
use portcullis_audit::coverage::Coverage;
use portcullis_audit::exposure::{Batch, Exposure, NameCounts};
use portcullis_registry::{Location, Registry};
use portcullis_scan::{Finding, Prefixes};
use portcullis_secret::SecretKind;
use serde::Serialize;

use super::foreign::Foreign;
use crate::audit::{CatalogArgs, each_name};
use crate::output::{Color, counted, grouped};
use crate::policy::PolicyArgs;

/// Names of a catalog that are counted at once.
const BATCH: usize = 4096;

/// How urgent a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// The secret is live, and opens more than a public page should.
    High,
    /// The policy does not know the secret. It may be live elsewhere.
    Unknown,
    /// The secret is live, and made for public pages: few APIs, narrow grants, referers.
    Public,
    /// The secret is no longer accepted.
    Expired,
}

/// What the policy knows of a secret.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Standing {
    pub(super) severity: Severity,
    /// `live`, `overlap`, `expired` or `unknown`.
    pub(super) status: &'static str,
    /// The reasons for the severity.
    pub(super) reasons: Vec<String>,
    /// `token` or `m2m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) credential: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) owner: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) apis: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) grants: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) referers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) catalog: Option<Share>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) help: Option<String>,
}

/// The standings of the secrets that a policy has.
pub(super) struct Standings {
    known: HashMap<SecretDigest, Standing>,
    has_policy: bool,
    /// Whether the catalog was read completely.
    pub(super) complete: bool,
    /// The tokens whose secrets a scan does not find.
    pub(super) foreign: Foreign,
}

/// The share of a catalog that a token reads.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Share {
    pub(super) reads: u64,
    pub(super) names: u64,
}

/// A finding and its standing.
pub(super) struct Judged<'r> {
    pub(super) finding: &'r Finding,
    pub(super) standing: Standing,
}

impl Severity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Unknown => "unknown",
            Self::Public => "public",
            Self::Expired => "expired",
        }
    }
}

impl<'r> Judged<'r> {
    pub(super) fn new(finding: &'r Finding, standings: &Standings) -> Self {
        let reason = if standings.has_policy {
            "the policy does not have it: it may be live elsewhere"
        } else {
            "it was not compared with a policy"
        };
        let standing = standings.known.get(&finding.digest).cloned().unwrap_or_else(|| Standing {
            credential: match finding.kind() {
                Some(SecretKind::Client) => Some("m2m"),
                Some(SecretKind::Token) => Some("token"),
                Some(SecretKind::Access) => Some("access token"),
                Some(SecretKind::Refresh) => Some("refresh token"),
                None => None,
            },
            help: standings.has_policy.then(|| "revoke it where it was created".to_owned()),
            ..Standing::of(Severity::Unknown, "unknown", vec![reason.to_owned()])
        });
        Self { finding, standing }
    }
}

impl Standing {
    fn of(severity: Severity, status: &'static str, reasons: Vec<String>) -> Self {
        Self {
            severity,
            status,
            reasons,
            credential: None,
            id: None,
            name: None,
            owner: None,
            apis: Vec::new(),
            grants: Vec::new(),
            referers: Vec::new(),
            expires: None,
            catalog: None,
            help: None,
        }
    }
}

/// Finds the credentials with these digests. Returns `None` if the policy has errors, and prints them.
pub(super) fn judge(
    digests: &HashSet<SecretDigest>,
    prefixes: &Prefixes,
    policy: &PolicyArgs,
    catalog: &CatalogArgs,
    color: Color,
) -> anyhow::Result<Option<Standings>> {
    let mut known = HashMap::new();
    if !policy.is_named() {
        return Ok(Some(Standings { known, has_policy: false, complete: true, foreign: Foreign::default() }));
    }
    let registry = policy.registry()?;
    let now = SystemClock.now();
    let mut overlaps = HashSet::new();
    if let Some(url) = &registry {
        let mut registry = Registry::open(&url.parse::<Location>()?, false)?;
        overlaps = registry.overlaps()?;
        for client in registry.clients_with(digests)? {
            let reasons = vec!["the client of a machine gets tokens for all its owner's rights".to_owned()];
            let Some(digest) = client.digest else { continue };
            let standing = Standing {
                credential: Some("m2m"),
                help: Some(format!("delete it: `portcullis credentials delete m2m {}`", client.id)),
                id: Some(client.id),
                name: Some(client.title),
                owner: Some(client.owner),
                ..Standing::of(Severity::High, "live", reasons)
            };
            known.insert(digest, standing);
        }
    }
    let Some((policy, inputs)) = policy.policy_and_inputs(color)? else { return Ok(None) };
    let mut foreign = Foreign::of(&inputs, prefixes);
    if inputs.is_empty() {
        foreign.digest_only = policy.tokens().len() as u64;
    }
    let found: Vec<_> =
        policy.tokens().iter().enumerate().filter(|(_, token)| digests.contains(token.digest())).collect();
    let (exposure, complete) = match &catalog.catalog {
        Some(_) if !found.is_empty() => {
            let (exposure, complete) = exposure(&policy, catalog, now, color)?;
            (Some(exposure), complete)
        }
        _ => (None, true),
    };
    for (index, token) in found {
        let mut standing = of_token(token, &policy, overlaps.contains(token.id()), now);
        if standing.severity == Severity::High {
            standing.help = Some(match registry {
                Some(_) if standing.status == "overlap" => {
                    format!("end the overlap: `portcullis credentials delete token {}`", token.id())
                }
                Some(_) => format!("replace the secret: `portcullis credentials rotate token {}`", token.id()),
                None => "replace the secret: write the digest of a new one to the policy".to_owned(),
            });
        }
        standing.catalog = exposure.as_ref().and_then(|exposure| {
            let token = exposure.tokens.get(index)?;
            Some(Share { reads: token.names + token.through_queries, names: exposure.names })
        });
        known.insert(*token.digest(), standing);
    }
    Ok(Some(Standings { known, has_policy: true, complete, foreign }))
}

fn of_token(token: &Token, policy: &Policy, is_overlap: bool, now: Timestamp) -> Standing {
    let apis: Vec<_> =
        token.apis().iter().filter_map(|id| policy.apis().get(id)).map(|api| api.name().to_owned()).collect();
    let referers: Vec<_> = match token.referers() {
        Referers::Any => Vec::new(),
        Referers::Only(set) => set.entries().map(|entry| entry.to_string()).collect(),
    };
    let (severity, status, reasons) = if token.expiry().is_expired(now) {
        (Severity::Expired, "expired", Vec::new())
    } else {
        let reasons = risks(token, &apis);
        let severity = if reasons.is_empty() { Severity::Public } else { Severity::High };
        (severity, if is_overlap { "overlap" } else { "live" }, reasons)
    };
    let grants = token.grants().iter().map(|grant| {
        let connection = policy.connection(grant.connection());
        let dialect = connection.map(Connection::dialect).unwrap_or_default();
        let name = connection.map(Connection::name).unwrap_or_default();
        format!("{name}: {}", grant.source().display(dialect))
    });
    Standing {
        credential: Some("token"),
        id: Some(token.id().to_owned()),
        name: token.name().map(str::to_owned),
        owner: token.owner().map(str::to_owned),
        grants: grants.collect(),
        apis,
        referers,
        expires: match token.expiry() {
            Expiry::At(end) => Some(end.to_string()),
            Expiry::Never => None,
        },
        ..Standing::of(severity, status, reasons)
    }
}

/// Returns what makes a live token more than public.
fn risks(token: &Token, apis: &[String]) -> Vec<String> {
    let mut risks = Vec::new();
    if token.grants().iter().any(|grant| *grant.source() == GrantSource::All) {
        risks.push("it reads all sources of a connection".to_owned());
    }
    let apis = apis.iter().filter(|api| !matches!(api.as_str(), "maps" | "lds"));
    risks.extend(apis.map(|api| format!("it may use the API `{api}`")));
    if matches!(token.referers(), Referers::Any) {
        risks.push("it works from every web site and program".to_owned());
    }
    risks
}

/// Counts the names of the catalog that each token reads.
fn exposure(policy: &Policy, catalog: &CatalogArgs, now: Timestamp, color: Color) -> anyhow::Result<(Exposure, bool)> {
    let coverage = Coverage::new(policy, now);
    let mut counts = NameCounts::default();
    let mut batches: Vec<Batch> = policy.connections().iter().map(|_| Batch::default()).collect();
    let mut line = 0;
    let complete = each_name(catalog, policy, color, |connection, name| {
        line += 1;
        let Some(id) = coverage.connection(connection) else {
            counts.unknown(line, connection, name);
            return true;
        };
        if let Some(batch) = batches.get_mut(id.index()) {
            batch.push(line, |text| text.push_str(name));
            if batch.len() >= BATCH {
                counts.see(&coverage, id, &std::mem::take(batch));
            }
        }
        true
    })?;
    for (connection, batch) in policy.connections().iter().zip(&batches) {
        if let Some(id) = coverage.connection(connection.name()) {
            counts.see(&coverage, id, batch);
        }
    }
    let exposure = Exposure::new(&coverage, counts);
    let complete = complete && exposure.broken == 0;
    Ok((exposure, complete))
}

impl Share {
    /// `reads 12 of 1,000 catalog names`.
    pub(super) fn text(self) -> String {
        format!("reads {} of {}", grouped(self.reads), counted(self.names, "catalog name"))
    }
}
