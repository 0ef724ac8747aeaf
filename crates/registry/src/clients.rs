//! OAuth clients: single-page applications, which have URLs and no secret, and machines, which have a secret and no URLs.

use url::{Host, Url};

use super::definition::unique;
use super::error::{Result, invalid, refused};
use super::record::{Client, ClientKind, Urls};
use super::secret::{self, Secret, SecretKind, short_id};
use super::storage::Records;
use super::tokens::{by_id, explicit};
use super::words::{did_you_mean, quoted};
use super::{Actor, Registry, Subject, check_text};

/// What to change of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientEdit {
    /// The new title.
    pub title: Option<String>,
    /// URLs to take away, of a single-page application; a login URI that is there.
    pub remove: Urls,
    /// URLs to add; a login URI in the stead of the one that there was.
    pub add: Urls,
}

/// A client that was made.
#[derive(Debug)]
pub struct CreatedClient {
    /// The client.
    pub client: Client,
    /// The secret of a machine: nothing else has it.
    pub secret: Option<Secret>,
}

impl Registry {
    /// The clients of that kind that the actor sees, by id.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn clients(&mut self, actor: &Actor, kind: ClientKind) -> Result<Vec<Client>> {
        visible(&mut *self.storage.read()?, actor, kind)
    }

    /// The client of that kind and id, or of that title; `id:` before an id means no title.
    ///
    /// # Errors
    ///
    /// If the actor sees none or more than one, or the database fails.
    pub fn client(&mut self, actor: &Actor, kind: ClientKind, id_or_title: &str) -> Result<Client> {
        find(&mut *self.storage.read()?, actor, kind, id_or_title)
    }

    /// Makes a client of the actor's; `urls` are those of a single-page application.
    ///
    /// # Errors
    ///
    /// If the title is unfit or a URL is not safe.
    pub fn create_client(
        &mut self,
        actor: &Actor,
        kind: ClientKind,
        title: &str,
        urls: &Urls,
    ) -> Result<CreatedClient> {
        let secret = match kind {
            ClientKind::Spa => None,
            ClientKind::M2m => Some(Secret::mint(SecretKind::Client)?),
        };
        let client = Client {
            id: short_id(kind.as_str())?,
            kind,
            title: title.to_owned(),
            owner: actor.user.clone(),
            digest: secret.as_ref().map(Secret::digest),
            urls: checked(kind, urls)?,
            created_at: actor.now,
        };
        let mut change = self.change(actor)?;
        check_title(&mut *change.records, kind, title, &client.id)?;
        change.records.put_client(&client)?;
        change.note("create", &subject(&client), None, Some(&client))?;
        change.commit()?;
        Ok(CreatedClient { client, secret })
    }

    /// Changes a client.
    ///
    /// # Errors
    ///
    /// If the actor sees no such client, the title is unfit, a URL is not safe, or one to take away is not there.
    pub fn update_client(
        &mut self,
        actor: &Actor,
        kind: ClientKind,
        id_or_title: &str,
        edit: &ClientEdit,
    ) -> Result<Client> {
        let add = checked(kind, &edit.add)?;
        let remove = checked(kind, &edit.remove)?;
        let mut change = self.change(actor)?;
        let before = find(&mut *change.records, actor, kind, id_or_title)?;
        let mut after = before.clone();
        if let Some(title) = &edit.title {
            check_title(&mut *change.records, kind, title, &before.id)?;
            after.title.clone_from(title);
        }
        if let Some(login) = &remove.login_uri {
            if after.urls.login_uri.as_ref() != Some(login) {
                return Err(not_there(login));
            }
            after.urls.login_uri = None;
        }
        after.urls.login_uri = add.login_uri.or(after.urls.login_uri);
        let edits = [
            (&mut after.urls.callbacks, remove.callbacks, add.callbacks),
            (&mut after.urls.logout_urls, remove.logout_urls, add.logout_urls),
            (&mut after.urls.web_origins, remove.web_origins, add.web_origins),
            (&mut after.urls.allowed_origins, remove.allowed_origins, add.allowed_origins),
        ];
        for (list, remove, add) in edits {
            if let Some(absent) = remove.iter().find(|url| !list.contains(url)) {
                return Err(not_there(absent));
            }
            list.retain(|url| !remove.contains(url));
            *list = unique(list.drain(..).chain(add));
        }
        if after != before {
            change.records.put_client(&after)?;
            change.note("update", &subject(&after), Some(&before), Some(&after))?;
        }
        change.commit()?;
        Ok(after)
    }

    /// Deletes a client.
    ///
    /// # Errors
    ///
    /// If the actor sees no such client.
    pub fn delete_client(&mut self, actor: &Actor, kind: ClientKind, id_or_title: &str) -> Result<Client> {
        let mut change = self.change(actor)?;
        let client = find(&mut *change.records, actor, kind, id_or_title)?;
        change.records.remove_client(&client.id)?;
        change.note("delete", &subject(&client), Some(&client), None)?;
        change.commit()?;
        Ok(client)
    }
}

fn subject(client: &Client) -> Subject<'_> {
    Subject { kind: client.kind.as_str(), id: &client.id, owner: Some(&client.owner) }
}

fn visible(records: &mut dyn Records, actor: &Actor, kind: ClientKind) -> Result<Vec<Client>> {
    let mut clients = records.clients(kind)?;
    clients.retain(|client| actor.may(&client.owner));
    Ok(clients)
}

fn find(records: &mut dyn Records, actor: &Actor, kind: ClientKind, id_or_title: &str) -> Result<Client> {
    if secret::is_held_by(id_or_title) {
        return Err(invalid("that is a secret", "name the client by its id: secrets do not belong into commands"));
    }
    let mut known = visible(records, actor, kind)?;
    let kind = kind.as_str();
    let id = by_id(id_or_title);
    let is_meant = |client: &Client| match id {
        Some(id) => client.id == id,
        None => client.id == id_or_title || client.title == id_or_title,
    };
    let found: Vec<_> = (0..).zip(&known).filter(|(_, client)| is_meant(client)).collect();
    match found.as_slice() {
        &[(at, _)] => Ok(known.swap_remove(at)),
        [] => {
            let meant = did_you_mean(id_or_title, known.iter().flat_map(|client| [&*client.id, &*client.title]));
            let help = format!("{meant}`portcullis credentials list {kind}` shows them");
            Err(refused(format!("there is no {kind} client {}", quoted(id_or_title)), help))
        }
        several => {
            let ids = several.iter().map(|(_, client)| {
                let (id, title) = (quoted(&explicit(&client.id)), quoted(&client.title));
                format!("{id} of {}, titled {title}", quoted(&client.owner))
            });
            let reference = quoted(id_or_title);
            let message = if several.iter().any(|(_, client)| client.id == id_or_title) {
                format!("{reference} is the id of one client and the title of another")
            } else {
                format!("{} clients have the title {reference}", several.len())
            };
            Err(refused(message, format!("name one by its id: {}", ids.collect::<Vec<_>>().join("; "))))
        }
    }
}

/// Checks what people may call a client: never by another client's id.
fn check_title(records: &mut dyn Records, kind: ClientKind, title: &str, id: &str) -> Result<()> {
    check_text("title", title)?;
    if by_id(title).is_some() {
        let help = "`id:` before an id means no title: choose a title that does not begin so";
        return Err(invalid(format!("the title {} begins with `id:`", quoted(title)), help));
    }
    if title != id && records.clients(kind)?.iter().any(|other| other.id == title) {
        let message = format!("the title {} is the id of another client", quoted(title));
        return Err(refused(message, "choose a title that means no other client"));
    }
    Ok(())
}

fn not_there(url: &str) -> super::RegistryError {
    refused(
        format!("the client has no URL {}", quoted(url)),
        "`portcullis credentials get spa` shows those that it has",
    )
}

/// What a URL is for decides what it may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Page,
    Origin,
}

/// These URLs as the WHATWG rules write them, if each is safe.
fn checked(kind: ClientKind, urls: &Urls) -> Result<Urls> {
    if kind == ClientKind::M2m && *urls != Urls::default() {
        return Err(invalid("a machine has no URLs", "only `spa` clients have them: leave them out"));
    }
    let list = |what: &str, list: &[String], purpose| {
        Ok(unique(list.iter().map(|text| url(what, text, purpose)).collect::<Result<Vec<_>>>()?))
    };
    Ok(Urls {
        login_uri: urls.login_uri.as_deref().map(|text| url("login URI", text, Purpose::Page)).transpose()?,
        callbacks: list("callback", &urls.callbacks, Purpose::Page)?,
        logout_urls: list("logout URL", &urls.logout_urls, Purpose::Page)?,
        web_origins: list("web origin", &urls.web_origins, Purpose::Origin)?,
        allowed_origins: list("allowed origin", &urls.allowed_origins, Purpose::Origin)?,
    })
}

fn url(what: &str, text: &str, purpose: Purpose) -> Result<String> {
    const PAGE: &str = "write one such as `https://app.example.com/callback`";
    const ORIGIN: &str = "write scheme, host and port, such as `https://app.example.com`";
    let help = if purpose == Purpose::Page { PAGE } else { ORIGIN };
    // A URL with a password is not repeated.
    let shown = if text.contains('@') { format!("the {what}") } else { format!("{what} {}", quoted(text)) };
    let url = Url::parse(text).map_err(|_| invalid(format!("{shown} is not an absolute URL"), help))?;
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let secure = url.scheme() == "https" || (url.scheme() == "http" && local);
    let wrong = if !secure {
        Some(("does not begin with `https://`", "write `https`; plain `http` is for localhost only"))
    } else if !url.username().is_empty() || url.password().is_some() {
        Some(("has user info", "leave out what stands before the `@`"))
    } else if url.host_str().is_some_and(|host| host.contains('*')) {
        Some(("has a `*` in its host", "name each host: a login must not end just anywhere"))
    } else if url.fragment().is_some() {
        Some(("has a fragment", "leave out what stands behind the `#`"))
    } else if purpose == Purpose::Origin && (url.path() != "/" || url.query().is_some()) {
        Some(("has a path", "an origin is scheme, host and port: leave out what stands behind them"))
    } else {
        None
    };
    match (wrong, purpose) {
        (Some((wrong, help)), _) => Err(invalid(format!("{shown} {wrong}"), help)),
        (None, Purpose::Page) => Ok(url.into()),
        (None, Purpose::Origin) => Ok(url.origin().ascii_serialization()),
    }
}
