//! Warnings: what is legal but probably unintended.
//!
//! | code | of |
//! | --- | --- |
//! | `grant_unused_by_apis` | a grant that no API of its token considers (N8.3) |
//! | `all_sources_with_referers` | all sources for a token that web pages show to everyone |
//! | `pattern_too_deep` | a pattern or resource with more segments than names of its dialect have |
//! | `pattern_too_shallow` | a pattern or resource with fewer segments than tables of its dialect have |
//! | `wildcard_before_second_dot` | a pattern over databases or schemas, not over tables |
//! | `referer_full_path` | a referer with a path, which browsers do not send across origins |
//! | `referer_never_sent` | a referer whose host no browser sends, or whose port no browser opens |
//! | `referer_http` | a referer that is not encrypted, of another machine |
//! | `public_token_never_expires` | a token for web pages without an end |
//! | `plain_secret` | a secret in the document |
//! | `expired` | a token that is expired now |
//! | `connection_undeclared` | a grant on a connection that no document declares, although one declares connections |
//! | `connection_not_in_urls` | a connection whose name no path of an HTTP request can carry |
//! | `connection_star` | a connection whose name has a star, which is not a wildcard there |
//! | `secret_not_in_headers` | a secret that no `Authorization` header can carry, or the digest of one |
//! | `query_not_sql` | a granted query that starts with no keyword of a statement |
//! | `typographic_quotes` | a name with typographic quotes, which are part of it |
//! | `name_unlikely` | a name with a list, a blank or a wildcard of `LIKE` in quotes, or a named source `all` |
//! | `blanks_around` | an id or a connection with blanks around it, which are part of it |
//! | `bidi_character` | an id, a name, an owner or a connection with a character that changes the direction of text |
//! | `invisible_character` | an id, a name, an owner or a connection with a character that no reader sees |
//! | `no_tokens` | documents without tokens |

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::known_digests::not_carried;
use super::leftovers;
use super::spot::Draft;
use super::statement::may_be_statement;
use super::transport::{UnreachableConnection, not_in_headers};
use super::{LoadOptions, Severity};
use crate::definition::{Document, Field, SyntaxError, Tokens};
use crate::lower::{LoweredToken, Origin, Part, Problem, bare, expression, is_expression, list};
use portcullis::base::{JsonPath, Timestamp, is_browsed_host, is_browsed_port, nearest, quoted};
use portcullis::model::{
    Connection, Expiry, Grant, GrantKind, GrantKinds, GrantSource, Limits, Operation, Referers, SecretDigest,
};
use portcullis::name::{Dialect, STAR, is_typographic_quote, undecorated};
use portcullis::referer::{Entry, Rule, Scheme};

/// Warnings, bounded in memory: keeps the first ones, counts all of them.
pub(super) struct Warnings {
    now: Option<Timestamp>,
    max: usize,
    pub(super) found: Vec<Draft>,
    /// The number of warnings of each document.
    pub(super) counts: Vec<usize>,
}

impl Warnings {
    pub(super) fn new(documents: usize, options: &LoadOptions) -> Self {
        Self { now: options.now, max: options.max_warnings, found: Vec::new(), counts: vec![0; documents] }
    }

    /// Adds the warnings of a token.
    pub(super) fn token(&mut self, token: &LoweredToken<'_, '_>) {
        Search { warnings: self, lowered: token }.token();
    }

    /// Adds the warnings of the documents without their tokens.
    pub(super) fn documents(&mut self, read: &[Result<Document<'_>, SyntaxError>]) {
        for (number, document) in read.iter().enumerate() {
            let connections = document.as_ref().ok().and_then(|document| document.connections.found());
            for (index, connection) in connections.into_iter().flatten().enumerate() {
                let name = connection.found().and_then(|connection| connection.name.found());
                let path = JsonPath::root().key("connections").index(index).key("name");
                for (code, (message, help)) in name.into_iter().flat_map(|name| unclear("connection", name)) {
                    let path = path.clone();
                    self.add(number, || Problem {
                        document: number,
                        path,
                        part: Part::Value,
                        offset: None,
                        code,
                        message: message.into(),
                        help: help.into(),
                    });
                }
                if let Some(name) = name.filter(|name| name.contains('*')) {
                    let (path, message) = (path.clone(), starred(name).into());
                    self.add(number, || Problem {
                        document: number,
                        path,
                        part: Part::Value,
                        offset: None,
                        code: CONNECTION_STAR,
                        message,
                        help: EACH_CONNECTION.into(),
                    });
                }
                let Some(warning) = name.and_then(|name| UnreachableConnection::of(name)) else { continue };
                let (message, help) = (warning.message.into(), warning.help.into());
                self.add(number, || Problem {
                    document: number,
                    path,
                    part: Part::Value,
                    offset: None,
                    code: NOT_IN_URLS,
                    message,
                    help,
                });
            }
        }
        let tokens = |document: &Result<Document<'_>, SyntaxError>| {
            document.as_ref().is_ok_and(|document| document.tokens.found().is_some_and(Tokens::is_empty))
        };
        if !read.is_empty() && read.iter().all(tokens) {
            let problem = Problem {
                document: read.len() - 1,
                path: JsonPath::root().key("tokens"),
                part: Part::Value,
                offset: None,
                code: "no_tokens",
                message: "the policy has no tokens: it denies every request".into(),
                help: "add a token: `portcullis init` writes a policy with one".into(),
            };
            self.add(problem.document, || problem);
        }
    }

    fn add(&mut self, document: usize, problem: impl FnOnce() -> Problem) {
        if let Some(count) = self.counts.get_mut(document) {
            *count += 1;
        }
        if self.found.len() < self.max {
            self.found.push(Draft { severity: Severity::Warning, problem: problem() });
        }
    }
}

/// The search for warnings of one token.
struct Search<'w, 'l, 't> {
    warnings: &'w mut Warnings,
    lowered: &'l LoweredToken<'l, 't>,
}

impl Search<'_, '_, '_> {
    fn token(&mut self) {
        let LoweredToken { token, written, .. } = *self.lowered;
        let public = matches!(token.referers(), Referers::Only(_));
        if matches!(written.token, Field::Found(_)) {
            self.warn(
                |path| path.key("token"),
                Part::Key,
                "plain_secret",
                "the document holds the secret itself",
                "write its SHA-256 as `token_sha256` instead: a reader of the document then learns no secret",
            );
        }
        if let Some(why) = written.token.found().and_then(|secret| not_in_headers(secret.expose())) {
            self.warn(
                |path| path.key("token"),
                Part::Key,
                "secret_not_in_headers",
                format!("no `Authorization` header carries the secret: {why}"),
                "write a secret of visible ASCII characters without a comma: `portcullis init` writes one",
            );
        }
        let digest = written.token_sha256.found().and_then(|hex| SecretDigest::from_hex(hex.expose()).ok());
        if let Some(why) = digest.and_then(not_carried) {
            self.warn(
                |path| path.key("token_sha256"),
                Part::Key,
                "secret_not_in_headers",
                format!("`token_sha256` is the digest of a secret that no `Authorization` header carries: {why}"),
                "write the digest of a long random text: `printf %s \"$SECRET\" | portcullis digest` prints it",
            );
        }
        let expiry = |path: JsonPath| match written.expiration_date {
            Field::Missing => path,
            Field::Found(_) | Field::Wrong(_) => path.key("expiration_date"),
        };
        if public && token.expiry() == Expiry::Never {
            self.warn(
                expiry,
                Part::Value,
                "public_token_never_expires",
                "the token has referers, so web pages show it to everyone, and it never expires",
                "write an `expiration_date`, and replace the token before it expires",
            );
        }
        if let (Expiry::At(end), Some(now)) = (token.expiry(), self.warnings.now)
            && token.expiry().is_expired(now)
        {
            let message = format!("the token expired at {end}");
            let help = "remove the token, or create a new one: the expiry of a token cannot change";
            self.warn(expiry, Part::Value, "expired", message, help);
        }
        self.texts();
        self.grants(public);
        self.referers();
    }

    /// Reports an id with blanks around it, and invisible characters in the id, name and owner.
    fn texts(&mut self) {
        let token = self.lowered.token;
        for (code, (message, help)) in unclear("id", token.id()) {
            self.warn(|path| path.key("id"), Part::Value, code, message, help);
        }
        for (field, text) in [("name", token.name()), ("owner", token.owner())] {
            if let Some((code, (message, help))) = text.and_then(|text| leftovers::invisible(field, text)) {
                self.warn(|path| path.key(field), Part::Value, code, message, help);
            }
        }
    }

    fn grants(&mut self, public: bool) {
        let LoweredToken { token, written, apis, .. } = *self.lowered;
        let considered = token.apis().iter().filter_map(|api| apis.get(api)).map(|api| {
            let kinds = [api.considers(Operation::Query), api.considers(Operation::Model)];
            kinds.map(|kinds| kinds.iter().collect::<Vec<_>>()).concat()
        });
        let considered = GrantKinds::of(&considered.flatten().collect::<Vec<_>>());
        let written_grants = written.grants.found().map(Vec::as_slice).unwrap_or_default();
        for (index, (grant, written)) in token.grants().iter().zip(written_grants).enumerate() {
            let kind = grant.source().kind();
            if !considered.contains(kind) {
                let names = list(token.apis().iter().filter_map(|api| Some(apis.get(api)?.name())));
                let message = format!("no API of the token considers a grant of kind `{kind}`: it allows nothing");
                let help = match token.grants().len() {
                    1 => format!("grant a source of another kind, or let the token use another API than {names}"),
                    _ => format!("remove the grant, or let the token use another API than {names}"),
                };
                let path = |path: JsonPath| path.key("grants").index(index);
                self.warn(path, Part::Value, "grant_unused_by_apis", message, help);
            }
            let has_source = written.found().is_some_and(|written| matches!(written.source, Field::Found(_)));
            let path = move |path: JsonPath| {
                let path = path.key("grants").index(index);
                if has_source { path.key("source") } else { path }
            };
            self.source(grant, public, path);
            self.undeclared(index, grant);
        }
    }

    /// Reports a connection that is not declared, while others are, or whose name no path can carry. Of a declared
    /// connection, the declaration is reported.
    fn undeclared(&mut self, index: usize, grant: &Grant) {
        let declared = self.lowered.declared_connections();
        let is_declared = grant.connection().index() < declared.len();
        let Some(connection) = self.lowered.connection(grant).filter(|_| !is_declared) else { return };
        let path = |path: JsonPath| path.key("grants").index(index).key("connection_name");
        if let Some(warning) = UnreachableConnection::of(connection.name()) {
            self.warn(path, Part::Value, NOT_IN_URLS, warning.message, warning.help);
        }
        for (code, (message, help)) in unclear("connection", connection.name()) {
            self.warn(path, Part::Value, code, message, help);
        }
        if connection.name().contains('*') {
            self.warn(path, Part::Value, CONNECTION_STAR, starred(connection.name()), EACH_CONNECTION);
        }
        if declared.is_empty() {
            return;
        }
        let name = quoted(connection.name());
        let message = format!("connection {name} is not declared: its names are read in dialect `generic`");
        let help = match nearest(connection.name(), declared.iter().map(Connection::name)) {
            Some(nearest) if nearest.trim() == connection.name() => {
                format!("declare the connection as {name}, without blanks around it")
            }
            Some(nearest) => format!("did you mean {}?", quoted(nearest.trim())),
            None => {
                format!("declare it in `connections`, or write one of {}", list(declared.iter().map(Connection::name)))
            }
        };
        self.warn(path, Part::Value, "connection_undeclared", message, help);
    }

    fn source(&mut self, grant: &Grant, public: bool, path: impl Fn(JsonPath) -> JsonPath + Copy) {
        let Some(connection) = self.lowered.connection(grant) else { return };
        match grant.source() {
            GrantSource::All if public => {
                self.warn(
                    path,
                    Part::Value,
                    "all_sources_with_referers",
                    "the token has referers, so web pages show it to everyone, and it covers all sources",
                    "grant the sources that the pages need: referers do not authenticate",
                );
            }
            GrantSource::Resource(name) => {
                self.depth(name.as_bytes(), "resource", connection, path);
                self.leftovers(grant.source(), name.as_bytes(), connection, path);
                self.quotes(grant.source(), name.as_bytes(), connection, path);
            }
            GrantSource::Pattern(pattern) => {
                self.depth(pattern.as_bytes(), "pattern", connection, path);
                self.wildcard(pattern.as_bytes(), path);
                self.leftovers(grant.source(), pattern.as_bytes(), connection, path);
                self.quotes(grant.source(), pattern.as_bytes(), connection, path);
            }
            GrantSource::Query(query) => self.query(query.as_str(), connection, path),
            GrantSource::NamedSource(name) => {
                if let Some((message, help)) = leftovers::of_named_source(name.as_str()) {
                    self.warn(path, Part::Value, UNLIKELY, message, help);
                }
            }
            GrantSource::All => {}
        }
    }

    /// Reports a list, a blank or a wildcard of `LIKE` that quotes made a part of a name.
    fn leftovers(
        &mut self,
        source: &GrantSource,
        canonical: &[u8],
        connection: &Connection,
        path: impl Fn(JsonPath) -> JsonPath,
    ) {
        if let Some((message, help)) = leftovers::of_name(source, canonical, connection) {
            self.warn(path, Part::Value, UNLIKELY, message, help);
        }
    }

    /// Reports a query that starts no statement: a name, or a text that no client sends as a query.
    fn query(&mut self, text: &str, connection: &Connection, path: impl Fn(JsonPath) -> JsonPath) {
        if may_be_statement(text) {
            return;
        }
        let message =
            format!("the granted query {} starts with no keyword of a statement: it never runs", quoted(text));
        let meant = GrantSource::guess(text, connection.dialect(), &Limits::default()).map(|source| source.kind());
        let help = match meant {
            Ok(GrantKind::Resource | GrantKind::Pattern | GrantKind::NamedSource) => {
                "leave out `type`: the source is then read as a name".to_owned()
            }
            _ => "write the whole query, such as `SELECT id FROM acme.shop.orders`".to_owned(),
        };
        self.warn(path, Part::Value, "query_not_sql", message, help);
    }

    /// Reports typographic quotes around a segment, which are part of its name.
    fn quotes(
        &mut self,
        source: &GrantSource,
        canonical: &[u8],
        connection: &Connection,
        path: impl Fn(JsonPath) -> JsonPath,
    ) {
        let has_quotes = |segment: &[u8]| {
            let segment = String::from_utf8_lossy(segment);
            segment.starts_with(is_typographic_quote) || segment.ends_with(is_typographic_quote)
        };
        if canonical.is_ascii() || !canonical.split(|&byte| byte == b'.').any(has_quotes) {
            return;
        }
        let text = source.display(connection.dialect());
        let message = format!("the quotes in {} are part of the name: they are typographic quotes", quoted(&text));
        let bare = text.replace(['"', '`'], "");
        let kind =
            |text: &str| GrantSource::guess(text, connection.dialect(), &Limits::default()).map(|found| found.kind());
        // A star in quotes is not a wildcard.
        let without = || Some(bare.replace(is_typographic_quote, ""));
        let plain = undecorated(&bare, connection.dialect())
            .filter(|plain| kind(plain) == Ok(source.kind()))
            .or_else(|| without().filter(|plain| kind(plain) == Ok(source.kind())));
        let help = match plain {
            Some(plain) => format!("write {}", quoted(&plain)),
            None => "write the name without them".to_owned(),
        };
        self.warn(path, Part::Value, "typographic_quotes", message, help);
    }

    fn depth(&mut self, name: &[u8], what: &str, connection: &Connection, path: impl Fn(JsonPath) -> JsonPath) {
        let segments = memchr::memchr_iter(b'.', name).count() + 1;
        let dialect = connection.dialect();
        if let Some(depth) = dialect.depth().map(usize::from)
            && segments < depth
        {
            let message = format!("the {what} has {segments} segments, a table of dialect `{dialect}` has {depth}");
            let help = "write the full path: it covers only names with as many segments as it has";
            self.warn(&path, Part::Value, "pattern_too_shallow", message, help);
        }
        if let Some(max) = max_segments(dialect, name)
            && segments > max
        {
            let message = format!(
                "the {what} has {segments} segments, a name of dialect `{dialect}` has at most {max}: it matches nothing"
            );
            let help = "write the path as the warehouse does, with a `*` only in place of characters of a segment";
            self.warn(path, Part::Value, "pattern_too_deep", message, help);
        }
    }

    fn wildcard(&mut self, pattern: &[u8], path: impl Fn(JsonPath) -> JsonPath) {
        let mut segments = pattern.split(|&byte| byte == b'.');
        // The last segment names tables.
        segments.next_back();
        if segments.take(2).any(|segment| segment.contains(&STAR)) {
            self.warn(
                path,
                Part::Value,
                "wildcard_before_second_dot",
                "the pattern holds a `*` before its last segments: it covers every database or schema of that form",
                "write the database and the schema out, with a pattern for each",
            );
        }
    }

    fn referers(&mut self) {
        let list = self.lowered.written.referers.found().map(Vec::as_slice).unwrap_or_default();
        for (index, text) in list.iter().enumerate() {
            // The policy sorts its entries.
            let Some(entry) = text.found().and_then(|text| Entry::parse(text).ok()) else { continue };
            let path = |path: JsonPath| path.key("referers").index(index);
            if !is_browsed_host(entry.host()) {
                let meant = text.found().map(|text| bare(text)).filter(|meant| {
                    Entry::parse(meant).is_ok_and(|entry| is_browsed_host(entry.host()) && !entry.is_wildcard_host())
                });
                let meant = meant.map_or("`https://app.example.com/`".to_owned(), quoted);
                self.warn(
                    path,
                    Part::Value,
                    "referer_never_sent",
                    format!("the referer matches no request: no browser sends the host {}", quoted(entry.host())),
                    format!("write the host of the page, such as {meant}"),
                );
            }
            if let Some(port) = entry.port().filter(|port| !is_browsed_port(*port)) {
                self.warn(
                    path,
                    Part::Value,
                    "referer_never_sent",
                    format!("the referer matches no request: browsers open no page on port {port}"),
                    "write the port of the page, such as `https://app.example.com:8443/`",
                );
            }
            if entry.rule() != Rule::Site {
                self.warn(
                    path,
                    Part::Value,
                    "referer_full_path",
                    "the referer has a path, but browsers send only the origin to another one",
                    // Everything below a wildcard may be a public suffix, which `audit lint` knows.
                    if let Some(text) = text.found().filter(|text| is_expression(text)) {
                        expression(text)
                    } else if entry.is_wildcard_host() {
                        "write the site: leave out what follows the host".into()
                    } else {
                        format!("write the site: {}", quoted(&site(&entry))).into()
                    },
                );
            }
            if entry.scheme() == Scheme::Http && !is_local(entry.host()) {
                let message = "the referer uses plain `http`: anyone on the network path can change that page";
                self.warn(path, Part::Value, "referer_http", message, "use `https`");
            }
        }
    }

    fn warn(
        &mut self,
        path: impl Fn(JsonPath) -> JsonPath,
        part: Part,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) {
        let Origin { document, token } = self.lowered.origin;
        self.warnings.add(document, || {
            let path = path(JsonPath::root().key("tokens").index(token));
            Problem { document, path, part, offset: None, code, message: message.into(), help: help.into() }
        });
    }
}

/// Returns the max number of segments of any name like `name` in the dialect, with those of `INFORMATION_SCHEMA`, of
/// metadata tables, and of projects of BigQuery whose domain has a dot; `None` if there is no limit.
fn max_segments(dialect: Dialect, name: &[u8]) -> Option<usize> {
    // `example.com:project` has the colon in its second segment.
    let has_domain = || {
        let second = name.split(|&byte| byte == b'.').nth(1).unwrap_or_default();
        second.iter().any(|byte| matches!(*byte, b':' | STAR))
    };
    match dialect {
        Dialect::Generic => None,
        Dialect::BigQuery => Some(if has_domain() { 5 } else { 4 }),
        Dialect::Databricks => Some(4),
        Dialect::Snowflake
        | Dialect::Oracle
        | Dialect::Postgres
        | Dialect::Redshift
        | Dialect::RedshiftCaseSensitive => Some(3),
    }
}

/// The code of a name that probably names nothing.
const UNLIKELY: &str = "name_unlikely";

/// Returns the warnings, with their codes, of an id or a name that requests and logs repeat.
fn unclear(what: &str, text: &str) -> impl Iterator<Item = (&'static str, (String, String))> {
    let blanks = leftovers::blanks(what, text).map(|words| ("blanks_around", words));
    blanks.into_iter().chain(leftovers::invisible(what, text))
}

/// The code of a connection whose name has a star.
const CONNECTION_STAR: &str = "connection_star";

/// The fix for a connection whose name has a star.
const EACH_CONNECTION: &str = "write a grant for each connection, with its whole name";

fn starred(name: &str) -> String {
    format!("connection {} has a `*`, which is not a wildcard in the name of a connection", quoted(name))
}

/// The code of a connection that no path can name.
const NOT_IN_URLS: &str = "connection_not_in_urls";

/// Returns the text of the site of `entry`, which is an entry.
pub fn site(entry: &Entry) -> String {
    let wildcard = if entry.is_wildcard_host() { "*." } else { "" };
    let port = entry.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{wildcard}{}{port}/", entry.scheme(), entry.host())
}

/// Whether `host`, in WHATWG form, is the local machine.
fn is_local(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}
