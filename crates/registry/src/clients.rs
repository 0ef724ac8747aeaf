//! OAuth clients: single-page applications, which have URLs and no secret, and machines, which have a secret and no URLs.

use url::{Host, Url};

use super::definition::{Draft, unique};
use super::error::{Problems, Result, invalid, refused};
use super::lists::client_with_id;
use super::record::{Client, ClientKind, EarlierSecret, Grant, Urls};
use super::scopes::{WRITE_TOKENS, checked as checked_scopes, default_scopes};
use super::storage::Records;
use super::tokens::{TypedGrant, by_id, explicit, span, typed};
use super::words::{did_you_mean, quoted};
use super::{Actor, Change, Registry, Subject, check_text};
use portcullis::base::{is_browsed_host, is_browsed_port, unwrapped};
use portcullis_secret::{self as secret, Secret, SecretKind, short_id};

/// An edit of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientEdit {
    /// The new title.
    pub title: Option<String>,
    /// URLs to remove, of a single-page application. Each must exist, the login URI included.
    pub remove: Urls,
    /// URLs to add. A login URI replaces the current one.
    pub add: Urls,
    /// The new APIs of access tokens, which replace the current ones.
    pub apis: Option<Vec<String>>,
    /// The new grants of access tokens, which replace the current ones.
    pub grants: Option<Vec<TypedGrant>>,
    /// The new scopes, which replace the current ones; `Some(None)` means the default scopes.
    pub scopes: Option<Option<Vec<String>>>,
}

/// What the access tokens of a client may read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientAccess {
    /// The APIs. Without APIs and grants, access tokens only manage credentials.
    pub apis: Vec<String>,
    /// The grants.
    pub grants: Vec<TypedGrant>,
}

/// A client that was created.
#[derive(Debug)]
pub struct CreatedClient {
    /// The client.
    pub client: Client,
    /// The secret of a machine. It is stored nowhere else.
    pub secret: Option<Secret>,
}

impl Registry {
    /// Returns the clients of kind `kind` that the actor may see, by id.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn clients(&mut self, actor: &Actor, kind: ClientKind) -> Result<Vec<Client>> {
        visible(&mut *self.storage.read()?, actor, kind)
    }

    /// Returns the client of kind `kind` with the given id or title. An `id:` prefix matches ids only.
    ///
    /// # Errors
    ///
    /// If the actor may see no match or several, or the database fails.
    pub fn client(&mut self, actor: &Actor, kind: ClientKind, id_or_title: &str) -> Result<Client> {
        find(&mut *self.storage.read()?, actor, kind, id_or_title)
    }

    /// Creates a client that the actor owns. `urls` are for single-page applications only.
    ///
    /// # Errors
    ///
    /// If the title is invalid or a URL is not safe.
    pub fn create_client(
        &mut self,
        actor: &Actor,
        kind: ClientKind,
        title: &str,
        urls: &Urls,
    ) -> Result<CreatedClient> {
        self.create_client_with(actor, kind, title, urls, &ClientAccess::default(), None)
    }

    /// Creates a client that the actor owns, whose access tokens have `access` and at most `scopes`, or the default scopes.
    ///
    /// # Errors
    ///
    /// If the title is invalid, a URL is not safe, a scope is unknown, or the APIs and grants break a rule.
    pub fn create_client_with(
        &mut self,
        actor: &Actor,
        kind: ClientKind,
        title: &str,
        urls: &Urls,
        access: &ClientAccess,
        scopes: Option<&[String]>,
    ) -> Result<CreatedClient> {
        self.changed(actor, |change| change.create_client(kind, title, urls, access, scopes))
    }

    /// Edits a client.
    ///
    /// # Errors
    ///
    /// If the actor may see no match, the title is invalid, a URL is not safe, or a URL to remove does not exist.
    pub fn update_client(
        &mut self,
        actor: &Actor,
        kind: ClientKind,
        id_or_title: &str,
        edit: &ClientEdit,
    ) -> Result<Client> {
        self.changed(actor, |change| {
            let before = find(&mut *change.records, actor, kind, id_or_title)?;
            change.edit_client(&before, edit)
        })
    }

    /// Replaces the secret of a machine. The old secret becomes invalid after `overlap`, a span such as `7d`. Without `overlap`,
    /// the old secret and every access token of the machine become invalid now.
    ///
    /// # Errors
    ///
    /// If the actor may see no match, or `overlap` is not a span.
    pub fn rotate_client(&mut self, actor: &Actor, id_or_title: &str, overlap: Option<&str>) -> Result<CreatedClient> {
        self.changed(actor, |change| {
            let before = find(&mut *change.records, actor, ClientKind::M2m, id_or_title)?;
            change.rotate_client(&before, overlap)
        })
    }

    /// Deletes a client.
    ///
    /// # Errors
    ///
    /// If the actor may see no match.
    pub fn delete_client(&mut self, actor: &Actor, kind: ClientKind, id_or_title: &str) -> Result<Client> {
        let mut change = self.change(actor)?;
        let client = find(&mut *change.records, actor, kind, id_or_title)?;
        change.remove_client("delete", &client)?;
        change.commit()?;
        Ok(client)
    }
}

impl Change<'_> {
    /// Creates a client: see [`Registry::create_client_with`].
    ///
    /// # Errors
    ///
    /// Every problem of the client.
    pub fn create_client(
        &mut self,
        kind: ClientKind,
        title: &str,
        urls: &Urls,
        access: &ClientAccess,
        scopes: Option<&[String]>,
    ) -> Result<CreatedClient> {
        let secret = match kind {
            ClientKind::Spa => None,
            ClientKind::M2m => Some(Secret::mint(SecretKind::Client)?),
        };
        let id = short_id(kind.as_str())?;
        let mut problems = Problems::default();
        let urls = problems.keep(checked(kind, urls));
        let scopes = problems.keep(scopes.map(checked_scopes).transpose());
        problems.keep(check_title(&mut *self.records, kind, title, &id));
        let access = problems.keep(self.checked_access(access));
        let client = urls.zip(scopes).zip(access).map(|((urls, scopes), (allowed_apis, grants))| Client {
            id,
            kind,
            title: title.to_owned(),
            owner: self.actor.user.clone(),
            digest: secret.as_ref().map(Secret::digest),
            urls,
            created_at: self.actor.now,
            allowed_apis,
            grants,
            scopes,
            earlier_secrets: Vec::new(),
        });
        let client = problems.none_or(client)?;
        check_scopes(self.actor, &client)?;
        self.records.put_client(&client)?;
        self.note("create", &subject(&client), None, Some(&client))?;
        Ok(CreatedClient { client, secret })
    }

    /// Edits the client with exactly this id, if it has one of the `versions`.
    ///
    /// # Errors
    ///
    /// If there is no match, its version differs, or the edit breaks a rule.
    pub fn update_client(&mut self, id: &str, versions: Option<&[String]>, edit: &ClientEdit) -> Result<Client> {
        let before = client_with_id(&mut *self.records, self.actor, id, versions)?;
        self.edit_client(&before, edit)
    }

    /// Replaces the secret of the machine with exactly this id: see [`Registry::rotate_client`].
    ///
    /// # Errors
    ///
    /// If there is no match, or `overlap` is not a span.
    pub fn rotate_client_with_id(&mut self, id: &str, overlap: Option<&str>) -> Result<CreatedClient> {
        let before = client_with_id(&mut *self.records, self.actor, id, None)?;
        self.rotate_client(&before, overlap)
    }

    /// Deletes the client with exactly this id, and revokes what OAuth issued to it.
    ///
    /// # Errors
    ///
    /// If there is no match, or its version differs.
    pub fn delete_client(&mut self, id: &str, versions: Option<&[String]>) -> Result<Client> {
        let client = client_with_id(&mut *self.records, self.actor, id, versions)?;
        self.remove_client("delete", &client)?;
        Ok(client)
    }

    /// Revokes every access token of the client with exactly this id, and everything else that OAuth issued to it.
    ///
    /// # Errors
    ///
    /// If there is no match.
    pub fn revoke_access_of(&mut self, id: &str) -> Result<()> {
        let client = client_with_id(&mut *self.records, self.actor, id, None)?;
        self.revoke_tickets_of(&client.id, "revoke")
    }

    fn edit_client(&mut self, before: &Client, edit: &ClientEdit) -> Result<Client> {
        check_scopes(self.actor, before)?;
        let kind = before.kind;
        let add = checked(kind, &edit.add)?;
        let remove = edit.remove.clone();
        let mut after = before.clone();
        if let Some(title) = &edit.title {
            check_title(&mut *self.records, kind, title, &before.id)?;
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
        if edit.apis.is_some() || edit.grants.is_some() {
            let grants = || before.grants.iter().map(TypedGrant::from).collect();
            let access = &ClientAccess {
                apis: edit.apis.clone().unwrap_or_else(|| before.allowed_apis.clone()),
                grants: edit.grants.clone().unwrap_or_else(grants),
            };
            (after.allowed_apis, after.grants) = self.checked_access(access)?;
        }
        if let Some(scopes) = &edit.scopes {
            after.scopes = scopes.as_deref().map(checked_scopes).transpose()?;
        }
        check_scopes(self.actor, &after)?;
        if after != *before {
            self.records.put_client(&after)?;
            self.note("update", &subject(&after), Some(before), Some(&after))?;
        }
        Ok(after)
    }

    fn rotate_client(&mut self, before: &Client, overlap: Option<&str>) -> Result<CreatedClient> {
        /// Bounds the secrets that are valid at once.
        const MAX_EARLIER: usize = 4;
        check_scopes(self.actor, before)?;
        let now = self.actor.now;
        let until = overlap.map(|overlap| span(overlap, now, "overlap")).transpose()?;
        if before.kind != ClientKind::M2m {
            let message = format!("client {} is a single-page application, which has no secret", quoted(&before.id));
            return Err(refused(message, "only the secrets of machines are rotated").because("no_secret"));
        }
        let secret = Secret::mint(SecretKind::Client)?;
        let mut after = Client { digest: Some(secret.digest()), ..before.clone() };
        after.earlier_secrets.retain(|earlier| now < earlier.until);
        if let Some((digest, until)) = before.digest.zip(until) {
            if after.earlier_secrets.len() >= MAX_EARLIER {
                let message = format!("{MAX_EARLIER} earlier secrets are still valid");
                let help = "rotate without an overlap, or wait until one of them is invalid";
                return Err(refused(message, help).because("too_many_secrets"));
            }
            after.earlier_secrets.push(EarlierSecret { digest, until });
        } else {
            // The caller wants every other secret to be invalid now, and everything that was issued for it.
            after.earlier_secrets.clear();
            self.revoke_tickets_of(&before.id, "revoke")?;
        }
        self.records.put_client(&after)?;
        self.note("rotate", &subject(&after), Some(before), Some(&after))?;
        Ok(CreatedClient { client: after, secret: Some(secret) })
    }

    /// Reads the APIs and grants of a client by the rules of tokens.
    fn checked_access(&mut self, access: &ClientAccess) -> Result<(Vec<String>, Vec<Grant>)> {
        if *access == ClientAccess::default() {
            return Ok((Vec::new(), Vec::new()));
        }
        let id = short_id("at")?;
        let draft = Draft {
            name: id.clone(),
            owner: self.actor.user.clone(),
            token_sha256: Secret::mint(SecretKind::Access)?.digest().to_hex(),
            allowed_apis: access.apis.clone(),
            grants: access.grants.iter().map(typed).collect(),
            referers: Vec::new(),
            expiration_date: None,
            created_at: None,
            id,
        };
        let (token, _) = self.settle(&draft, None)?;
        Ok((token.allowed_apis, token.grants))
    }

    pub(super) fn remove_client(&mut self, action: &str, client: &Client) -> Result<()> {
        self.revoke_tickets_of(&client.id, "revoke")?;
        self.records.remove_client(&client.id)?;
        self.note(action, &subject(client), Some(client), None)
    }
}

/// Checks that the actor has every right of the client: an actor who changes a client, or gets its secret, has them. APIs
/// and grants are rights of tokens.
fn check_scopes(actor: &Actor, client: &Client) -> Result<()> {
    let has_data = !client.allowed_apis.is_empty() || !client.grants.is_empty();
    let scopes = client.scopes.clone().unwrap_or_else(default_scopes);
    if let Some(scope) = scopes.iter().find(|scope| !actor.has_scope(scope)) {
        let message = format!("the client has the scope `{scope}`, which the caller does not have");
        return Err(refused(message, "use an access token with every scope of the client").because("scope_not_held"));
    }
    if has_data && !actor.has_scope(WRITE_TOKENS) {
        let message = format!("the client has APIs or grants, and the caller does not have the scope `{WRITE_TOKENS}`");
        let help = format!("use an access token with the scope `{WRITE_TOKENS}`");
        return Err(refused(message, help).because("scope_not_held"));
    }
    Ok(())
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
    if secret::contains_secret(id_or_title) {
        return Err(invalid("that is a secret", "name the client by its id: do not put secrets in commands"));
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

/// Checks the title of a client: it must not be the id of another client.
fn check_title(records: &mut dyn Records, kind: ClientKind, title: &str, id: &str) -> Result<()> {
    check_text("title", title).map_err(|error| error.because("invalid_title"))?;
    if by_id(title).is_some() {
        let help = "`id:` before an id means no title: choose a title without this prefix";
        return Err(invalid(format!("the title {} starts with `id:`", quoted(title)), help));
    }
    if title != id && records.clients(kind)?.iter().any(|other| other.id == title) {
        let message = format!("the title {} is the id of another client", quoted(title));
        return Err(refused(message, "choose another title"));
    }
    Ok(())
}

fn not_there(url: &str) -> super::RegistryError {
    refused(
        if url.contains('@') {
            "the client does not have the URL".to_owned()
        } else {
            format!("the client has no URL {}", quoted(url))
        },
        "`portcullis credentials get spa` lists the URLs of a client",
    )
}

/// The purpose of a URL, which decides the parts that it may have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Page,
    Origin,
}

/// Returns `urls` without duplicates, exactly as they are given: OAuth compares them byte for byte. Fails on the first
/// one that is not safe, or that a browser would change.
fn checked(kind: ClientKind, urls: &Urls) -> Result<Urls> {
    if kind == ClientKind::M2m && *urls != Urls::default() {
        return Err(invalid("a machine has no URLs", "only `spa` clients have them: leave them out"));
    }
    let list = |what: &str, list: &[String], purpose| -> Result<Vec<String>> {
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

/// Returns the valid URL that `text` means: without marks around it, or with the scheme that is missing.
fn meant(what: &str, text: &str, purpose: Purpose) -> Option<String> {
    let bare = unwrapped(text);
    let is_other = |url: &String| url != text && !url.contains('@');
    let with_scheme = || {
        Some(format!("https://{}", bare.trim_start_matches('/')))
            .filter(|_| bare.contains('.') && !bare.contains("://"))
    };
    let urls = [Some(bare.to_owned()), with_scheme()].into_iter().flatten();
    urls.filter(is_other).find_map(|text| url(what, &text, purpose).ok())
}

fn url(what: &str, text: &str, purpose: Purpose) -> Result<String> {
    const PAGE: &str = "write one such as `https://app.example.com/callback`";
    const ORIGIN: &str = "write scheme, host and port, such as `https://app.example.com`";
    let help = if purpose == Purpose::Page { PAGE } else { ORIGIN };
    // A URL with a password must not appear in an error.
    let shown = if text.contains('@') { format!("the {what}") } else { format!("{what} {}", quoted(text)) };
    let url = Url::parse(text).map_err(|_| {
        let help = meant(what, text, purpose).map_or_else(|| help.to_owned(), |url| format!("write {}", quoted(&url)));
        invalid(format!("{shown} is not an absolute URL"), help)
    })?;
    let local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let secure = url.scheme() == "https" || (url.scheme() == "http" && local);
    let wrong = if !secure {
        Some(("does not start with `https://`", "write `https`; plain `http` is for localhost only"))
    } else if !url.username().is_empty() || url.password().is_some() {
        Some(("has user info", "remove everything before the `@`"))
    } else if url.host_str().is_some_and(|host| host.contains('*')) {
        Some(("has a `*` in its host", "name each host: a login must not end just anywhere"))
    } else if !url.host_str().is_some_and(is_browsed_host) || !url.port().is_none_or(is_browsed_port) {
        Some(("has a host or port that no browser sends", help))
    } else if url.fragment().is_some() {
        Some(("has a fragment", "remove the `#` and everything after it"))
    } else if purpose == Purpose::Origin && (url.path() != "/" || url.query().is_some()) {
        Some(("has a path", "an origin is scheme, host and port: remove everything after the port"))
    } else {
        None
    };
    if let Some((wrong, help)) = wrong {
        return Err(invalid(format!("{shown} {wrong}"), help));
    }
    let origin = url.origin().ascii_serialization();
    let canonical = match purpose {
        // A browser adds the slash after a host, and no other text to this form.
        Purpose::Page if url.as_str().strip_prefix(text) == Some("/") => text,
        Purpose::Page => url.as_str(),
        Purpose::Origin => &origin,
    };
    if canonical == text {
        return Ok(text.to_owned());
    }
    // The segments before `..` may be meant, so there is no canonical form to write.
    let is_relative = text.split(['/', '\\']).any(|segment| segment.to_ascii_lowercase().replace("%2e", ".") == "..");
    let help = match purpose {
        Purpose::Page if is_relative => "write the path without `..`".to_owned(),
        _ if canonical.contains('@') => help.to_owned(),
        _ => format!("write {}", quoted(canonical)),
    };
    Err(invalid(format!("{shown} is not in the form that browsers send"), help))
}

#[cfg(test)]
mod tests {
    use super::{Purpose, url};

    #[test]
    fn urls_are_kept_exactly_as_given() {
        for text in [
            "https://app.example.com",
            "https://app.example.com/",
            "https://app.example.com/callback?next=%20a&b",
            "https://app.example.com:8443/%7Ea",
            "http://localhost:5173",
            "http://127.0.0.1/callback",
            "https://xn--bcher-kva.example/a",
        ] {
            assert_eq!(url("callback", text, Purpose::Page).unwrap(), text);
        }
        for text in ["https://app.example.com", "http://localhost:5173", "https://xn--bcher-kva.example"] {
            assert_eq!(url("web origin", text, Purpose::Origin).unwrap(), text);
        }
    }

    #[test]
    fn urls_whose_host_no_browser_sends_are_refused() {
        for host in
            [".a.com", "a..com", "-a.com", "a-.com", "{tenant}.com", "$TENANT.com", "a!b.com", "a.com..", "a.com:0"]
        {
            for (purpose, text) in
                [(Purpose::Page, format!("https://{host}/callback")), (Purpose::Origin, format!("https://{host}"))]
            {
                let error = url("callback", &text, purpose).unwrap_err().to_string();
                assert!(error.contains("has a host or port that no browser sends; write"), "{error}");
            }
        }
    }

    #[test]
    fn marks_around_a_url_and_a_missing_scheme_are_named_with_the_url() {
        for (text, purpose, want) in [
            ("(https://a.example/cb)", Purpose::Page, "https://a.example/cb"),
            ("<https://a.example/cb>", Purpose::Page, "https://a.example/cb"),
            ("\"https://a.example/cb\"", Purpose::Page, "https://a.example/cb"),
            ("a.example/cb", Purpose::Page, "https://a.example/cb"),
            ("(https://a.example)", Purpose::Origin, "https://a.example"),
            ("'a.example'", Purpose::Origin, "https://a.example"),
            ("//a.example", Purpose::Origin, "https://a.example"),
            ("(http://a.example)", Purpose::Origin, "https://app.example.com"),
            ("(nonsense)", Purpose::Page, "https://app.example.com/callback"),
            ("*", Purpose::Origin, "https://app.example.com"),
            ("(https://ana:s3cret@app.example.com)", Purpose::Origin, "https://app.example.com"),
        ] {
            let error = url("callback", text, purpose).unwrap_err().to_string();
            assert!(error.ends_with(&format!("`{want}`")) && !error.contains("s3cret"), "{text}: {error}");
            assert_eq!(url("callback", want, purpose).unwrap(), want);
        }
    }

    #[test]
    fn urls_that_browsers_change_are_refused_with_the_form_to_write() {
        for (text, purpose, help) in [
            ("https://app.example.com/a b", Purpose::Page, "write `https://app.example.com/a%20b`"),
            ("https://app.example.com:443/", Purpose::Page, "write `https://app.example.com/`"),
            ("https://app.example.com:443", Purpose::Page, "write `https://app.example.com/`"),
            ("https://app.example.com/a/../b", Purpose::Page, "write the path without `..`"),
            ("https://app.example.com/a/%2E%2e/b", Purpose::Page, "write the path without `..`"),
            ("https://app.example.com/C:/../b", Purpose::Page, "write the path without `..`"),
            ("https://app.example.com/./b", Purpose::Page, "write `https://app.example.com/b`"),
            ("https://App.example.com/", Purpose::Page, "write `https://app.example.com/`"),
            ("https:app.example.com/", Purpose::Page, "write `https://app.example.com/`"),
            (" https://app.example.com/", Purpose::Page, "write `https://app.example.com/`"),
            ("https://app.example.com/\n", Purpose::Page, "write `https://app.example.com/`"),
            ("https://app.example.com\\a", Purpose::Page, "write `https://app.example.com/a`"),
            ("https://app.example.com?a", Purpose::Page, "write `https://app.example.com/?a`"),
            ("https://b\u{fc}cher.example/", Purpose::Page, "write `https://xn--bcher-kva.example/`"),
            ("http://127.1/", Purpose::Page, "write `http://127.0.0.1/`"),
            ("https://app.example.com/", Purpose::Origin, "write `https://app.example.com`"),
            ("https://app.example.com:443", Purpose::Origin, "write `https://app.example.com`"),
        ] {
            let error = url("callback", text, purpose).unwrap_err().to_string();
            assert!(error.contains("is not in the form that browsers send; ") && error.ends_with(help), "{error}");
            if let Some(instead) = help.strip_prefix("write `").and_then(|help| help.strip_suffix('`')) {
                assert_eq!(url("callback", instead, purpose).unwrap(), instead);
            }
        }
    }
}
