//! Finds the tokens that can read a source, and the sources that one token can read. Each result is confirmed by a
//! decision.
//!
//! ```
//! use portcullis_audit::who_can::readers;
//! use portcullis_diff::witness::RequestedSource;
//! use portcullis::{Options, Snapshot};
//!
//! let policy = portcullis_document::read_policy(
//!     r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps", "sql"],
//!          "grants": [{"connection_name": "dw", "source": "db.sales.*"}]}]"#,
//! )?;
//! let snapshot = Snapshot::compile(&policy, &Options::default())?;
//! let source = RequestedSource::Resource("db.sales.orders".to_owned());
//! let found = readers(&policy, &snapshot, "dw", &source, "2026-11-24".parse()?);
//! assert_eq!((found[0].token.id(), found[0].ways.len()), ("a", 2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::reads::Followed;
use portcullis::base::Timestamp;
use portcullis::decision::Decision;
use portcullis::model::{Api, Connection, Grant, GrantSource, Operation, Policy, Token};
use portcullis::name::Name;
use portcullis::snapshot::Snapshot;
use portcullis_diff::compare::{any_referer, any_source};
use portcullis_diff::witness::{RequestedSource, Unconfirmed, Witness};

/// A token that may read a source.
#[derive(Debug, Clone)]
pub struct Reader<'p> {
    /// The token.
    pub token: &'p Token,
    /// The APIs and grants that allow it; at least one.
    pub ways: Vec<Way<'p>>,
}

/// How a grant gives access to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The grant covers the source.
    Granted,
    /// The grant is a query or named source that reads the table.
    Read,
    /// The grant is a query or named source that may read the table: its calls may, or what it reads is not known.
    MayRead,
}

/// An API under which a source may be read, or written for `imports`.
#[derive(Debug, Clone, Copy)]
pub struct Way<'p> {
    /// The API.
    pub api: &'p Api,
    /// The operation under the API.
    pub operation: Operation,
    /// The index of the most specific grant that allows it (N10).
    pub grant: usize,
    /// How the grant gives access.
    pub access: Access,
}

const OPERATIONS: [Operation; 2] = [Operation::Query, Operation::Model];

/// Returns every token of `policy`, compiled to `snapshot`, that may read `source` on `connection` at `now`.
///
/// Every [`Way`] is [`Access::Granted`]. Decides one request for each token and API, with a referer that the token accepts. Decides a second one if the
/// operations of the API consider different grants. Linear in the tokens.
pub fn readers<'p>(
    policy: &'p Policy,
    snapshot: &Snapshot,
    connection: &str,
    source: &RequestedSource,
    now: Timestamp,
) -> Vec<Reader<'p>> {
    let reader = |token: &'p Token| {
        let ways: Vec<Way<'p>> = ways(policy, token)
            .filter_map(|(api, operation)| {
                let witness = witness(token, api, operation, connection, source.clone(), now);
                let Decision::Allow(allow) = witness.decide(snapshot) else { return None };
                let grant = *allow.grants().first()? as usize;
                Some(Way { api, operation, grant, access: Access::Granted })
            })
            .collect();
        (!ways.is_empty()).then_some(Reader { token, ways })
    };
    policy.tokens().iter().filter_map(reader).collect()
}

/// Returns every token that may run, at `now`, a query or named source that reads the table `name` on `connection`, or
/// that may read it: through a call, or because what it reads is not known.
///
/// `followed` has the tables and the calls of the queries. Each grant is decided under each API of its token. Linear in
/// the grants.
pub fn readers_through<'p>(
    policy: &'p Policy,
    snapshot: &Snapshot,
    connection: &Connection,
    name: &Name,
    followed: &Followed<'_>,
    now: Timestamp,
) -> Vec<Reader<'p>> {
    let access = |grant: &Grant| {
        if policy.connection(grant.connection()) != Some(connection) {
            return None;
        }
        let Ok(reads) = followed.outcome(grant.connection(), grant.source())? else { return Some(Access::MayRead) };
        if reads.tables.iter().any(|table| table.may_be(name)) {
            Some(Access::Read)
        } else {
            (!reads.beyond.is_empty()).then_some(Access::MayRead)
        }
    };
    let reader = |token: &'p Token| {
        let grants = token.grants().iter().enumerate();
        let grants = grants.filter_map(|(at, grant)| Some((at, access(grant)?, source(grant.source())?)));
        let ways = grants.flat_map(|(grant, access, source)| {
            ways(policy, token).filter_map(move |(api, operation)| {
                let witness = witness(token, api, operation, connection.name(), source.clone(), now);
                witness.decide(snapshot).is_allow().then_some(Way { api, operation, grant, access })
            })
        });
        let ways: Vec<Way<'p>> = ways.collect();
        (!ways.is_empty()).then_some(Reader { token, ways })
    };
    policy.tokens().iter().filter_map(reader).collect()
}

fn source(source: &GrantSource) -> Option<RequestedSource> {
    match source {
        GrantSource::Query(query) => Some(RequestedSource::Query(query.as_str().to_owned())),
        GrantSource::NamedSource(name) => Some(RequestedSource::NamedSource(name.as_str().to_owned())),
        _ => None,
    }
}

/// The access that one grant gives.
#[derive(Debug, Clone)]
pub struct Reach<'p> {
    /// The grant.
    pub grant: &'p Grant,
    /// The APIs under which the grant counts; empty if no API of the token considers it.
    pub apis: Vec<&'p Api>,
    /// A request that the grant allows.
    pub witness: Option<Witness>,
}

/// Returns the access that each grant of `token` gives at `now`, with one request that `snapshot` allows.
///
/// # Errors
///
/// Returns an error if a decision denies such a request of an unexpired token, which is a bug.
pub fn reach<'p>(
    policy: &'p Policy,
    snapshot: &Snapshot,
    token: &'p Token,
    now: Timestamp,
) -> Result<Vec<Reach<'p>>, Unconfirmed> {
    token.grants().iter().map(|grant| of_grant(policy, snapshot, token, grant, now)).collect()
}

fn of_grant<'p>(
    policy: &'p Policy,
    snapshot: &Snapshot,
    token: &'p Token,
    grant: &'p Grant,
    now: Timestamp,
) -> Result<Reach<'p>, Unconfirmed> {
    let kind = grant.source().kind();
    let mut reach = Reach { grant, apis: Vec::new(), witness: None };
    let Some(connection) = policy.connection(grant.connection()) else { return Ok(reach) };
    let Some(source) = any_source(grant, connection) else { return Ok(reach) };
    for (api, operation) in ways(policy, token).filter(|(api, operation)| api.considers(*operation).contains(kind)) {
        if !token.expiry().is_expired(now) {
            let witness = witness(token, api, operation, connection.name(), source.clone(), now);
            witness.confirm(snapshot, "the grant allows it", true)?;
            reach.witness.get_or_insert(witness);
        }
        if reach.apis.last().is_none_or(|last| last.name() != api.name()) {
            reach.apis.push(api);
        }
    }
    Ok(reach)
}

/// Returns the APIs of a token that need a source, each with the operations that consider different grants.
pub(super) fn ways<'p>(policy: &'p Policy, token: &Token) -> impl Iterator<Item = (&'p Api, Operation)> {
    let apis = token.apis().iter().filter_map(|id| policy.apis().get(id)).filter(|api| api.needs_source());
    apis.flat_map(|api| {
        let differs = |operation: &Operation| {
            *operation == Operation::Query || api.considers(*operation) != api.considers(Operation::Query)
        };
        OPERATIONS.into_iter().filter(differs).map(move |operation| (api, operation))
    })
}

pub(super) fn witness(
    token: &Token,
    api: &Api,
    operation: Operation,
    connection: &str,
    source: RequestedSource,
    at: Timestamp,
) -> Witness {
    Witness {
        token: token.id().to_owned(),
        digest: *token.digest(),
        api: api.name().to_owned(),
        operation,
        connection: connection.to_owned(),
        source,
        referer: any_referer(token.referers()),
        at,
    }
}
