//! Messages and fixes for sources, referers, instants and secrets.

use std::borrow::Cow;

use super::bare::bare;
use super::expression::{expressed_site, is_expression};
use super::meant::meant;
use portcullis::base::{bytes, is_browsed_host, is_control, quoted};
use portcullis::model::{GrantKind, GrantSource, Limits, SourceError};
use portcullis::name::{Dialect, Fold, MAX_NAME_BYTES, MAX_SEGMENTS, Name, NameError, NameErrorKind};
use portcullis::pattern::PatternError;
use portcullis::referer::{Entry, EntryError};

/// A code, a message, a help.
pub(super) type Words = (&'static str, Cow<'static, str>, Cow<'static, str>);

const KINDS: &str = "a resource is a dotted path such as `schema.table`, a pattern is one with a `*` such as \
     `schema.table_*`, a named source is 3 to 51 lower-case letters, digits, `-` and `_`, a query begins with `select`, \
     `with`, `from`, `call`, `values` or `table`, all sources are written `*`";

const SECRET: &str = "write the secret's SHA-256 as 64 hexadecimal digits";

/// Explains why `text` is not a source in `dialect`.
pub(super) fn source(text: &str, dialect: Dialect, error: &SourceError) -> Words {
    match error {
        SourceError::Empty => ("source_empty", "the source is empty".into(), KINDS.into()),
        SourceError::Resource(reason) => (
            "resource_malformed",
            not("a resource", text, reason),
            path_help(text, GrantKind::Resource, dialect, reason),
        ),
        SourceError::OneSegment => (
            "resource_malformed",
            format!("{} is not a resource: it has one segment", quoted(text)).into(),
            format!("a resource needs its full path, at least two segments: write {}", resource(text, dialect)).into(),
        ),
        SourceError::StarInResource => (
            "resource_malformed",
            format!("{} is not a resource: it holds a `*` outside quotes", quoted(text)).into(),
            "write the type `pattern` for a source with a `*`".into(),
        ),
        SourceError::QuotedStar => (
            "resource_malformed",
            format!("{} holds a `*` inside backquotes, which BigQuery reads as a wildcard too", quoted(text)).into(),
            "write a pattern, with the `*` outside quotes".into(),
        ),
        SourceError::Pattern(reason) => pattern(text, dialect, reason),
        SourceError::Query(reason) => {
            ("query_malformed", reason.to_string().into(), "write the SQL text that the token may run".into())
        }
        SourceError::NamedSource(_) => (
            "named_source_malformed",
            format!("{} is not a named source", quoted(text)).into(),
            "a named source is 3 to 51 lower-case letters, digits, `-` and `_`, the first a letter or digit, the last \
             neither `-` nor `_`"
                .into(),
        ),
        SourceError::All(_) => (
            "all_with_source",
            format!("{} is not all sources", quoted(text)).into(),
            "a source of type `all` is `*` or left out; for this one alone leave out the type".into(),
        ),
        SourceError::NoKind { path, .. } => no_kind(text, dialect, path.as_ref()),
    }
}

fn pattern(text: &str, dialect: Dialect, error: &PatternError) -> Words {
    let message = not("a pattern", text, error);
    let help = match error {
        PatternError::Name(reason) => path_help(text, GrantKind::Pattern, dialect, reason),
        PatternError::AllSources => "all sources are written `*` with the type `all` or none".into(),
        PatternError::OneSegment => one_segment(text, dialect),
        PatternError::NoStar => "a path without a `*` is of type `resource`".into(),
        PatternError::AdjacentStars => {
            let one = std::iter::successors(Some(text.to_owned()), |text| {
                text.contains("**").then(|| text.replace("**", "*"))
            });
            let one = one.last().and_then(|one| suggested(&[one], GrantKind::Pattern, dialect));
            let one = one.unwrap_or_else(|| "one `*`".to_owned());
            format!("write {one}: a `*` matches any run of characters inside its segment, never a dot").into()
        }
    };
    ("pattern_malformed", message, help)
}

/// The words that start a statement, besides those that start a query without a type.
const STATEMENTS: [&str; 14] = [
    "alter", "analyze", "copy", "create", "delete", "describe", "drop", "execute", "explain", "insert", "merge",
    "replace", "truncate", "update",
];

/// Whether `text` is the text of a statement: more than one word, the first one that of a statement.
fn is_statement(text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let first = words.next().unwrap_or_default().trim_start_matches('(');
    words.next().is_some() && STATEMENTS.iter().any(|known| first.eq_ignore_ascii_case(known))
}

fn no_kind(text: &str, dialect: Dialect, path: Option<&NameError>) -> Words {
    if is_statement(text) {
        let message = format!("{} is a query, but does not begin like one", quoted(text));
        let help = "write the type `query` to grant this text: a source without a type is a query only if it begins with \
                    `select`, `with`, `from`, `call`, `values` or `table`";
        return ("source_unclear", message.into(), help.into());
    }
    // `all` is the word of the type, and of people.
    if text.trim().eq_ignore_ascii_case("all") {
        let message = format!("{} is neither a resource, a pattern, a named source nor a query", quoted(text));
        return ("source_unclear", message.into(), format!("all sources are written `*`; {KINDS}").into());
    }
    // Connection strings are not repeated: they may hold a password.
    let source = if text.contains("://") && text.contains('@') { "the source".to_owned() } else { quoted(text) };
    let message = format!("{source} is neither a resource, a pattern, a named source nor a query");
    if let Some(help) = write_meant(text, dialect, None) {
        return ("source_unclear", message.into(), help.into());
    }
    match path {
        None if text.contains('*') => ("source_unclear", message.into(), one_segment(text, dialect)),
        None => {
            let help = format!("a resource needs its full path: write {}; {KINDS}", resource(text, dialect));
            ("source_unclear", message.into(), help.into())
        }
        Some(reason) if text.contains('.') => {
            let kind = if text.contains('*') { GrantKind::Pattern } else { GrantKind::Resource };
            let help = format!("{}; {KINDS}", path_help(text, kind, dialect, reason));
            ("source_unclear", format!("{message}; as a path: {reason}").into(), help.into())
        }
        Some(_) => ("source_unclear", message.into(), KINDS.into()),
    }
}

/// Returns the fix for a text that means other sources, of this kind if one is given.
pub(crate) fn write_meant(text: &str, dialect: Dialect, kind: Option<GrantKind>) -> Option<String> {
    let sources = meant(text, dialect);
    let is_kind = |source: &String| {
        let read = GrantSource::guess(source, dialect, &Limits::default());
        kind.is_none_or(|kind| read.is_ok_and(|read| read.kind() == kind))
    };
    if !sources.iter().all(is_kind) {
        return None;
    }
    let shown = sources.iter().map(|source| whole(source)).collect::<Option<Vec<_>>>()?;
    match shown.as_slice() {
        [] => None,
        [one] => Some(format!("write {one}")),
        many => Some(format!("write a grant for each source: {}", many.join(", "))),
    }
}

fn not(what: &str, text: &str, reason: &dyn std::fmt::Display) -> Cow<'static, str> {
    format!("{} is not {what}: {reason}", quoted(text)).into()
}

fn one_segment(text: &str, dialect: Dialect) -> Cow<'static, str> {
    let longer = [format!("schema.{text}"), format!("{text}.schema.*")];
    let longer = suggested(&longer, GrantKind::Pattern, dialect);
    let longer = longer.unwrap_or_else(|| "one such as `schema.table_*`".to_owned());
    format!("a pattern needs at least one dot: write {longer}; all sources are written `*`").into()
}

/// A resource whose name has `text` for one of its segments, or an example.
fn resource(text: &str, dialect: Dialect) -> String {
    let longer = [format!("schema.{text}"), format!("{text}.schema.table")];
    suggested(&longer, GrantKind::Resource, dialect).unwrap_or_else(|| "one such as `schema.table`".to_owned())
}

/// The first of `sources` that can be granted and is of this kind, in backticks.
fn suggested(sources: &[String], kind: GrantKind, dialect: Dialect) -> Option<String> {
    let is_valid = |source: &&String| {
        let read = GrantSource::guess(source, dialect, &Limits::default());
        read.is_ok_and(|read| read.kind() == kind)
    };
    sources.iter().find(is_valid).and_then(|source| whole(source))
}

/// `text` in backticks; `None` where a message would not show it as it is, or where it ends the backticks.
fn whole(text: &str) -> Option<String> {
    let shown = quoted(text);
    (shown.len() == text.len() + 2 && shown.contains(text) && !text.contains('`')).then_some(shown)
}

/// Returns the path `text` with quotes around each segment that needs them, in backticks; `None` if `text` has quotes or
/// remains malformed.
fn with_quotes(text: &str, kind: GrantKind, dialect: Dialect) -> Option<String> {
    if text.contains(['"', '`']) {
        return None;
    }
    let quote = quote(dialect);
    let segment = |segment: &str| match Name::parse(segment, dialect) {
        Ok(_) => Some(segment.to_owned()),
        // Quotes around a star would make it an ordinary character.
        Err(_) => Some(format!("{quote}{segment}{quote}")).filter(|_| !segment.contains('*')),
    };
    let quoted = text.split('.').map(segment).collect::<Option<Vec<_>>>()?.join(".");
    suggested(&[quoted], kind, dialect)
}

const NO_IDENTIFIER: &str = "remove the character: no identifier holds it";

/// Whether not even a quoted identifier of the dialect holds the character.
fn is_in_no_identifier(found: char, dialect: Dialect) -> bool {
    let kind = Name::parse(&format!("{0}{found}{0}", quote(dialect)), dialect).err().map(|error| error.kind().clone());
    matches!(kind, Some(NameErrorKind::QuotedCharacter { .. }))
}

fn quote(dialect: Dialect) -> char {
    if matches!(dialect, Dialect::BigQuery | Dialect::Databricks) { '`' } else { '"' }
}

fn path_help(text: &str, kind: GrantKind, dialect: Dialect, error: &NameError) -> Cow<'static, str> {
    let quotes = match dialect {
        Dialect::Generic => "`\"` or backquotes",
        Dialect::BigQuery | Dialect::Databricks => "backquotes",
        _ => "`\"`",
    };
    if let Some(help) = write_meant(text, dialect, Some(kind)) {
        return help.into();
    }
    match error.kind() {
        NameErrorKind::EmptyIdentifier => "write an identifier before and after each dot".into(),
        NameErrorKind::Character { .. } if text.chars().any(|found| is_in_no_identifier(found, dialect)) => {
            NO_IDENTIFIER.into()
        }
        NameErrorKind::Character { .. } => {
            let quotes = match with_quotes(text, kind, dialect) {
                Some(instead) => format!("{quotes}: write {instead}"),
                None => quotes.to_owned(),
            };
            format!("write an identifier with other characters than letters, digits, `_`, `-`, `$` and `#` in {quotes}")
                .into()
        }
        NameErrorKind::Fold { .. } if dialect.quoted_fold() == Fold::AsWritten => {
            format!("write the identifier in {quotes}, with its letters as the warehouse keeps them").into()
        }
        NameErrorKind::Fold { .. } => format!(
            "no name of dialect `{dialect}` holds this letter: rename the table, or grant a pattern that covers it"
        )
        .into(),
        NameErrorKind::GrantedPartition | NameErrorKind::Decorator => {
            "grant the table: its partitions are included".into()
        }
        NameErrorKind::QuotedCharacter { .. } => NO_IDENTIFIER.into(),
        NameErrorKind::UnclosedQuote { .. } => "close the quote; a quote inside quotes is doubled".into(),
        NameErrorKind::AfterQuote { .. } => format!("write all of the identifier in {quotes}, or none of it").into(),
        NameErrorKind::TooLong { .. } | NameErrorKind::TooManySegments => {
            format!("a path has at most {MAX_SEGMENTS} segments and {MAX_NAME_BYTES} bytes").into()
        }
    }
}

/// Explains why `text` is not an entry of referers.
pub(super) fn referer(text: &str, error: &EntryError) -> Words {
    // Text with an `@` is not repeated: it may hold a password.
    let secret = text.contains('@');
    let shown = if secret { "the referer".to_owned() } else { quoted(text) };
    let help: Cow<'static, str> = match error {
        _ if is_expression(text) && !secret => expression(text),
        EntryError::NotAbsolute { .. } if matches!(text.trim(), "" | "*") => {
            "write an absolute URL such as `https://carto.com/`; for any request leave the list empty".into()
        }
        EntryError::NotAbsolute { .. } | EntryError::Scheme { .. } if secret => {
            "write an absolute URL such as `https://carto.com/`".into()
        }
        EntryError::NotAbsolute { .. } if is_decorated(text) => {
            propose("leave out what is around the URL", with_scheme(text), text)
        }
        EntryError::NotAbsolute { .. } => propose("write the scheme too", with_scheme(text), text),
        EntryError::Scheme { .. } => propose("write `http` or `https`", with_scheme(text), text),
        EntryError::List { urls, .. } => list(urls),
        EntryError::EmptyLabel { .. } => empty_label(text),
        EntryError::UserInfo { instead } => {
            let write = entry(instead).map(|entry| format!("write {entry}"));
            propose("leave out the user info before the `@`", write, instead)
        }
        EntryError::Fragment { instead, .. } => match entry(instead) {
            Some(entry) => format!("no browser sends a fragment: write {entry}").into(),
            None => "remove the `#` and all after it: no browser sends a fragment".into(),
        },
        EntryError::HostStar { .. } | EntryError::EmptyWildcard { .. } => {
            "in a host a `*` replaces whole labels in front of a domain, as in `https://*.carto.com/`".into()
        }
        EntryError::Invalid { .. } => propose("write a URL", with_scheme(text), text),
    };
    let message = match error {
        EntryError::NotAbsolute { .. } if is_decorated(text) => format!("{shown} has marks around the URL"),
        EntryError::NotAbsolute { .. } => format!("{shown} is not an absolute URL"),
        EntryError::Scheme { scheme, .. } => format!("{} has the scheme {}", shown, quoted(scheme)),
        EntryError::List { .. } => format!("{shown} is a list, but an entry is one URL"),
        EntryError::EmptyLabel { .. } => format!("{shown} has an empty label in its host"),
        EntryError::UserInfo { .. } => "the referer has user info".to_owned(),
        EntryError::Fragment { .. } => format!("{shown} has a fragment"),
        EntryError::HostStar { .. } => format!("{shown} has a `*` inside its host"),
        EntryError::EmptyWildcard { .. } => format!("{shown} names no domain after the `*`"),
        EntryError::Invalid { source, .. } => format!("{shown} is not a URL: {source}"),
    };
    ("referer_malformed", message.into(), help)
}

/// Returns the fix for a regular expression.
pub(crate) fn expression(text: &str) -> Cow<'static, str> {
    const NONE: &str = "regular expressions are not supported";
    match expressed_site(text).and_then(|site| whole(&site)) {
        Some(site) => format!("{NONE}: write {site}").into(),
        None => {
            format!("{NONE}: write each site, as in `https://carto.com/`, or `https://*.carto.com/` for subdomains")
                .into()
        }
    }
}

/// Whether `text` is an absolute URL with marks around it.
fn is_decorated(text: &str) -> bool {
    let bare = bare(text);
    bare.len() < text.trim().len() && bare.contains("://")
}

/// Returns the fix for a list of URLs in one entry.
fn list(urls: &[Box<str>]) -> Cow<'static, str> {
    let entries = urls.iter().map(|url| entry(url)).collect::<Option<Vec<_>>>();
    propose("write each URL as an entry of its own", entries.map(|entries| entries.join(", ")), "")
}

/// Returns the fix for a host with an empty label, and for the wildcard that a dot at its start may mean.
fn empty_label(text: &str) -> Cow<'static, str> {
    let without = text.split_once("://.").and_then(|(scheme, rest)| entry(&format!("{scheme}://{rest}")));
    match without {
        Some(host) => format!("write {host}; {BELOW}").into(),
        None => "write one dot between two labels of a host, as in `https://www.carto.com/`".into(),
    }
}

/// Returns the referer `text` with a scheme of web pages, in backticks, if it is one.
fn with_scheme(text: &str) -> Option<String> {
    let text = bare(text);
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    // What follows these schemes is not the host of a web site.
    if scheme == "file" || scheme.ends_with("-app") || scheme.ends_with("-extension") {
        return None;
    }
    let rest = match text.split_once("://") {
        Some((_, rest)) => rest,
        None => text.trim_start_matches('/'),
    };
    let rest = rest.strip_prefix('.').unwrap_or(rest);
    let is_local = ["localhost", "127.", "[::1]"].iter().any(|host| rest.starts_with(host));
    let host = rest.split(['/', '?', ':']).next().unwrap_or_default();
    // A name without a dot, such as `null`, and a variable of a template are not hosts.
    if !is_local && !host.contains('.') || host.contains(['$', '{', '<']) {
        return None;
    }
    let scheme = if is_local { "http" } else { "https" };
    entry(&format!("{scheme}://{rest}"))
}

/// Returns the fix `say` with its result, or with an example that is like `text`.
fn propose(say: &str, entry: Option<String>, text: &str) -> Cow<'static, str> {
    let is_wildcard = text.trim_start().starts_with("*.") || text.contains("://*.");
    match entry {
        // A dot at the start of a host may mean the hosts below it.
        Some(entry) if text.trim_start().starts_with('.') => format!("{say}: {entry}; {BELOW}").into(),
        Some(entry) => format!("{say}: {entry}").into(),
        None if is_wildcard => format!("{say}, as in `https://*.carto.com/`").into(),
        None => format!("{say}, as in `https://carto.com/`").into(),
    }
}

/// The meaning of a wildcard.
const BELOW: &str = "`*.` in front of a host stands for the hosts below it";

/// Returns the referer `text` in backticks if it is valid. Returns no wildcard: everything below it may be a public suffix
/// such as `co.uk`, where anybody can register a host.
fn entry(text: &str) -> Option<String> {
    let is_meant = |entry: &Entry| !entry.is_wildcard_host() && is_browsed_host(entry.host());
    Entry::parse(text).ok().filter(is_meant).and_then(|_| whole(text))
}

/// Explains that `text`, which messages and logs repeat, has a control character or ends a line. `None` if it does not.
pub(super) fn control(what: &str, text: &str) -> Option<Words> {
    if bytes::all(text.as_bytes(), |lanes| lanes.within(b' ', b'~')) {
        return None;
    }
    let found = text.chars().find(|character| is_control(*character))?;
    let message = format!("{what} {} has the control character U+{:04X}", quoted(text), u32::from(found));
    let without: String = text.chars().filter(|character| !is_control(*character)).collect();
    let help = match whole(&without).filter(|_| !without.is_empty()) {
        Some(without) => format!("write {without}").into(),
        None => "write it without control characters".into(),
    };
    Some(("control_character", message.into(), help))
}

/// Explains that `text` is not an instant.
pub(super) fn instant(code: &'static str, text: &str) -> Words {
    const FORMS: &str = "write an RFC 3339 instant such as `2026-11-22T12:00:00Z`, or a date such as `2026-11-22`";
    let message = format!("{} is not an instant", quoted(text)).into();
    let count = text.strip_suffix(['d', 'w', 'm', 'y']).unwrap_or_default();
    if !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()) {
        (code, message, format!("a span is counted from the creation of a token and only taken then: {FORMS}").into())
    } else {
        (code, message, FORMS.into())
    }
}

/// Explains that a `token_sha256` is not a digest. The text is not repeated: it may be a secret in the wrong field.
pub(super) fn digest() -> Words {
    ("digest_malformed", "not a SHA-256 digest".into(), format!("{SECRET}; the secret itself goes to `token`").into())
}

/// Explains that a token has both a secret and a digest.
pub(super) fn two_secrets() -> Words {
    (
        "secret_twice",
        "the secret is given by `token` already".into(),
        "keep `token_sha256` and leave out `token`, so that the document holds no secret".into(),
    )
}

/// Explains that a token has neither a secret nor a digest.
pub(super) fn no_secret() -> Words {
    (
        "secret_missing",
        "the token has neither `token` nor `token_sha256`".into(),
        format!("add `token_sha256`: {SECRET}").into(),
    )
}
