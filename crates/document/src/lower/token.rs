//! Lowers one token.

use super::explain::{self, Words};
use super::problem;
use super::words::one_of;
use super::{Lowering, Map, Meant, Part};
use crate::definition::{self, Element, Field, Text};
use portcullis::base::{JsonPath, Timestamp, quoted};
use portcullis::model::{
    Api, ApiId, ApiSet, Connection, ConnectionId, Expiry, Grant, GrantSource, Referers, SecretDigest, SourceError,
    SourceType, Token, TokenParts,
};
use portcullis::name::Dialect;
use portcullis::referer::{Entry, RefererSet};

/// The position of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct TokenAt {
    pub(super) document: usize,
    pub(super) index: usize,
}

/// The length in bytes from which a secret does not occur in a text by chance.
const MIN_REPEATED: usize = 8;

/// Whether `text` repeats `secret`: it is the secret, or contains a long one.
pub(crate) fn repeats(text: &str, secret: &str) -> bool {
    !secret.is_empty() && (text == secret || (secret.len() >= MIN_REPEATED && text.contains(secret)))
}

impl TokenAt {
    fn path(self) -> JsonPath {
        JsonPath::root().key("tokens").index(self.index)
    }
}

/// Ids, digests and names of the tokens so far: each is unique (N11.4). Each is stored with the first token that has
/// it.
pub(super) struct Unique<'t> {
    ids: Map<Text<'t>, TokenAt>,
    digests: Map<SecretDigest, TokenAt>,
    /// By owner and name. Tokens without an owner share one owner.
    names: Map<(Text<'t>, Text<'t>), TokenAt>,
}

impl Unique<'_> {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self {
            ids: Map::with_capacity_and_hasher(count, foldhash::fast::RandomState::default()),
            digests: Map::with_capacity_and_hasher(count, foldhash::fast::RandomState::default()),
            names: Map::default(),
        }
    }
}

impl<'t> Lowering<'_, 't> {
    /// Lowers a token and reports its problems. With problems the result is meaningless.
    pub(super) fn token(&mut self, at: TokenAt, token: &definition::Token<'t>, meant: Meant) -> Option<Token> {
        let id = self.id(at, token);
        let digest = self.secret(at, token, meant);
        self.repeated_secret(at, token, digest.as_ref());
        self.name(at, token);
        let (apis, needs_grants) = self.allowed_apis(at, token);
        let grants = self.grants(at, token, needs_grants && !meant.grants);
        let referers = self.referers(at, token);
        let expiry = self.instant(at, &token.expiration_date, "expiration_date", "expiry_malformed");
        let created_at = self.instant(at, &token.created_at, "created_at", "created_at_malformed");
        let text = |field: &Field<Option<Text<'_>>>| field.found()?.as_deref().map(Box::from);
        Some(Token::from(TokenParts {
            id: id?.into(),
            name: text(&token.name),
            owner: text(&token.owner),
            digest: digest?,
            apis,
            grants: grants.into(),
            referers,
            expiry: expiry.map_or(Expiry::Never, Expiry::At),
            created_at,
        }))
    }

    fn wrong(&mut self, at: TokenAt, field: &'static str, words: Words) {
        self.report(at.document, at.path().key(field), Part::Value, words);
    }

    fn id<'i>(&mut self, at: TokenAt, token: &'i definition::Token<'t>) -> Option<&'i str> {
        let id = token.id.found()?;
        if id.is_empty() {
            let help = "write what decisions and logs are to call the token".into();
            self.wrong(at, "id", ("id_empty", "the id is empty".into(), help));
            return None;
        }
        if let Some(words) = explain::control("id", id) {
            self.wrong(at, "id", words);
            return None;
        }
        let first = *self.unique.ids.entry(id.clone()).or_insert(at);
        if first != at {
            let message = format!("id {} is taken {}", quoted(id), self.token_elsewhere(at, first));
            self.wrong(at, "id", ("duplicate_id", message.into(), "give each token an id of its own".into()));
        }
        Some(id)
    }

    fn name(&mut self, at: TokenAt, token: &definition::Token<'t>) {
        for (field, text) in [("name", &token.name), ("owner", &token.owner)] {
            let text = text.found().and_then(Option::as_deref);
            if let Some(words) = text.and_then(|text| explain::control(field, text)) {
                self.wrong(at, field, words);
            }
        }
        let Some(Some(name)) = token.name.found() else { return };
        let owner = match &token.owner {
            Field::Missing | Field::Found(None) => Text::default(),
            Field::Found(Some(owner)) => owner.clone(),
            Field::Wrong(_) => return,
        };
        let first = *self.unique.names.entry((owner.clone(), name.clone())).or_insert(at);
        if first != at {
            let whose = if owner.is_empty() { "without an owner".to_owned() } else { format!("of {}", quoted(&owner)) };
            let message = format!("name {} {whose} is taken {}", quoted(name), self.token_elsewhere(at, first));
            let help = "give each token of one owner a name of its own, or none".into();
            self.wrong(at, "name", ("duplicate_name", message.into(), help));
        }
    }

    /// Returns the digest of the secret. The values of these fields are never repeated.
    fn secret(&mut self, at: TokenAt, token: &definition::Token<'_>, meant: Meant) -> Option<SecretDigest> {
        let (field, digest) = match (&token.token, &token.token_sha256) {
            (Field::Missing, Field::Missing) => {
                if !meant.secret {
                    self.report(at.document, at.path(), Part::Value, explain::no_secret());
                }
                return None;
            }
            (Field::Found(secret), other) => {
                if !matches!(other, Field::Missing) {
                    self.wrong_secret(at, "token_sha256", explain::two_secrets());
                }
                if secret.expose().is_empty() {
                    let help = "write a long random text, or its SHA-256 as `token_sha256`".into();
                    self.wrong_secret(at, "token", ("secret_empty", "the secret is empty".into(), help));
                    return None;
                }
                ("token", SecretDigest::of(secret.expose()))
            }
            (other, Field::Found(digest)) => {
                if !matches!(other, Field::Missing) {
                    self.wrong_secret(at, "token_sha256", explain::two_secrets());
                }
                let Ok(digest) = SecretDigest::from_hex(digest.expose()) else {
                    self.wrong_secret(at, "token_sha256", explain::digest());
                    return None;
                };
                ("token_sha256", digest)
            }
            (Field::Missing | Field::Wrong(_), _) => return None,
        };
        let first = *self.unique.digests.entry(digest).or_insert(at);
        if first != at {
            let message = format!("the secret is taken {}", self.token_elsewhere(at, first));
            let help = "give each token a secret of its own: a request presents nothing else".into();
            self.wrong_secret(at, field, ("duplicate_secret", message.into(), help));
        }
        Some(digest)
    }

    /// Reports an id, name or owner that repeats the secret: decisions, logs and lists show these texts.
    ///
    /// Without the secret, only an id that is the secret is found, by its digest.
    fn repeated_secret(&mut self, at: TokenAt, token: &definition::Token<'_>, digest: Option<&SecretDigest>) {
        let texts = [
            ("id", token.id.found()),
            ("name", token.name.found().and_then(Option::as_ref)),
            ("owner", token.owner.found().and_then(Option::as_ref)),
        ];
        for (field, text) in texts.into_iter().filter_map(|(field, text)| Some((field, text?))) {
            let is_secret = match token.token.found() {
                Some(secret) => repeats(text, secret.expose()),
                None => field == "id" && digest.is_some_and(|digest| SecretDigest::of(text) == *digest),
            };
            if is_secret {
                let message = format!("the {field} repeats the secret, but logs and reports show every {field}");
                let help = format!("write another {field}, and give the token a new secret");
                self.wrong_secret(at, field, ("secret_repeated", message.into(), help.into()));
            }
        }
    }

    fn wrong_secret(&mut self, at: TokenAt, field: &'static str, words: Words) {
        self.report(at.document, at.path().key(field), Part::Key, words);
    }

    /// Returns the APIs, and whether they need a grant (N8.1, N8.2, N8.6).
    fn allowed_apis(&mut self, at: TokenAt, token: &definition::Token<'_>) -> (ApiSet, bool) {
        let Some(list) = token.allowed_apis.found() else { return (ApiSet::default(), false) };
        if list.is_empty() {
            let help = format!("list at least one of {}", self.api_names());
            self.wrong(at, "allowed_apis", ("apis_empty", "the token may use no API".into(), help.into()));
        }
        let mut set = ApiSet::default();
        let mut others = false;
        for (index, name) in list.iter().enumerate() {
            let Element::Found(name) = name else { continue };
            match self.find_api(name) {
                Ok(api) => {
                    set.insert(api);
                    others |= api != ApiId::IMPORTS;
                }
                Err(at_fault) => {
                    others = true;
                    if at_fault {
                        let message = format!("unknown API {}", quoted(name));
                        let help = one_of(name, self.apis.iter().map(|(_, api)| api.name()).collect::<Vec<_>>());
                        let path = at.path().key("allowed_apis").index(index);
                        self.report(at.document, path, Part::Value, ("api_unknown", message.into(), help.into()));
                    }
                }
            }
        }
        if set.contains(ApiId::IMPORTS) && others {
            let message = "`imports` is listed with other APIs".into();
            let help = "`imports` writes: create a separate token for it".into();
            self.wrong(at, "allowed_apis", ("imports_not_alone", message, help));
        }
        let needs_grants = set.iter().any(|api| self.apis.get(api).is_some_and(Api::needs_source));
        (set, needs_grants)
    }

    fn api_names(&self) -> String {
        super::words::list(self.apis.iter().map(|(_, api)| api.name()))
    }

    fn grants(&mut self, at: TokenAt, token: &definition::Token<'t>, needed: bool) -> Vec<Grant> {
        let list = match &token.grants {
            Field::Found(list) => list.as_slice(),
            Field::Missing => &[],
            Field::Wrong(_) => return Vec::new(),
        };
        if list.is_empty() && needed {
            let grant = problem::grant(self.connections.example());
            let help = format!("add at least one, such as `{grant}`: only `lds` needs none");
            let words = ("grants_empty", "the token has no grants".into(), help.into());
            match token.grants {
                Field::Missing => self.report(at.document, at.path(), Part::Value, words),
                _ => self.wrong(at, "grants", words),
            }
        }
        let mut grants = Vec::with_capacity(list.len());
        for (index, grant) in list.iter().enumerate() {
            if let Element::Found(grant) = grant {
                grants.extend(self.grant(at, index, grant));
            }
        }
        grants
    }

    fn grant(&mut self, at: TokenAt, index: usize, grant: &definition::Grant<'t>) -> Option<Grant> {
        let path = || at.path().key("grants").index(index);
        let connection = match grant.connection_name.found() {
            Some(name) if name.is_empty() => {
                let help = "write the name of the connection that the source is on".into();
                let words = ("connection_empty", "the connection's name is empty".into(), help);
                self.report(at.document, path().key("connection_name"), Part::Value, words);
                None
            }
            Some(name) => match explain::control("connection", name) {
                Some(words) => {
                    self.report(at.document, path().key("connection_name"), Part::Value, words);
                    None
                }
                None => Some(&**name),
            },
            None => None,
        };
        let source_type = match &grant.kind {
            Field::Missing => None,
            Field::Wrong(_) => return None,
            Field::Found(name) => {
                let source_type = SourceType::from_name(name);
                if source_type.is_none() {
                    let message = format!("unknown type of source {}", quoted(name));
                    let words = ("type_unknown", message.into(), one_of(name, SourceType::NAMES).into());
                    self.report(at.document, path().key("type"), Part::Value, words);
                    return None;
                }
                source_type
            }
        };
        let text = match &grant.source {
            Field::Found(text) => Some(text),
            Field::Missing => None,
            Field::Wrong(_) => return None,
        };
        let (id, dialect) = self.dialect(connection);
        let (sources, limits) = (&mut self.sources, &self.options.limits);
        let mut read = |dialect| match (text, source_type) {
            (Some(text), source_type) => sources.read(text, source_type, dialect, limits).map(Some),
            (None, Some(source_type)) => GrantSource::typed(None, source_type, dialect, limits).map(Some),
            // The missing field is reported already.
            (None, None) => Ok(None),
        };
        let source = match dialect {
            Some(dialect) => read(dialect),
            // The dialect is unknown: only a problem in every dialect is a problem.
            None => Dialect::ALL
                .into_iter()
                .find_map(|dialect| read(dialect).ok())
                .map_or_else(|| read(Dialect::Generic), Ok),
        };
        match source {
            Ok(source) => {
                let (connection, source) = (connection?, source?);
                let connection = id.unwrap_or_else(|| self.undeclared(connection));
                Some(Grant::new(connection, source))
            }
            Err(error) => {
                self.wrong_source(at, index, text.map(|text| &**text), dialect.unwrap_or_default(), &error);
                None
            }
        }
    }

    /// Reports a malformed source. A missing one is reported already.
    fn wrong_source(&mut self, at: TokenAt, index: usize, text: Option<&str>, dialect: Dialect, error: &SourceError) {
        if let Some(text) = text {
            let path = at.path().key("grants").index(index).key("source");
            self.report(at.document, path, Part::Value, explain::source(text, dialect, error));
        }
    }

    /// Returns the id of a known connection, and its dialect if that is certain.
    fn dialect(&self, connection: Option<&str>) -> (Option<ConnectionId>, Option<Dialect>) {
        let Some(name) = connection else { return (None, None) };
        match self.connections.find(name) {
            Some(id) => (Some(id), self.connections.dialect(id)),
            None => (None, self.dialect_of_undeclared()),
        }
    }

    fn dialect_of_undeclared(&self) -> Option<Dialect> {
        (!self.connections_unclear).then(Dialect::default)
    }

    /// Adds a connection that no document declares.
    fn undeclared(&mut self, name: &str) -> ConnectionId {
        let connection = Connection::new(name, Dialect::default(), false);
        self.connections.add(connection, self.dialect_of_undeclared())
    }

    fn referers(&mut self, at: TokenAt, token: &definition::Token<'_>) -> Referers {
        let list = token.referers.found().map(Vec::as_slice).unwrap_or_default();
        if list.is_empty() {
            return Referers::Any;
        }
        let mut entries = Vec::with_capacity(list.len());
        for (index, text) in list.iter().enumerate() {
            let Element::Found(text) = text else { continue };
            match Entry::parse(text) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    let path = at.path().key("referers").index(index);
                    self.report(at.document, path, Part::Value, explain::referer(text, &error));
                }
            }
        }
        Referers::Only(RefererSet::new(entries))
    }

    fn instant(
        &mut self,
        at: TokenAt,
        value: &Field<Option<Text<'_>>>,
        field: &'static str,
        code: &'static str,
    ) -> Option<Timestamp> {
        let text = value.found()?.as_deref()?;
        let instant = text.parse().ok();
        if instant.is_none() {
            self.wrong(at, field, explain::instant(code, text));
        }
        instant
    }

    fn token_elsewhere(&self, at: TokenAt, first: TokenAt) -> String {
        self.elsewhere(at.document, first.document, &format!("tokens[{}]", first.index))
    }
}
