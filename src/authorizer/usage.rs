//! Counts how tokens and grants are used, so that unused ones can be found.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;

use crate::base::Timestamp;
use crate::decision::{Decision, Reason};
use crate::model::SecretDigest;
use crate::snapshot::{Compiled, Row, Snapshot, TokenRef};

/// Usage counters by token id. It is cheap to clone; all clones share their counters, across all snapshots.
///
/// The counters of a token are kept when a snapshot does not contain it, and continue if the token returns. The
/// counters of a grant are not kept: a grant that returns starts from zero.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    tokens: Arc<DashMap<Box<str>, Arc<Counters>, foldhash::fast::RandomState>>,
    // Held while counters are carried over and their snapshot becomes current. It serializes swaps that count.
    swapping: Arc<Mutex<()>>,
}

/// The usage of a token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TokenUsage {
    /// The number of allowed requests.
    pub allowed: u64,
    /// The number of requests denied although the token was known, by reason. Reasons that never occurred are omitted.
    pub denied: BTreeMap<Reason, u64>,
    /// The instant of the last allowed request, to the second.
    pub last_used: Option<Timestamp>,
    /// The number of sources that each grant allowed, in the order of the token's list.
    pub grants: Vec<u64>,
}

type Map = rpds::HashTrieMapSync<SecretDigest, Arc<Counters>, foldhash::fast::RandomState>;

/// The counters of the tokens of one snapshot.
#[derive(Debug, Clone, Default)]
pub(super) struct TokenCounters {
    /// The counters of tokens of the compiled base, by row index.
    base: Arc<[Arc<Counters>]>,
    /// The counters of tokens that were edited since.
    edited: Map,
}

/// The counters of one token. Each counter is exact, but a read of several may happen while a decision is being
/// counted.
#[derive(Debug)]
pub(super) struct Counters {
    allowed: AtomicU64,
    denied: [AtomicU64; Reason::ALL.len()],
    last_used: AtomicI64,
    grants: Box<[GrantCounter]>,
}

#[derive(Debug)]
struct GrantCounter {
    /// The hash of the granted source, because the token's list may change while its id stays.
    grant: u64,
    allowed: AtomicU64,
}

const NEVER: i64 = i64::MIN;

impl Usage {
    /// Blocks other swaps that count. Readers never wait for the lock.
    pub(super) fn swapping(&self) -> MutexGuard<'_, ()> {
        self.swapping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the usage of the token with this id; `None` if no snapshot ever contained it.
    pub fn token(&self, id: &str) -> Option<TokenUsage> {
        self.tokens.get(id).map(|counters| counters.read())
    }

    /// Returns the usage of every token, in no particular order.
    pub fn tokens(&self) -> impl Iterator<Item = (Box<str>, TokenUsage)> {
        self.tokens.iter().map(|entry| (entry.key().clone(), entry.value().read()))
    }

    /// Returns the counters of each token of `snapshot`. Counts of earlier snapshots are carried over by token id and
    /// by granted source. Tokens that `snapshot` shares with the previous one keep their counters.
    ///
    /// The cost is linear in the number of tokens and grants:
    ///
    /// - of the tokens changed by the last edit, if `snapshot` is one edit after the previous one;
    /// - of the edited tokens, if the base is the same;
    /// - of all tokens otherwise.
    pub(super) fn counters(&self, snapshot: &Snapshot, before: Option<(&Snapshot, &TokenCounters)>) -> TokenCounters {
        let base = snapshot.base();
        let same_base = before.filter(|(before, _)| Arc::ptr_eq(before.base(), base));
        let mut counters = if let Some((_, before)) = same_base {
            before.clone()
        } else {
            let base = base.rows().iter().map(|row| self.carried_over(base, row)).collect();
            TokenCounters { base, edited: Map::default() }
        };
        let changed = if let Some(changed) = before.and_then(|(before, _)| snapshot.changed_since(before)) {
            changed.to_vec()
        } else {
            counters.edited = Map::default();
            snapshot.edited().copied().collect()
        };
        for digest in changed {
            match snapshot.edited_at(&digest).and_then(|compiled| compiled.find(&digest)) {
                Some(TokenRef { compiled, row, .. }) => {
                    counters.edited.insert_mut(digest, self.carried_over(compiled, row));
                }
                None => _ = counters.edited.remove_mut(&digest),
            }
        }
        counters
    }

    fn carried_over(&self, compiled: &Compiled, row: &Row) -> Arc<Counters> {
        let grants = granted(compiled, row, &foldhash::fast::FixedState::with_seed(0));
        let mut entry =
            self.tokens.entry(compiled.token_id(row).into()).or_insert_with(|| Arc::new(Counters::new(&[])));
        if !entry.grants.iter().map(|counter| counter.grant).eq(grants.iter().copied()) {
            *entry = Arc::new(entry.for_grants(&grants));
        }
        Arc::clone(&entry)
    }
}

impl TokenCounters {
    /// Returns the counters of a token.
    #[inline]
    pub(super) fn of(&self, snapshot: &Snapshot, found: TokenRef<'_>) -> Option<&Counters> {
        let counters = if std::ptr::eq(found.compiled, &raw const **snapshot.base()) {
            self.base.get(found.index)
        } else {
            self.edited.get(&found.row.digest())
        };
        counters.map(|counters| &**counters)
    }
}

/// Returns the hash of each granted source, by index in the token's list. A repeated grant has hash 0: the first one
/// counts.
fn granted(compiled: &Compiled, row: &Row, hasher: &impl BuildHasher) -> Vec<u64> {
    let mut grants = Vec::new();
    for (connection, block) in
        compiled.blocks(row).filter_map(|block| Some((compiled.connection_at(block.connection)?, block)))
    {
        block.each(|kind, text, grant| {
            let grant = grant as usize;
            if grants.len() <= grant {
                grants.resize(grant + 1, 0);
            }
            let mut hasher = hasher.build_hasher();
            hasher.write(connection.name().as_bytes());
            hasher.write_u8(kind as u8);
            hasher.write(&text.map(|text| compiled.text(text).whole()).unwrap_or_default());
            if let Some(slot) = grants.get_mut(grant) {
                *slot = hasher.finish();
            }
        });
    }
    grants
}

impl Counters {
    fn new(grants: &[u64]) -> Self {
        Self {
            allowed: AtomicU64::new(0),
            denied: [const { AtomicU64::new(0) }; Reason::ALL.len()],
            last_used: AtomicI64::new(NEVER),
            grants: grants.iter().map(|&grant| GrantCounter { grant, allowed: AtomicU64::new(0) }).collect(),
        }
    }

    /// Copies the counts for a token whose list of grants is now `grants`. Concurrent additions to the old counters may
    /// be lost.
    fn for_grants(&self, grants: &[u64]) -> Self {
        let new = Self::new(grants);
        let copy = |from: &AtomicU64, to: &AtomicU64| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        copy(&self.allowed, &new.allowed);
        self.denied.iter().zip(&new.denied).for_each(|(from, to)| copy(from, to));
        new.last_used.store(self.last_used.load(Ordering::Relaxed), Ordering::Relaxed);
        let old: HashMap<u64, &AtomicU64> = self.grants.iter().map(|old| (old.grant, &old.allowed)).collect();
        for counter in &new.grants {
            if let Some(old) = old.get(&counter.grant) {
                copy(old, &counter.allowed);
            }
        }
        new
    }

    /// Counts one decision about this token, with a few relaxed additions.
    #[inline]
    pub(super) fn record(&self, decision: &Decision<'_>, now: Timestamp) {
        match decision {
            Decision::Allow(allow) => {
                self.allowed.fetch_add(1, Ordering::Relaxed);
                if self.last_used.load(Ordering::Relaxed) < now.seconds() {
                    self.last_used.fetch_max(now.seconds(), Ordering::Relaxed);
                }
                for counter in allow.grants().iter().filter_map(|&grant| self.grants.get(grant as usize)) {
                    counter.allowed.fetch_add(1, Ordering::Relaxed);
                }
            }
            Decision::Deny(reason) => {
                if let Some(counter) = self.denied.get(*reason as usize) {
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn read(&self) -> TokenUsage {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let last_used = self.last_used.load(Ordering::Relaxed);
        let denied = Reason::ALL.into_iter().zip(&self.denied).map(|(reason, counter)| (reason, count(counter)));
        TokenUsage {
            allowed: count(&self.allowed),
            denied: denied.filter(|&(_, count)| count > 0).collect(),
            last_used: (last_used != NEVER).then(|| Timestamp::from_unix(last_used, 0)),
            grants: self.grants.iter().map(|counter| count(&counter.allowed)).collect(),
        }
    }
}
