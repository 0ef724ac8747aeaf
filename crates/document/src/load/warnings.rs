//! Warnings: what is legal but probably unintended.
//!
//! | code | of |
//! | --- | --- |
//! | `grant_unused_by_apis` | a grant that no API of its token considers (N8.3) |
//! | `all_sources_with_referers` | all sources for a token that web pages show to everyone |
//! | `pattern_too_shallow` | a pattern or resource with fewer segments than tables of its dialect have |
//! | `wildcard_before_second_dot` | a pattern over databases or schemas, not over tables |
//! | `referer_full_path` | a referer with a path, which browsers do not send across origins |
//! | `referer_http` | a referer that is not encrypted, of another machine |
//! | `public_token_never_expires` | a token for web pages without an end |
//! | `plain_secret` | a secret in the document |
//! | `expired` | a token that is expired now |

use std::borrow::Cow;
use std::net::Ipv4Addr;

use super::spot::Draft;
use super::{LoadOptions, Severity};
use crate::definition::{self, Element, Field, Tokens};
use crate::lower::{Named, Origin, Part, Problem};
use portcullis::base::{JsonPath, Timestamp};
use portcullis::model::{Connection, Expiry, Grant, GrantKinds, GrantSource, Operation, Policy, Referers, Token};
use portcullis::name::STAR;
use portcullis::referer::{Entry, Rule, Scheme};

/// Warnings, bounded in memory: keeps the first ones, counts all of them.
pub(super) struct Warnings {
    pub(super) found: Vec<Draft>,
    /// The number of warnings of each document.
    pub(super) counts: Vec<usize>,
}

/// Returns the warnings of the tokens of `policy`, whose positions are `origins`. Parses the tokens again; linear in
/// their size.
pub(super) fn warnings(
    documents: &[Named<'_, '_>],
    policy: &Policy,
    origins: &[Origin],
    options: &LoadOptions,
) -> Warnings {
    let found = Warnings { found: Vec::new(), counts: vec![0; documents.len()] };
    let mut search = Search { policy, now: options.now, max: options.max_warnings, found };
    // Tokens and origins are in the order of the documents.
    let mut valid = policy.tokens().iter().zip(origins).peekable();
    for (document, named) in documents.iter().enumerate() {
        for (token, written) in named.document.tokens.found().into_iter().flat_map(Tokens::iter).enumerate() {
            let here = valid.next_if(|(_, origin)| **origin == Origin { document, token });
            if let (Some((token, origin)), Element::Found(written)) = (here, written) {
                search.token(*origin, token, &written);
            }
        }
    }
    search.found
}

struct Search<'p> {
    policy: &'p Policy,
    now: Option<Timestamp>,
    max: usize,
    found: Warnings,
}

impl Search<'_> {
    fn token(&mut self, at: Origin, token: &Token, written: &definition::Token<'_>) {
        let public = matches!(token.referers(), Referers::Only(_));
        if matches!(written.token, Field::Found(_)) {
            self.warn(
                at,
                |place| place.key("token"),
                Part::Key,
                "plain_secret",
                "the document holds the secret itself",
                "write its SHA-256 as `token_sha256` instead: a reader of the document then learns no secret",
            );
        }
        let expiry = |place: JsonPath| match written.expiration_date {
            Field::Missing => place,
            Field::Found(_) | Field::Wrong(_) => place.key("expiration_date"),
        };
        if public && token.expiry() == Expiry::Never {
            self.warn(
                at,
                expiry,
                Part::Value,
                "public_token_never_expires",
                "the token has referers, so web pages show it to everyone, and it never expires",
                "write an `expiration_date`, and replace the token before",
            );
        }
        if let (Expiry::At(end), Some(now)) = (token.expiry(), self.now)
            && token.expiry().is_expired(now)
        {
            let message = format!("the token expired at {end}");
            let help = "remove the token, or make a new one: an expiry is not to be changed";
            self.warn(at, expiry, Part::Value, "expired", message, help);
        }
        self.grants(at, token, written, public);
        self.referers(at, written);
    }

    fn grants(&mut self, at: Origin, token: &Token, written: &definition::Token<'_>, public: bool) {
        let considered = token.apis().iter().filter_map(|api| self.policy.apis().get(api)).map(|api| {
            let kinds = [api.considers(Operation::Query), api.considers(Operation::Model)];
            kinds.map(|kinds| kinds.iter().collect::<Vec<_>>()).concat()
        });
        let considered = GrantKinds::of(&considered.flatten().collect::<Vec<_>>());
        let list = written.grants.found().map(Vec::as_slice).unwrap_or_default();
        for (index, (grant, written)) in token.grants().iter().zip(list).enumerate() {
            let kind = grant.source().kind();
            if !considered.contains(kind) {
                let apis: Vec<&str> =
                    token.apis().iter().filter_map(|api| Some(self.policy.apis().get(api)?.name())).collect();
                let message = format!("no API of the token considers a grant of kind `{kind}`: it allows nothing");
                let help = format!("remove the grant, or let the token use another API than `{}`", apis.join("`, `"));
                let place = |place: JsonPath| place.key("grants").index(index);
                self.warn(at, place, Part::Value, "grant_unused_by_apis", message, help);
            }
            let has_source = written.found().is_some_and(|written| matches!(written.source, Field::Found(_)));
            let place = move |place: JsonPath| {
                let place = place.key("grants").index(index);
                if has_source { place.key("source") } else { place }
            };
            self.source(at, grant, public, place);
        }
    }

    fn source(&mut self, at: Origin, grant: &Grant, public: bool, place: impl Fn(JsonPath) -> JsonPath + Copy) {
        let Some(connection) = self.policy.connection(grant.connection()) else { return };
        match grant.source() {
            GrantSource::All if public => {
                self.warn(
                    at,
                    place,
                    Part::Value,
                    "all_sources_with_referers",
                    "the token has referers, so web pages show it to everyone, and it covers all sources",
                    "grant the sources that the pages need: referers do not authenticate",
                );
            }
            GrantSource::Resource(name) => self.depth(at, name.as_bytes(), "resource", connection, place),
            GrantSource::Pattern(pattern) => {
                self.depth(at, pattern.as_bytes(), "pattern", connection, place);
                self.wildcard(at, pattern.as_bytes(), place);
            }
            GrantSource::All | GrantSource::Query(_) | GrantSource::NamedSource(_) => {}
        }
    }

    fn depth(
        &mut self,
        at: Origin,
        path: &[u8],
        what: &str,
        connection: &Connection,
        place: impl Fn(JsonPath) -> JsonPath,
    ) {
        let segments = memchr::memchr_iter(b'.', path).count() + 1;
        let dialect = connection.dialect();
        if let Some(depth) = dialect.depth().map(usize::from)
            && segments < depth
        {
            let message = format!("the {what} has {segments} segments, a table of dialect `{dialect}` has {depth}");
            let help = "write the full path: it covers only names with as many segments as it has";
            self.warn(at, place, Part::Value, "pattern_too_shallow", message, help);
        }
    }

    fn wildcard(&mut self, at: Origin, pattern: &[u8], place: impl Fn(JsonPath) -> JsonPath) {
        let mut segments = pattern.split(|&byte| byte == b'.');
        // The last segment names tables.
        segments.next_back();
        if segments.take(2).any(|segment| segment.contains(&STAR)) {
            self.warn(
                at,
                place,
                Part::Value,
                "wildcard_before_second_dot",
                "the pattern holds a `*` before its last segments: it covers every database or schema of that form",
                "write the database and the schema out, with a pattern for each",
            );
        }
    }

    fn referers(&mut self, at: Origin, written: &definition::Token<'_>) {
        let list = written.referers.found().map(Vec::as_slice).unwrap_or_default();
        for (index, text) in list.iter().enumerate() {
            // The policy sorts its entries.
            let Some(entry) = text.found().and_then(|text| Entry::parse(text).ok()) else { continue };
            let place = |place: JsonPath| place.key("referers").index(index);
            if entry.rule() != Rule::Site {
                self.warn(
                    at,
                    place,
                    Part::Value,
                    "referer_full_path",
                    "the referer has a path, but browsers send only the origin to another one",
                    format!("write the site: `{}`", site(&entry)),
                );
            }
            if entry.scheme() == Scheme::Http && !is_local(entry.host()) {
                let message = "the referer uses plain `http`: anyone on the network path can change that page";
                self.warn(at, place, Part::Value, "referer_http", message, "use `https`");
            }
        }
    }

    fn warn(
        &mut self,
        at: Origin,
        place: impl Fn(JsonPath) -> JsonPath,
        part: Part,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) {
        if let Some(count) = self.found.counts.get_mut(at.document) {
            *count += 1;
        }
        if self.found.found.len() >= self.max {
            return;
        }
        let place = place(JsonPath::root().key("tokens").index(at.token));
        let (message, help) = (message.into(), help.into());
        let problem = Problem { document: at.document, place, part, offset: None, code, message, help };
        self.found.found.push(Draft { severity: Severity::Warning, problem });
    }
}

/// Returns the site of `entry`, as an entry.
fn site(entry: &Entry) -> String {
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
