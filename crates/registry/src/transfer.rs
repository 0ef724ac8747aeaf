//! Export of a registry to a policy document, and import. Documents hold digests, never secrets.

use std::collections::HashMap;

use super::definition::{Draft, DraftGrant, check_storable, declarations, document, settled, usable};
use super::error::{RegistryError, Result, refused, storage};
use super::record::{Api, ClientKind, Connection, Token};
use super::storage::TokenFilter;
use super::tokens::visible;
use super::words::quoted;
use super::{Actor, Change, Registry, Subject, check_text};
use portcullis::model::{Apis, GrantKind, Operation, Policy, SecretDigest};
use portcullis_document::definition::{self, Element, Field, Text, read};
use portcullis_document::load::{Diagnostic, Input, LoadOptions};

/// The result of an import.
#[derive(Debug)]
pub struct Imported {
    /// The added tokens.
    pub tokens: Vec<Token>,
    /// The added connections.
    pub connections: Vec<Connection>,
    /// The added APIs.
    pub apis: Vec<Api>,
    /// The number of tokens, connections and APIs that existed already and are equal.
    pub unchanged: usize,
    /// Warnings about valid but probably unintended texts.
    pub warnings: Vec<Diagnostic>,
}

/// The numbers of records that an export leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Tokens of other users. An administrator exports them.
    pub tokens: u64,
    /// Named sources, which a policy document cannot hold.
    pub named_sources: usize,
    /// OAuth clients, which a policy document cannot hold.
    pub clients: usize,
}

impl Registry {
    /// Returns the connections, the APIs, and the tokens that the actor may see, as a policy document. Equal registries
    /// give equal bytes.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn export(&mut self, actor: &Actor) -> Result<String> {
        document(&mut *self.storage.read()?, visible(actor))
    }

    /// Counts what an export leaves out.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn left_out(&mut self, actor: &Actor) -> Result<LeftOut> {
        let tokens = if actor.all_users { 0 } else { self.storage.read()?.count_tokens_except(&actor.user)? };
        let named_sources = self.named_sources()?.len();
        let clients = self.clients(actor, ClientKind::Spa)?.len() + self.clients(actor, ClientKind::M2m)?.len();
        Ok(LeftOut { tokens, named_sources, clients })
    }

    /// Adds the contents of `input`, a policy document: everything or, on any conflict, nothing. Equal existing records
    /// stay as they are.
    ///
    /// A token without an owner becomes the actor's; a token without a name uses its id as name. Only administrators import
    /// tokens of other users.
    ///
    /// # Errors
    ///
    /// All errors of the document, and all conflicts with the registry.
    pub fn import(&mut self, actor: &Actor, input: &Input) -> Result<Imported> {
        let options = LoadOptions { warnings: true, now: Some(actor.now), ..LoadOptions::default() };
        let mut change = self.change(actor)?;
        let (connections, apis) = (change.records.connections()?, change.records.apis()?);
        let document = read(input.text()).unwrap_or_default();
        // Declarations of the document are compared below; other declarations come from the registry.
        let (declared, declared_apis) =
            (names(&document.connections, |connection| &connection.name), names(&document.apis, |api| &api.name));
        let others: Vec<_> = connections.iter().filter(|known| !declared.contains(&&*known.name)).cloned().collect();
        let other_apis: Vec<_> = apis.iter().filter(|known| !declared_apis.contains(&&*known.name)).cloned().collect();
        let known = declarations(&others, &other_apis)?;
        let (policy, warnings) = usable(&[known, input.clone()], &options)?;

        let mut imported =
            Imported { tokens: Vec::new(), connections: Vec::new(), apis: Vec::new(), unchanged: 0, warnings };
        let mut conflicts = Vec::new();
        for connection in policy.connections() {
            let connection = Connection {
                name: connection.name().to_owned(),
                dialect: connection.dialect(),
                named_sources_only: connection.named_sources_only(),
            };
            let is_declared = declared.contains(&&*connection.name);
            match connections.iter().find(|known| known.name == connection.name) {
                None => imported.connections.push(connection),
                Some(_) if !is_declared => {}
                Some(known) if *known == connection => imported.unchanged += 1,
                Some(_) => conflicts.push(format!("connection {} is declared otherwise", quoted(&connection.name))),
            }
        }
        for (_, api) in policy.apis().iter().skip(Apis::default().iter().count()) {
            let accepts = api.considers(Operation::Query).iter().map(GrantKind::as_str).map(ToOwned::to_owned);
            let api = Api { name: api.name().to_owned(), accepts: accepts.collect() };
            let is_declared = declared_apis.contains(&&*api.name);
            match apis.iter().find(|known| known.name == api.name) {
                None => imported.apis.push(api),
                Some(_) if !is_declared => {}
                // Both sides list the kinds in the same order.
                Some(known) if *known == api => imported.unchanged += 1,
                Some(_) => conflicts.push(format!("API {} accepts other kinds of grant", quoted(&api.name))),
            }
        }
        change.declare(&imported)?;
        let read = tokens(actor, &document, &policy)?;
        let mut known = Known::new(change.records.tokens(TokenFilter::Like(&read))?);
        let existing = known.tokens.len();
        // Tokens are also compared with earlier ones of the document: two may have the same owner and name.
        for token in read {
            match known.compare(actor, &token) {
                Comparison::New => known.add(token),
                Comparison::Same => imported.unchanged += 1,
                Comparison::Conflict(conflict) => conflicts.push(conflict),
            }
        }
        if !conflicts.is_empty() {
            let help = "nothing was imported: change the document or the registry";
            return Err(refused(conflicts.join("; "), help));
        }
        imported.tokens = known.tokens.split_off(existing);
        change.add("import", &imported.tokens)?;
        change.commit()?;
        Ok(imported)
    }
}

impl Change<'_> {
    /// Adds the connections and APIs that the tokens need.
    fn declare(&mut self, imported: &Imported) -> Result<()> {
        for connection in &imported.connections {
            self.records.put_connection(connection)?;
            let subject = Subject { kind: "connection", id: &connection.name, owner: None };
            self.note("import", &subject, None, Some(connection))?;
        }
        for api in &imported.apis {
            self.records.put_api(api)?;
            self.note("import", &Subject { kind: "api", id: &api.name, owner: None }, None, Some(api))?;
        }
        Ok(())
    }
}

/// Returns the names that a document declares.
fn names<'d, T>(list: &'d Field<Vec<Element<T>>>, name: impl Fn(&'d T) -> &'d Field<Text<'d>>) -> Vec<&'d str> {
    let list = list.found().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|element| name(element.found()?).found().map(|name| &**name)).collect()
}

/// Returns the tokens of `document`, which was read as `policy`: texts as written, everything else as parsed.
fn tokens(actor: &Actor, document: &definition::Document<'_>, policy: &Policy) -> Result<Vec<Token>> {
    let as_written = document.tokens.found().into_iter().flat_map(definition::Tokens::iter);
    let as_written =
        as_written.filter_map(|element| if let Element::Found(token) = element { Some(token) } else { None });
    let text = |text: &Text<'_>| text.clone().into_owned();
    let texts = |field: &Field<Vec<Element<Text<'_>>>>| {
        let list = field.found().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Element::found).map(text).collect::<Vec<_>>()
    };
    let mut tokens = Vec::new();
    for (as_written, understood) in as_written.zip(policy.tokens()) {
        let grants = as_written.grants.found().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Element::found);
        // A grant of all sources may leave its source out.
        let grant = |grant: &definition::Grant<'_>| DraftGrant {
            connection_name: String::new(),
            source: grant.source.found().map_or_else(|| "*".to_owned(), text),
            kind: None,
        };
        let id = understood.id().to_owned();
        let draft = Draft {
            name: understood.name().filter(|name| !name.is_empty()).unwrap_or(&id).to_owned(),
            owner: understood.owner().filter(|owner| !owner.is_empty()).unwrap_or(&actor.user).to_owned(),
            id,
            token_sha256: String::new(),
            allowed_apis: texts(&as_written.allowed_apis),
            grants: grants.map(grant).collect(),
            referers: texts(&as_written.referers),
            expiration_date: None,
            created_at: None,
        };
        check_storable(&draft)?;
        let token = settled(&draft, policy, understood);
        check_text("id", &token.id)?;
        check_text("name", &token.name)?;
        check_text("owner", &token.owner)?;
        for instant in [token.expiration_date, token.created_at].into_iter().flatten() {
            if instant.to_string().parse() != Ok(instant) {
                let message = format!("token {} has an instant beyond the year 9999", quoted(&token.id));
                return Err(refused(message, "nothing was imported: write an earlier one"));
            }
        }
        tokens.push(token);
    }
    if tokens.len() == policy.tokens().len() { Ok(tokens) } else { Err(misread()) }
}

fn misread() -> RegistryError {
    storage("the document was read in two ways", "nothing was imported")
}

/// The result of comparing a token with the existing ones.
enum Comparison {
    New,
    Same,
    Conflict(String),
}

/// Tokens that exist or are imported, by everything that only one of them may have.
#[derive(Default)]
struct Known {
    tokens: Vec<Token>,
    by_id: HashMap<String, usize>,
    by_digest: HashMap<SecretDigest, usize>,
    by_owner_and_name: HashMap<(String, String), usize>,
}

impl Known {
    fn new(tokens: Vec<Token>) -> Self {
        let mut known = Self::default();
        for token in tokens {
            known.add(token);
        }
        known
    }

    fn add(&mut self, token: Token) {
        let index = self.tokens.len();
        self.by_id.insert(token.id.clone(), index);
        self.by_digest.insert(token.digest, index);
        self.by_owner_and_name.insert((token.owner.clone(), token.name.clone()), index);
        self.tokens.push(token);
    }

    fn compare(&self, actor: &Actor, token: &Token) -> Comparison {
        let id = quoted(&token.id);
        if !actor.may(&token.owner) {
            let owner = quoted(&token.owner);
            return Comparison::Conflict(format!(
                "token {id} is of {owner}: `--all-users` imports tokens of other users"
            ));
        }
        let known = |index: Option<&usize>| index.and_then(|index| self.tokens.get(*index));
        if let Some(known) = known(self.by_id.get(&token.id)) {
            return if known == token { Comparison::Same } else { Comparison::Conflict(format!("token {id} differs")) };
        }
        if let Some(known) = known(self.by_digest.get(&token.digest)) {
            return Comparison::Conflict(format!("the secret of token {id} is that of {}", quoted(&known.id)));
        }
        // A tuple of texts is looked up by a tuple of texts.
        if let Some(known) = known(self.by_owner_and_name.get(&(token.owner.clone(), token.name.clone()))) {
            let name = quoted(&token.name);
            return Comparison::Conflict(format!("name {name} of token {id} is that of {}", quoted(&known.id)));
        }
        Comparison::New
    }
}
