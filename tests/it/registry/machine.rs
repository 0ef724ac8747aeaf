//! Random commands, run by the registry and by a model that is a few lists. Results, listings, and the decisions for every
//! secret must be equal.

use std::collections::BTreeMap;

use portcullis::base::Timestamp;
use portcullis::{Options, Request, Snapshot, Source, decide};
use portcullis_document::load::{self, Input};
use portcullis_registry::record::Usage;
use portcullis_registry::{Actor, NewToken, Registry, TokenEdit};
use proptest::prelude::*;

pub(crate) const USERS: [&str; 2] = ["ana", "bo"];
pub(crate) const CONNECTIONS: [&str; 2] = ["c0", "c1"];
pub(crate) const NAMES: [&str; 3] = ["one", "two", "three"];
pub(crate) const SOURCES: [&str; 3] = ["s.a", "s.b", "s.*"];
const DAY: i64 = 86_400;

/// One command. Numbers are indices into the names above.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    AddConnection(usize),
    DeleteConnection(usize),
    Create {
        user: usize,
        name: usize,
        grant: (usize, usize),
        days: Option<u8>,
    },
    Rename {
        user: usize,
        all: bool,
        name: usize,
        to: usize,
    },
    AddGrant {
        user: usize,
        all: bool,
        name: usize,
        grant: (usize, usize),
    },
    RemoveGrant {
        user: usize,
        all: bool,
        name: usize,
        grant: (usize, usize),
    },
    Rotate {
        user: usize,
        all: bool,
        name: usize,
        overlap: Option<u8>,
    },
    Delete {
        user: usize,
        all: bool,
        name: usize,
        force: bool,
    },
    /// Only if time can be moved.
    Use {
        user: usize,
        name: usize,
    },
    /// Only if time can be moved.
    Wait(u8),
    Prune {
        user: usize,
        all: bool,
    },
}

pub(crate) fn op(timed: bool) -> impl Strategy<Value = Op> {
    let (user, name, all) = (0..USERS.len(), 0..NAMES.len(), prop::bool::weighted(0.2));
    let grant = (0..CONNECTIONS.len(), 0..SOURCES.len());
    let who = (user.clone(), all, name.clone());
    let days = prop::option::of(1..20_u8);
    let timeless = prop_oneof![
        3 => (0..CONNECTIONS.len()).prop_map(Op::AddConnection),
        1 => (0..CONNECTIONS.len()).prop_map(Op::DeleteConnection),
        6 => (user.clone(), name.clone(), grant.clone(), days.clone())
            .prop_map(|(user, name, grant, days)| Op::Create { user, name, grant, days }),
        1 => (who.clone(), name.clone()).prop_map(|((user, all, name), to)| Op::Rename { user, all, name, to }),
        2 => (who.clone(), grant.clone())
            .prop_map(|((user, all, name), grant)| Op::AddGrant { user, all, name, grant }),
        2 => (who.clone(), grant).prop_map(|((user, all, name), grant)| Op::RemoveGrant { user, all, name, grant }),
        2 => (who.clone(), days).prop_map(|((user, all, name), overlap)| Op::Rotate { user, all, name, overlap }),
        2 => (who, any::<bool>()).prop_map(|((user, all, name), force)| Op::Delete { user, all, name, force }),
        1 => (user.clone(), all).prop_map(|(user, all)| Op::Prune { user, all }),
    ];
    let moved =
        prop_oneof![(user, name).prop_map(|(user, name)| Op::Use { user, name }), (1..10_u8).prop_map(Op::Wait),];
    if timed { prop_oneof![4 => timeless, 1 => moved].boxed() } else { timeless.boxed() }
}

/// The result of a command: success, with the secret if one was created; or a refusal.
pub(crate) type CommandResult = Result<Option<String>, ()>;

/// A token as both sides list it: owner, name, grants, days until its expiry.
pub(crate) type ListedToken = (String, String, Vec<(String, String)>, Option<i64>);

/// A subject that runs commands.
pub(crate) trait Subject {
    fn run(&mut self, op: &Op) -> CommandResult;
    fn shown(&mut self, user: &str) -> Vec<ListedToken>;
    fn document(&mut self) -> String;
    fn now(&self) -> Timestamp;
}

#[derive(Debug, Clone)]
struct Token {
    owner: usize,
    name: String,
    grants: Vec<(usize, usize)>,
    end: Option<i64>,
    used: Option<i64>,
    secret: String,
}

/// The model of a registry.
#[derive(Default)]
struct Model {
    connections: Vec<usize>,
    tokens: Vec<Token>,
    /// Secrets that are no longer valid.
    dead: Vec<String>,
    day: i64,
}

impl Model {
    /// Runs a command. `secret` is the secret that the subject created, if any. `Err` means a refusal.
    fn run(&mut self, op: &Op, secret: Option<String>) -> Result<(), ()> {
        match *op {
            Op::AddConnection(connection) => {
                if self.connections.contains(&connection) {
                    return Err(());
                }
                self.connections.push(connection);
            }
            Op::DeleteConnection(connection) => {
                let is_granted = |token: &Token| token.grants.iter().any(|grant| grant.0 == connection);
                if !self.connections.contains(&connection) || self.tokens.iter().any(is_granted) {
                    return Err(());
                }
                self.connections.retain(|known| *known != connection);
            }
            Op::Create { user, name, grant, days } => {
                if !self.connections.contains(&grant.0) || self.taken(user, NAMES[name]) {
                    return Err(());
                }
                let end = days.map(|days| self.day + i64::from(days));
                let secret = secret.unwrap_or_default();
                let name = NAMES[name].to_owned();
                self.tokens.push(Token { owner: user, name, grants: vec![grant], end, used: None, secret });
            }
            Op::Rename { user, all, name, to } => {
                let at = self.find(user, all, name)?;
                if name != to && self.taken(self.tokens[at].owner, NAMES[to]) {
                    return Err(());
                }
                NAMES[to].clone_into(&mut self.tokens[at].name);
            }
            Op::AddGrant { user, all, name, grant } => {
                let at = self.find(user, all, name)?;
                if !self.connections.contains(&grant.0) {
                    return Err(());
                }
                if !self.tokens[at].grants.contains(&grant) {
                    self.tokens[at].grants.push(grant);
                }
            }
            Op::RemoveGrant { user, all, name, grant } => {
                let at = self.find(user, all, name)?;
                let grants = &mut self.tokens[at].grants;
                if !grants.contains(&grant) || grants.len() == 1 {
                    return Err(());
                }
                grants.retain(|known| *known != grant);
            }
            Op::Rotate { user, all, name, overlap } => {
                let at = self.find(user, all, name)?;
                if self.tokens[at].end.is_some_and(|end| self.day >= end) {
                    return Err(());
                }
                let old = self.tokens[at].clone();
                self.tokens[at].secret = secret.unwrap_or_default();
                match overlap {
                    None => self.dead.push(old.secret),
                    Some(days) => {
                        let until = self.day + i64::from(days);
                        let end = Some(old.end.map_or(until, |end| end.min(until)));
                        self.tokens.push(Token { name: "old".to_owned(), end, ..old });
                    }
                }
            }
            Op::Delete { user, all, name, force } => {
                let at = self.find(user, all, name)?;
                if !force && self.tokens[at].used.is_some_and(|used| self.day - used < 7) {
                    return Err(());
                }
                let token = self.tokens.remove(at);
                self.dead.push(token.secret);
            }
            Op::Use { user, name } => {
                let at = self.find(user, false, name)?;
                self.tokens[at].used = Some(self.day);
            }
            Op::Wait(days) => self.day += i64::from(days),
            Op::Prune { user, all } => {
                let is_due =
                    |token: &Token| (all || token.owner == user) && token.end.is_some_and(|end| self.day >= end);
                let (due, rest) = self.tokens.drain(..).partition::<Vec<_>, _>(is_due);
                self.dead.extend(due.into_iter().map(|token| token.secret));
                self.tokens = rest;
            }
        }
        Ok(())
    }

    fn taken(&self, owner: usize, name: &str) -> bool {
        self.tokens.iter().any(|token| token.owner == owner && token.name == name)
    }

    /// Finds the only token with that name that the user may see.
    fn find(&self, user: usize, all: bool, name: usize) -> Result<usize, ()> {
        let is = |token: &Token| token.name == NAMES[name] && (all || token.owner == user);
        let found: Vec<_> = (0..self.tokens.len()).filter(|&at| is(&self.tokens[at])).collect();
        if let [at] = found[..] { Ok(at) } else { Err(()) }
    }

    fn shown(&self, user: usize) -> Vec<ListedToken> {
        let shown = |token: &Token| {
            let grant = |&(connection, source): &(usize, usize)| {
                (CONNECTIONS[connection].to_owned(), SOURCES[source].to_owned())
            };
            let grants = token.grants.iter().map(grant).collect();
            (USERS[token.owner].to_owned(), token.name.clone(), grants, token.end.map(|end| end - self.day))
        };
        let mut list: Vec<_> = self.tokens.iter().filter(|token| token.owner == user).map(shown).collect();
        list.sort();
        list
    }

    /// Returns for every secret whether each name on each connection is allowed.
    fn decisions(&self) -> BTreeMap<String, Vec<bool>> {
        let none = self.dead.iter().map(|secret| (secret.clone(), vec![false; REQUESTS.len()]));
        let some = self.tokens.iter().map(|token| {
            let lives = token.end.is_none_or(|end| self.day < end);
            let allows = |&(connection, name): &(usize, &str)| {
                lives
                    && token
                        .grants
                        .iter()
                        .any(|grant| grant.0 == connection && (SOURCES[grant.1] == name || SOURCES[grant.1] == "s.*"))
            };
            (token.secret.clone(), REQUESTS.iter().map(allows).collect())
        });
        none.chain(some).collect()
    }
}

const REQUESTS: [(usize, &str); 4] = [(0, "s.a"), (0, "s.c"), (1, "s.b"), (1, "s.a")];

/// Runs every command on both sides, and compares everything observable after each.
pub(crate) fn compare(subject: &mut impl Subject, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for op in ops {
        let answer = subject.run(op);
        let expected = model.run(op, answer.clone().ok().flatten());
        prop_assert_eq!(answer.is_ok(), expected.is_ok(), "{:?}", op);
        for (at, user) in USERS.into_iter().enumerate() {
            prop_assert_eq!(subject.shown(user), model.shown(at), "{} after {:?}", user, op);
        }
        let document = subject.document();
        let snapshot = Snapshot::compile(&load::policy(document.clone()).unwrap(), &Options::default()).unwrap();
        let now = subject.now();
        for (secret, allowed) in model.decisions() {
            prop_assert!(!document.contains(&secret));
            let allows = |&(connection, name): &(usize, &str)| {
                let request = Request::new("maps", CONNECTIONS[connection]).secret(&secret);
                decide(&snapshot, &request.source(Source::Resource(name)), now).is_allow()
            };
            prop_assert_eq!(REQUESTS.iter().map(allows).collect::<Vec<_>>(), allowed, "after {:?}", op);
        }
    }
    Ok(())
}

const START: i64 = 1_800_000_000;

/// The registry as a library, with a clock of its own.
struct Library {
    registry: Registry,
    day: i64,
}

impl Library {
    fn actor(&self, user: usize, all: bool) -> Actor {
        let actor = Actor::new(USERS[user], self.now()).unwrap();
        if all { actor.for_all_users() } else { actor }
    }
}

impl Subject for Library {
    fn run(&mut self, op: &Op) -> CommandResult {
        let pair = |grant: (usize, usize)| (CONNECTIONS[grant.0].to_owned(), SOURCES[grant.1].to_owned());
        let edit = |this: &mut Self, user, all, name: usize, edit: TokenEdit| {
            let actor = this.actor(user, all);
            this.registry.update_token(&actor, NAMES[name], &edit).map(|_| None)
        };
        let span = |days: Option<u8>| days.map(|days| format!("{days}d"));
        let done = match *op {
            Op::AddConnection(at) => self
                .registry
                .add_connection(&self.actor(0, false), CONNECTIONS[at], "generic", None, false)
                .map(|_| None),
            Op::DeleteConnection(at) => {
                self.registry.delete_connection(&self.actor(0, false), CONNECTIONS[at]).map(|_| None)
            }
            Op::Create { user, name, grant, days } => {
                let new = NewToken {
                    name: Some(NAMES[name].to_owned()),
                    apis: vec!["maps".to_owned()],
                    grants: vec![pair(grant)],
                    referers: Vec::new(),
                    expiration: span(days),
                    typed_grants: Vec::new(),
                };
                let created = self.registry.create_token(&self.actor(user, false), &new);
                created.map(|created| Some(created.secret.expose().to_owned()))
            }
            Op::Rename { user, all, name, to } => {
                edit(self, user, all, name, TokenEdit { name: Some(NAMES[to].to_owned()), ..TokenEdit::default() })
            }
            Op::AddGrant { user, all, name, grant } => {
                edit(self, user, all, name, TokenEdit { add_grants: vec![pair(grant)], ..TokenEdit::default() })
            }
            Op::RemoveGrant { user, all, name, grant } => {
                edit(self, user, all, name, TokenEdit { remove_grants: vec![pair(grant)], ..TokenEdit::default() })
            }
            Op::Rotate { user, all, name, overlap } => {
                let actor = self.actor(user, all);
                let rotated = self.registry.rotate_token(&actor, NAMES[name], span(overlap).as_deref(), None);
                rotated.map(|rotated| Some(rotated.secret.expose().to_owned()))
            }
            Op::Delete { user, all, name, force } => {
                self.registry.delete_token(&self.actor(user, all), NAMES[name], force).map(|_| None)
            }
            Op::Use { user, name } => {
                let actor = self.actor(user, false);
                self.registry.token(&actor, NAMES[name]).map(|token| {
                    let usage = Usage { token: token.id, allowed: 1, last_used: self.now() };
                    self.registry.record_usage(&[usage]).unwrap();
                    None
                })
            }
            Op::Wait(days) => {
                self.day += i64::from(days);
                Ok(None)
            }
            Op::Prune { user, all } => self.registry.prune_tokens(&self.actor(user, all), None).map(|_| None),
        };
        done.map_err(drop)
    }

    fn shown(&mut self, user: &str) -> Vec<ListedToken> {
        let now = self.day * DAY + START;
        let actor = Actor::new(user, Timestamp::from_unix(now, 0)).unwrap();
        let shown = |token: portcullis_registry::record::Token| {
            let name = if token.name == token.id { "old".to_owned() } else { token.name };
            let grants = token.grants.into_iter().map(|grant| (grant.connection, grant.source)).collect();
            (token.owner, name, grants, token.expiration_date.map(|end| (end.seconds() - now) / DAY))
        };
        let mut list: Vec<_> = self.registry.tokens(&actor).unwrap().into_iter().map(shown).collect();
        list.sort();
        list
    }

    fn document(&mut self) -> String {
        self.registry.policy_document().unwrap()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.day * DAY + START, 0)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn library_matches_the_model(ops in prop::collection::vec(op(true), 1..40)) {
        let mut library = Library { registry: Registry::in_memory().unwrap(), day: 0 };
        compare(&mut library, &ops)?;

        // Exported, imported into an empty registry and exported again: the same bytes.
        let all = library.actor(0, true);
        let exported = library.registry.export(&all).unwrap();
        let mut copy = Registry::in_memory().unwrap();
        copy.import(&all, &Input::new("export", exported.clone())).unwrap();
        prop_assert_eq!(copy.export(&all).unwrap(), exported);

        // Every revision has its entries, and no entry belongs to another revision.
        let trail = library.registry.trail(&all).unwrap();
        let mut revisions: Vec<_> = trail.iter().map(|entry| entry.revision).collect();
        revisions.dedup();
        prop_assert_eq!(revisions, (1..=library.registry.revision().unwrap()).collect::<Vec<_>>());
        prop_assert!(trail.iter().zip(1..).all(|(entry, number)| entry.number == number));
    }
}
