//! The origins of pages that may call the workspace: every request of a page asks for them, and few changes add one.

use std::collections::{HashMap, HashSet};

use super::Registry;
use super::error::Result;
use super::record::{Client, ClientKind, LastChange};
use super::storage::Records;

/// The web origins and allowed origins of single-page applications, as of one entry of the trail.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// The trail entry; `None` before the first read.
    last: Option<LastChange>,
    of_clients: HashMap<String, Vec<String>>,
    all: HashSet<String>,
}

impl Origins {
    /// Whether a single-page application has this origin.
    pub fn has(&self, origin: &str) -> bool {
        self.all.contains(origin)
    }

    fn put(&mut self, client: Client) {
        let urls = client.urls;
        self.of_clients.insert(client.id, urls.web_origins.into_iter().chain(urls.allowed_origins).collect());
    }
}

const KIND: ClientKind = ClientKind::Spa;

/// Returns the ids of the applications that changed after a trail entry; `None` if too many entries were added since, or if
/// the trail has another entry of this number: then the registry is another one, such as an earlier copy.
fn changed_clients(records: &mut dyn Records, last: &LastChange) -> Result<Option<HashSet<String>>> {
    const MAX: usize = 1000;
    let entries = records.entries_from(last.number, MAX + 2)?;
    let added = match entries.split_first() {
        Some((first, added)) if first == last => added,
        _ if last.number == 0 => &entries,
        _ => return Ok(None),
    };
    if added.len() > MAX {
        return Ok(None);
    }
    let of_clients = added.iter().filter(|entry| entry.kind == KIND.as_str());
    Ok(Some(of_clients.map(|entry| entry.id.clone()).collect()))
}

impl Registry {
    /// Brings `origins` up to date. Reads the clients that changed since, and every client only if many entries were added.
    ///
    /// # Errors
    ///
    /// If the database fails. `origins` is unchanged then.
    pub fn update_origins(&mut self, origins: &mut Origins) -> Result<()> {
        let mut records = self.storage.read()?;
        let last = records.last_change()?;
        if origins.last.as_ref() == Some(&last) {
            return Ok(());
        }
        let changed = match &origins.last {
            Some(before) => changed_clients(&mut *records, before)?,
            None => None,
        };
        let mut next = Origins::default();
        match changed {
            Some(ids) if ids.is_empty() => {
                origins.last = Some(last);
                return Ok(());
            }
            Some(ids) => {
                next.of_clients.clone_from(&origins.of_clients);
                for id in ids {
                    match records.client(&id)?.filter(|client| client.kind == KIND) {
                        Some(client) => next.put(client),
                        None => drop(next.of_clients.remove(&id)),
                    }
                }
            }
            None => records.clients(KIND)?.into_iter().for_each(|client| next.put(client)),
        }
        let all = next.of_clients.values().flatten().cloned().collect();
        *origins = Origins { last: Some(last), all, ..next };
        Ok(())
    }
}
