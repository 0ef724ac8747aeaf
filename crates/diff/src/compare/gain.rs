//! Finds what one token gains between two policies.

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use super::covered::{self, Covered, Is, covered};
use super::{Side, referers};
use crate::witness::{RequestedSource, Unconfirmed, Witness};
use portcullis::base::{Escaped, Timestamp};
use portcullis::model::{Api, ApiId, Expiry, Grant, GrantKind, GrantKinds, Operation, Policy, Token};

/// Something that a token newly allows, with a request that proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gain {
    /// The new permission.
    pub gained: Gained,
    /// A request that is newly allowed. `None` means that the search was given up; treat that as a gain.
    pub witness: Option<Witness>,
}

/// A new permission of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gained {
    /// The token itself.
    Token,
    /// An API.
    Api(String),
    /// All or some names that a grant covers.
    Grant {
        /// The name of the connection.
        connection: String,
        /// The kind of the grant.
        kind: GrantKind,
        /// The source, as the dialect of the connection writes it.
        source: String,
        /// The names of the APIs under which the access is new.
        apis: Vec<String>,
    },
    /// A referer entry; `None` means any referer, including none.
    Referer(Option<String>),
    /// A later expiry.
    Until(Expiry),
}

impl fmt::Display for Gained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => f.write_str("the token"),
            Self::Api(name) => write!(f, "API {}", Escaped::whole(name)),
            Self::Grant { connection, kind, source, apis } => {
                let kind = kind.as_str().replace('_', " ");
                let (source, connection) = (Escaped::whole(source), Escaped::whole(connection));
                write!(f, "{kind} {source} on {connection}, under {}", Escaped::whole(&apis.join(", ")))
            }
            Self::Referer(Some(entry)) => write!(f, "referer {}", Escaped::whole(entry)),
            Self::Referer(None) => f.write_str("any referer, and none"),
            Self::Until(Expiry::Never) => f.write_str("time without end"),
            Self::Until(Expiry::At(end)) => write!(f, "time until {end}"),
        }
    }
}

const OPERATIONS: [Operation; 2] = [Operation::Query, Operation::Model];

/// Returns what `token` of `new` allows, at `since` or later, that `known` denies: the token of `old` with the same
/// digest.
pub(super) fn gains(
    old: &Side<'_>,
    known: Option<&Token>,
    new: &Side<'_>,
    token: Option<&Token>,
    since: Timestamp,
) -> Result<Vec<Gain>, Unconfirmed> {
    let Some(token) = token.filter(|token| !token.expiry().is_expired(since)) else { return Ok(Vec::new()) };
    // A token that allows nothing gains nothing.
    let Some(sample) = sample(new.policy, token, since) else { return Ok(Vec::new()) };
    let Some(known) = known else {
        return confirmed(vec![Gain { gained: Gained::Token, witness: Some(sample) }], old, new);
    };
    let mut gains = Vec::new();
    if let Some(end) = end(known.expiry()).filter(|end| !token.expiry().is_expired(*end)) {
        let witness = Witness { at: end.max(since), ..sample.clone() };
        gains.push(Gain { gained: Gained::Until(token.expiry()), witness: Some(witness) });
    }
    for (entry, referer) in referers::gained(known.referers(), token.referers()) {
        let witness = Witness { referer, ..sample.clone() };
        let gained = Gained::Referer(entry.map(|entry| entry.as_str().to_owned()));
        gains.push(Gain { gained, witness: Some(witness) });
    }
    Accesses { old, known, new, token, sample: &sample, memo: HashMap::new() }.gains(&mut gains);
    confirmed(gains, old, new)
}

fn confirmed(mut gains: Vec<Gain>, old: &Side<'_>, new: &Side<'_>) -> Result<Vec<Gain>, Unconfirmed> {
    for gain in &mut gains {
        let Some(witness) = &gain.witness else { continue };
        witness.confirm(&new.snapshot, "it is newly allowed", true)?;
        witness.confirm(&old.snapshot, "it was not allowed before", false)?;
    }
    Ok(gains)
}

fn end(expiry: Expiry) -> Option<Timestamp> {
    match expiry {
        Expiry::Never => None,
        Expiry::At(end) => Some(end),
    }
}

/// Returns a request that `token` allows, if there is one.
pub(super) fn sample(policy: &Policy, token: &Token, at: Timestamp) -> Option<Witness> {
    token.apis().iter().find_map(|id| sample_of(policy, token, id, at))
}

/// Returns a request that `token` allows under one API, if there is one.
fn sample_of(policy: &Policy, token: &Token, id: ApiId, at: Timestamp) -> Option<Witness> {
    let api = policy.apis().get(id)?;
    let witness = |operation, connection: &str, source| Witness {
        token: token.id().to_owned(),
        digest: *token.digest(),
        api: api.name().to_owned(),
        operation,
        connection: connection.to_owned(),
        source,
        referer: referers::any(token.referers()),
        at,
    };
    if !api.needs_source() {
        return Some(witness(Operation::Query, "", RequestedSource::Nothing));
    }
    let mut accesses = OPERATIONS.into_iter().flat_map(|operation| {
        let considered = api.considers(operation);
        token
            .grants()
            .iter()
            .filter(move |grant| considered.contains(grant.source().kind()))
            .map(move |grant| (operation, grant))
    });
    accesses.find_map(|(operation, grant)| {
        let connection = policy.connection(grant.connection())?;
        Some(witness(operation, connection.name(), covered::any(grant, connection)?))
    })
}

/// The index of a grant that is not covered, and a source that proves it; `None` if undecided.
type Open = (usize, Option<RequestedSource>);

/// Compares the sources of two tokens under each API.
struct Accesses<'p> {
    old: &'p Side<'p>,
    known: &'p Token,
    new: &'p Side<'p>,
    token: &'p Token,
    sample: &'p Witness,
    /// By the grant kinds that the new and the old API consider: grants of the new token that the old one does not
    /// cover.
    memo: HashMap<(GrantKinds, GrantKinds), Rc<[Open]>>,
}

impl<'p> Accesses<'p> {
    fn gains(mut self, gains: &mut Vec<Gain>) {
        let mut grants: Vec<(usize, Gain)> = Vec::new();
        for id in self.token.apis().iter() {
            let Some(api) = self.new.policy.apis().get(id) else { continue };
            let Some(known) = self.known_api(api.name()) else {
                if let Some(witness) = sample_of(self.new.policy, self.token, id, self.sample.at) {
                    gains.push(Gain { gained: Gained::Api(api.name().to_owned()), witness: Some(witness) });
                }
                continue;
            };
            for operation in OPERATIONS {
                for (index, source) in &*self.open(api.considers(operation), known.considers(operation)) {
                    self.add(&mut grants, api, operation, *index, source.clone());
                }
            }
        }
        grants.sort_by_key(|(index, _)| *index);
        gains.extend(grants.into_iter().map(|(_, gain)| gain));
    }

    /// Returns the API of that name in the old policy, if the old token lists it.
    fn known_api(&self, name: &str) -> Option<&'p Api> {
        let id = self.old.policy.apis().find(name).filter(|id| self.known.apis().contains(*id))?;
        self.old.policy.apis().get(id)
    }

    fn open(&mut self, considered: GrantKinds, before: GrantKinds) -> Rc<[Open]> {
        let (old, new, known, token) = (self.old.policy, self.new.policy, self.known, self.token);
        let grants = || {
            let covered = covered(old, known, before);
            let grants = token.grants().iter().enumerate();
            let considered = grants.filter(|(_, grant)| considered.contains(grant.source().kind()));
            considered.filter_map(|(at, grant)| Some((at, open(new, grant, &covered)?))).collect()
        };
        Rc::clone(self.memo.entry((considered, before)).or_insert_with(grants))
    }

    /// Records that a grant is not covered under an API. Adds the API to an existing gain of the grant.
    fn add(
        &self,
        grants: &mut Vec<(usize, Gain)>,
        api: &Api,
        operation: Operation,
        at: usize,
        source: Option<RequestedSource>,
    ) {
        if let Some((_, Gain { gained: Gained::Grant { apis, .. }, .. })) =
            grants.iter_mut().find(|(index, _)| *index == at)
        {
            if apis.last().is_none_or(|last| last != api.name()) {
                apis.push(api.name().to_owned());
            }
            return;
        }
        let Some(grant) = self.token.grants().get(at) else { return };
        let Some(connection) = self.new.policy.connection(grant.connection()) else { return };
        let witness = |source| Witness {
            api: api.name().to_owned(),
            operation,
            connection: connection.name().to_owned(),
            source,
            ..self.sample.clone()
        };
        let witness = match source {
            Some(source) => Some(witness(source)),
            // An arbitrary request of the grant may still prove the gain.
            None => covered::any(grant, connection).map(witness).filter(|witness| {
                witness.decide(&self.new.snapshot).is_allow() && !witness.decide(&self.old.snapshot).is_allow()
            }),
        };
        let gained = Gained::Grant {
            connection: connection.name().to_owned(),
            kind: grant.source().kind(),
            source: grant.source().display(connection.dialect()),
            apis: vec![api.name().to_owned()],
        };
        grants.push((at, Gain { gained, witness }));
    }
}

/// Returns a source of `grant` that is not covered; `Some(None)` if undecided, `None` if the grant is covered.
#[expect(clippy::option_option, reason = "whether there is a gain, and whether it could be shown")]
fn open(policy: &Policy, grant: &Grant, covered: &HashMap<&str, Covered<'_>>) -> Option<Option<RequestedSource>> {
    let connection = policy.connection(grant.connection())?;
    let is = match covered.get(connection.name()) {
        Some(covered) => covered.covers(grant, connection),
        None => return covered::any(grant, connection).map(Some),
    };
    match is {
        Is::Covered => None,
        Is::Open(source) => Some(Some(source)),
        Is::Undecided => Some(None),
    }
}
