//! The workspace without HTTP: every call has an identity, whose rights the registry applies.
//!
//! The endpoints of the API and the pages of the console use this layer alone. It never blocks the thread of a caller.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use portcullis::authorizer::{Clock, SystemClock};
use portcullis::base::{Timestamp, quoted};
use portcullis::model::SecretDigest;
use portcullis_oidc::AuthorityError;
use portcullis_registry::{Actor, Answered, Change, Lifetimes, Location, Once, Origins, Registry, RegistryError};

use crate::catalog::Catalog;
use crate::identity::Identity;
use crate::log_limit::LogLimit;
use crate::pool::Pool;
use crate::previews::Previews;
use crate::problem::Problem;
use crate::rates::{Rate, Rates};
use crate::sign_in::{SignIn, SignInOptions};
use crate::signing::Keys;

/// Options of a workspace.
#[derive(Debug, Clone)]
pub struct Options {
    /// The registry, which is created if it is missing.
    pub location: Location,
    /// The URL at which clients reach the workspace, without a slash at its end.
    pub url: String,
    /// The lifetime of an access token, in seconds.
    pub access_lifetime: i64,
    /// The number of requests per second of one caller. Ten seconds' worth may come at once.
    pub rate: u32,
    /// How long expired tokens are kept, in seconds.
    pub keep_expired: i64,
    /// The names of the warehouse.
    pub catalog: Catalog,
    /// How users sign in.
    pub sign_in: SignInOptions,
}

/// Why a workspace cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The registry cannot be opened.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The certificate authorities of the OpenID provider cannot be used.
    #[error(transparent)]
    Authorities(#[from] AuthorityError),
}

/// The bytes of the changes of one user: 16 MiB at once, then one MiB a minute. Every server reads all records, so one user must not
/// fill the registry faster than an administrator can notice it.
const BYTES: Rate = Rate { burst: (16 << 20) as f64, per_second: (1 << 20) as f64 / 60.0 };

/// A workspace on an open registry.
#[derive(Debug)]
pub struct Workspace {
    pool: Arc<Pool>,
    url: String,
    access_lifetime: i64,
    keep_expired: i64,
    catalog: RwLock<Known>,
    sign_in: SignIn,
    previews: Previews,
    /// Counts the requests of each caller.
    rates: Rates,
    /// Counts the bytes of the changes of each user.
    bytes: Rates,
    /// Counts the failed attempts of each client at each address.
    failures: Rates,
    /// Counts the failed attempts of each address, whatever the client or the login link.
    failures_of_addresses: Rates,
    /// Limits what the log says about failed sign-ins.
    sign_in_log: LogLimit,
    /// The origins of pages that may call the workspace.
    origins: Arc<Mutex<KnownOrigins>>,
    /// The idempotency keys of requests that are in progress.
    in_progress: Arc<Mutex<HashSet<[u8; 32]>>>,
    /// Signs ID tokens.
    keys: Keys,
}

/// Disables the owners of clients whose record was removed.
fn stop_removed_owners(location: &Location) -> Result<(), RegistryError> {
    let actor = Actor::new("portcullis", Workspace::now())?.for_all_users().by("workspace");
    for name in Registry::open(location, true)?.disable_removed_owners(&actor)? {
        tracing::warn!("disabled the user {}, who was removed and still had clients", quoted(&name));
    }
    Ok(())
}

/// What is known about the names of the warehouse.
#[derive(Debug, Clone)]
struct Known {
    names: Arc<Catalog>,
    /// Since when they cannot be read; `None` if they were read at the last attempt.
    failing_since: Option<Timestamp>,
}

/// The origins of pages, as a registry that was opened then has them.
#[derive(Debug, Default)]
struct KnownOrigins {
    /// [`Pool::opened`] at that time.
    opened: u64,
    origins: Origins,
}

/// An idempotency key whose request is in progress.
#[derive(Debug)]
pub(crate) struct InProgress {
    name: [u8; 32],
    all: Arc<Mutex<HashSet<[u8; 32]>>>,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Workspace {
    /// Opens the registry.
    ///
    /// # Errors
    ///
    /// If it cannot be opened, or the certificate authorities of the OpenID provider cannot be used.
    pub fn open(options: Options) -> Result<Arc<Self>, OpenError> {
        let rate = f64::from(options.rate.max(1));
        let sign_in = SignIn::new(options.sign_in)?;
        stop_removed_owners(&options.location)?;
        Ok(Arc::new(Self {
            pool: Arc::new(Pool::open(options.location)?),
            url: options.url,
            access_lifetime: options.access_lifetime,
            keep_expired: options.keep_expired,
            catalog: RwLock::new(Known { names: Arc::new(options.catalog), failing_since: None }),
            sign_in,
            previews: Previews::default(),
            rates: Rates::new(Rate { burst: 10.0 * rate, per_second: rate }),
            bytes: Rates::new(BYTES),
            failures: Rates::new(Rate { burst: 20.0, per_second: 0.5 }),
            failures_of_addresses: Rates::new(Rate { burst: 100.0, per_second: 1.0 }),
            sign_in_log: LogLimit::default(),
            origins: Arc::default(),
            in_progress: Arc::default(),
            keys: Keys::default(),
        }))
    }

    /// Returns the URL at which clients reach the workspace, without a slash at its end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the names of the warehouse, as they were read last.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner).names)
    }

    /// Returns since when the names of the warehouse cannot be read. The names are those of before; without any, which names
    /// exist is unknown.
    pub fn catalog_failing_since(&self) -> Option<Timestamp> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).failing_since
    }

    /// Replaces the names of the warehouse. `None` means that they cannot be read: those of before are kept.
    pub fn set_catalog(&self, catalog: Option<Catalog>) {
        let mut known = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        match catalog {
            Some(catalog) => *known = Known { names: Arc::new(catalog), failing_since: None },
            None => known.failing_since = known.failing_since.or_else(|| Some(Self::now())),
        }
    }

    /// Returns what limits previews.
    pub(crate) fn previews(&self) -> &Previews {
        &self.previews
    }

    /// Returns how users sign in.
    pub(crate) fn sign_in(&self) -> &SignIn {
        &self.sign_in
    }

    /// Returns the path of the URL, without a slash at its end.
    pub(crate) fn base_path(&self) -> String {
        let path = url::Url::parse(&self.url).map(|url| url.path().to_owned()).unwrap_or_default();
        path.trim_end_matches('/').to_owned()
    }

    /// Whether clients use TLS, so that cookies may require it.
    pub(crate) fn is_https(&self) -> bool {
        self.url.starts_with("https:")
    }

    /// Returns the lifetime of an access token, in seconds.
    pub(crate) fn access_lifetime(&self) -> i64 {
        self.access_lifetime
    }

    /// Returns how long what OAuth issues is valid.
    pub(crate) fn lifetimes(&self) -> Lifetimes {
        const DAY: i64 = 86_400;
        Lifetimes {
            code: 60,
            access: self.access_lifetime,
            idle: 15 * DAY,
            absolute: 30 * DAY,
            grace: 60,
            confirmed: self.sign_in.application_lifetime(),
        }
    }

    /// Returns the name of the workspace as an issuer: its URL with a slash at the end, which `auth0-spa-js` expects.
    pub(crate) fn issuer(&self) -> String {
        format!("{}/", self.url)
    }

    /// Returns the keys that sign ID tokens.
    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the current time, to the second.
    pub fn now() -> Timestamp {
        Timestamp::from_unix(SystemClock.now().seconds(), 0)
    }

    /// Reads the registry in the name of `identity`.
    ///
    /// # Errors
    ///
    /// The error of `work`.
    pub async fn read<T: Send + 'static>(
        &self,
        identity: &Identity,
        work: impl FnOnce(&mut Registry, &Actor) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, Problem> {
        let actor = identity.actor(Self::now())?;
        Ok(self.pool.read(move |registry| work(registry, &actor)).await?)
    }

    /// Changes the registry in the name of `identity`.
    ///
    /// # Errors
    ///
    /// The error of `work`.
    pub async fn change<T: Send + 'static>(
        &self,
        identity: &Identity,
        work: impl FnOnce(&mut Registry, &Actor) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, Problem> {
        let actor = identity.actor(Self::now())?;
        Ok(self.pool.write(move |registry| work(registry, &actor)).await?)
    }

    /// Makes a change in the name of `identity`, once for each key of `once`: see [`Registry::once`].
    ///
    /// # Errors
    ///
    /// The error of `work`; or the key was used with another request.
    pub async fn change_once<T: Send + 'static>(
        &self,
        identity: &Identity,
        once: Once,
        work: impl FnOnce(&mut Change<'_>) -> Result<T, RegistryError> + Send + 'static,
        seal: impl FnOnce(&T) -> Result<Vec<u8>, RegistryError> + Send + 'static,
    ) -> Result<Answered<T>, Problem> {
        let actor = identity.actor(Self::now())?;
        Ok(self.pool.write(move |registry| registry.once(&actor, &once, work, seal)).await?)
    }

    /// Reads the registry for the workspace itself.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Registry) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, Problem> {
        Ok(self.pool.read(work).await?)
    }

    /// Changes the registry for the workspace itself.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Registry) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, Problem> {
        Ok(self.pool.write(work).await?)
    }

    /// Counts a request of `caller`.
    pub(crate) fn count(&self, caller: &str) -> Result<(), Problem> {
        self.rates.take(caller).map_err(Problem::too_many)
    }

    /// Counts the bytes of a change that `identity` makes.
    pub(crate) fn count_bytes(&self, identity: &Identity, bytes: usize) -> Result<(), Problem> {
        // A body has at most a MiB, which a float holds exactly.
        let count = u32::try_from(bytes).map_or(f64::INFINITY, f64::from);
        self.bytes.take_many(&identity.user, count).map_err(Problem::too_many_bytes)
    }

    /// Counts a failed attempt of the address `from` to present a secret of `client`.
    ///
    /// # Errors
    ///
    /// If the address has failed too often: the seconds after which it may fail again. This answer is the same for every client,
    /// known or not.
    pub(crate) fn count_failure(&self, client: &str, from: &str) -> Result<(), u64> {
        self.count_failure_of(from)?;
        self.failures.take(&format!("{client} {from}"))
    }

    /// Counts a failed attempt of the address `from`.
    ///
    /// # Errors
    ///
    /// As [`count_failure`](Self::count_failure).
    pub(crate) fn count_failure_of(&self, from: &str) -> Result<(), u64> {
        self.failures_of_addresses.take(from)
    }

    /// Returns what limits the messages about failed sign-ins.
    pub(crate) fn sign_in_log(&self) -> &LogLimit {
        &self.sign_in_log
    }

    /// Whether a single-page application has this web origin or allowed origin.
    pub(crate) async fn is_registered_origin(&self, origin: &str) -> Result<bool, Problem> {
        let (origins, pool, origin) = (Arc::clone(&self.origins), Arc::clone(&self.pool), origin.to_owned());
        self.look(move |registry| {
            let mut known = origins.lock().unwrap_or_else(PoisonError::into_inner);
            let opened = pool.opened();
            if known.opened != opened {
                *known = KnownOrigins { opened, origins: Origins::default() };
            }
            registry.update_origins(&mut known.origins)?;
            Ok(known.origins.has(&origin))
        })
        .await
    }

    /// Marks the request with the idempotency key `name` as in progress; `None` if another one is.
    pub(crate) fn begin(&self, name: &SecretDigest) -> Option<InProgress> {
        let name = *name.as_bytes();
        let is_new = self.in_progress.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        is_new.then(|| InProgress { name, all: Arc::clone(&self.in_progress) })
    }

    /// Removes what has expired, indexes what was added, and reads the keys of the OpenID provider, until the future is dropped.
    pub async fn maintain(self: Arc<Self>) {
        tokio::join!(self.maintain_registry(), self.sign_in.keep_current());
    }

    async fn maintain_registry(&self) {
        /// Between two rounds.
        const PAUSE: std::time::Duration = std::time::Duration::from_secs(10);
        loop {
            match self.maintain_once().await {
                Ok(true) => {}
                Ok(false) => tokio::time::sleep(PAUSE).await,
                Err(problem) => {
                    tracing::warn!("expired tokens were not removed: {}", problem.reason());
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Removes some of what has expired, and indexes some of what was added. Returns whether there is more.
    async fn maintain_once(&self) -> Result<bool, Problem> {
        /// Bounds how long other changes wait.
        const AT_ONCE: usize = 500;
        let keep = self.keep_expired;
        let removed = self.write(move |registry| {
            let now = Self::now();
            let actor = Actor::new("portcullis", now)?.for_all_users().by("workspace");
            registry.remove_expired(&actor, Timestamp::from_unix(now.seconds().saturating_sub(keep), 0), AT_ONCE)
        });
        let removed = removed.await?;
        if removed > 0 {
            tracing::info!("removed {removed} expired tokens");
        }
        let indexed = self.write(|registry| registry.index_texts(AT_ONCE)).await?;
        Ok(removed == AT_ONCE || indexed == AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_with_an_idempotency_key_is_in_progress_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(Options {
            location: Location::file(dir.path().join("registry.db")),
            url: "http://localhost".to_owned(),
            access_lifetime: 3600,
            rate: 1,
            keep_expired: 0,
            catalog: Catalog::default(),
            sign_in: SignInOptions::default(),
        })
        .unwrap();
        let (one, other) = (SecretDigest::of("one"), SecretDigest::of("other"));
        let first = workspace.begin(&one);
        assert!(first.is_some() && workspace.begin(&one).is_none());
        assert!(workspace.begin(&other).is_some());
        drop(first);
        assert!(workspace.begin(&one).is_some());
    }
}
