//! Finds text that looks like other text.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use foldhash::fast::RandomState;
use unicode_security::{MixedScript, skeleton};

use super::Collector;
use super::finding::{Fix, Raw};
use super::hosts::covers_public_suffix;
use super::rule::{BIDI_CHARACTER, INVISIBLE_CHARACTER, LOOK_ALIKE_NAMES, MIXED_SCRIPTS, NAMES_DIFFER_BY_CASE, Rule};
use super::subject::Subject;
use portcullis::base::{JsonPath, is_bidi, is_unsafe, quoted};
use portcullis::model::{Connection, GrantSource, Limits, Policy, SourceType, Token};
use portcullis::name::Dialect;
use portcullis::referer::Entry;

/// Whether a grant may have this source and type in this dialect.
fn is_source(source: Option<&str>, kind: Option<SourceType>, dialect: Dialect) -> bool {
    let limits = Limits::default();
    let read = match (kind, source) {
        (Some(kind), source) => GrantSource::typed(source, kind, dialect, &limits),
        (None, Some(source)) => GrantSource::guess(source, dialect, &limits),
        (None, None) => return false,
    };
    read.is_ok()
}

/// Whether the character cannot be seen. White space and controls of ASCII are part of queries.
fn is_hidden(character: char) -> bool {
    !character.is_ascii() && is_unsafe(character)
}

/// Reports characters of `text` that cannot be seen. The text without them is proposed only if it `is_valid`.
fn hidden(
    subject: &Subject<'_>,
    path: JsonPath,
    text: &str,
    is_valid: &dyn Fn(&str) -> bool,
    found: &mut Collector<'_>,
) {
    let Some(worst) = text.chars().find(|&c| is_bidi(c)).or_else(|| text.chars().find(|&c| is_hidden(c))) else {
        return;
    };
    let (rule, what): (&'static Rule, _) = if is_bidi(worst) {
        (&BIDI_CHARACTER, "changes the direction in which text is shown")
    } else {
        (&INVISIBLE_CHARACTER, "cannot be seen")
    };
    let message = format!("{} holds U+{:04X}, which {what}", quoted(text), u32::from(worst));
    let without: String = text.chars().filter(|&character| !is_hidden(character)).collect();
    let fix = if without.trim().is_empty() || !is_valid(&without) {
        Fix::say("write another text, of characters that can be seen")
    } else {
        Fix::replace(format!("write {}", quoted(&without)), path.clone(), &without)
    };
    let (document, token) = (subject.origin.document, Some(subject.index));
    found.add(Raw { rule, document, token, path, message, fix, witness: None });
}

/// Reports names with a segment that mixes scripts.
fn scripts(subject: &Subject<'_>, found: &mut Collector<'_>) {
    for (index, grant) in subject.token.grants().iter().enumerate() {
        let canonical = match grant.source() {
            GrantSource::Resource(name) => name.as_bytes(),
            GrantSource::Pattern(pattern) => pattern.as_bytes(),
            GrantSource::Query(_) | GrantSource::NamedSource(_) | GrantSource::All => continue,
        };
        if canonical.is_ascii() {
            continue;
        }
        let text = String::from_utf8_lossy(canonical);
        let Some(mixed) = text.split('.').find(|segment| !segment.is_single_script()) else { continue };
        let foreign = mixed.chars().find(|character| character.is_alphabetic() && !character.is_ascii());
        let foreign = foreign
            .map(|character| format!(", such as {} (U+{:04X})", quoted(&character.to_string()), u32::from(character)));
        let message = format!(
            "{} has a segment of letters from several scripts{}",
            quoted(&subject.display(grant)),
            foreign.unwrap_or_default()
        );
        let fix = Fix::say("write each segment in one script, as the warehouse has it");
        let (document, token, path) = (subject.origin.document, Some(subject.index), subject.source_path(index));
        found.add(Raw { rule: &MIXED_SCRIPTS, document, token, path, message, fix, witness: None });
    }
}

/// The names so far by look key, to find names that look alike.
pub(super) struct Looks<'p> {
    policy: &'p Policy,
    names: HashMap<(Group, String), Vec<FirstUse>, RandomState>,
    /// Computed only if a text has a character that cannot be seen.
    taken: OnceCell<Taken<'p>>,
}

/// The ids of all tokens, and the names of each owner: a correction must not repeat one.
struct Taken<'p> {
    ids: HashSet<&'p str, RandomState>,
    names: HashSet<(Option<&'p str>, &'p str), RandomState>,
}

/// A name, and the first token that uses it.
struct FirstUse {
    text: Box<str>,
    token: Box<str>,
}

/// A group of names that should look different from each other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Group {
    /// The granted sources of a connection.
    Sources(usize),
    /// The names of an owner's tokens.
    Tokens(Option<Box<str>>),
    Connections,
}

impl<'p> Looks<'p> {
    pub(super) fn new(policy: &'p Policy) -> Self {
        Self { policy, names: HashMap::default(), taken: OnceCell::new() }
    }

    pub(super) fn look(&mut self, subject: &Subject<'_>, found: &mut Collector<'_>) {
        self.hidden(subject, found);
        scripts(subject, found);
        let token = subject.token;
        if let Some(name) = token.name() {
            let group = Group::Tokens(token.owner().map(Into::into));
            self.compare(&group, name, &|| name.to_owned(), subject, &|| subject.path().key("name"), found);
        }
        for (index, grant) in token.grants().iter().enumerate() {
            if let Some(connection) = self.policy.connection(grant.connection()).map(Connection::name) {
                let path = || subject.grant_path(index).key("connection_name");
                self.compare(&Group::Connections, connection, &|| connection.to_owned(), subject, &path, found);
            }
            let canonical = match grant.source() {
                GrantSource::Resource(name) => String::from_utf8_lossy(name.as_bytes()),
                GrantSource::Pattern(pattern) => String::from_utf8_lossy(pattern.as_bytes()),
                GrantSource::NamedSource(name) => name.as_str().into(),
                GrantSource::Query(_) | GrantSource::All => continue,
            };
            let group = Group::Sources(grant.connection().index());
            let path = || subject.source_path(index);
            self.compare(&group, &canonical, &|| subject.display(grant), subject, &path, found);
        }
    }

    /// Reports characters that cannot be seen, in each text of the token.
    fn hidden(&self, subject: &Subject<'_>, found: &mut Collector<'_>) {
        let token = subject.token;
        let here = subject.path();
        let mut look = |path: &dyn Fn() -> JsonPath, text: Option<&str>, is_valid: &dyn Fn(&str) -> bool| {
            if let Some(text) = text.filter(|text| !text.is_ascii()) {
                hidden(subject, path(), text, is_valid, found);
            }
        };
        let owner = token.owner();
        look(&|| here.key("id"), Some(token.id()), &|id| !self.taken().ids.contains(id));
        look(&|| here.key("name"), token.name(), &|name| !self.taken().names.contains(&(owner, name)));
        // Another owner may have a token of that name.
        let is_free = |owner: &str| token.name().is_none_or(|name| !self.taken().names.contains(&(Some(owner), name)));
        look(&|| here.key("owner"), owner, &is_free);
        for (index, grant) in token.grants().iter().enumerate() {
            let Some(connection) = subject.connection(grant) else { continue };
            let (source, kind) = (subject.written_source(index), subject.written_type(index));
            // The source is valid in the dialect of the other connection, too.
            let is_connection = |name: &str| {
                let known = self.policy.connections().iter().find(|connection| connection.name() == name);
                is_source(source.as_deref(), kind, known.map(Connection::dialect).unwrap_or_default())
            };
            let connection_name = || subject.grant_path(index).key("connection_name");
            look(&connection_name, Some(connection.name()), &is_connection);
            let is_valid = |text: &str| is_source(Some(text), kind, connection.dialect());
            look(&|| subject.grant_path(index).key("source"), source.as_deref(), &is_valid);
        }
        for (index, text) in subject.written_referers().enumerate() {
            look(&|| here.key("referers").index(index), Some(text), &|text| {
                Entry::parse(text).is_ok_and(|entry| !covers_public_suffix(&entry))
            });
        }
    }

    fn taken(&self) -> &Taken<'p> {
        self.taken.get_or_init(|| Taken {
            ids: self.policy.tokens().iter().map(Token::id).collect(),
            names: self.policy.tokens().iter().filter_map(|token| Some((token.owner(), token.name()?))).collect(),
        })
    }

    fn compare(
        &mut self,
        group: &Group,
        text: &str,
        shown: &dyn Fn() -> String,
        subject: &Subject<'_>,
        path: &dyn Fn() -> JsonPath,
        found: &mut Collector<'_>,
    ) {
        let lower = text.to_lowercase();
        let keys = if lower == text { vec![look_key(&lower)] } else { vec![look_key(&lower), look_key(text)] };
        let mut alike = None;
        for key in keys {
            let uses = self.names.entry((group.clone(), key)).or_default();
            if uses.iter().any(|other| *other.text == *text) {
                continue;
            }
            let other = uses.first().map(|other| (other.text.to_string(), quoted(&other.token)));
            alike = alike.or(other);
            uses.push(FirstUse { text: text.into(), token: subject.token.id().into() });
        }
        let Some((other, whose)) = alike else { return };
        let by_case = other.to_lowercase() == lower;
        let (rule, how): (&'static Rule, _) = if by_case {
            (&NAMES_DIFFER_BY_CASE, "differs only by letter case from")
        } else {
            (&LOOK_ALIKE_NAMES, "looks like")
        };
        let other = other.replace('\u{1}', ".").replace('\u{2}', "*");
        let message = format!("{} {how} {} of token {whose}", quoted(&shown()), quoted(&other));
        let fix = Fix::say("make sure that both are meant; else write the same name");
        let (document, token) = (subject.origin.document, Some(subject.index));
        found.add(Raw { rule, document, token, path: path(), message, fix, witness: None });
    }
}

/// Returns a key that is equal for texts that UTS 39 calls confusable.
pub(super) fn look_key(text: &str) -> String {
    let mut key = String::with_capacity(text.len() + 4);
    push_look_key(text, &mut key);
    key
}

/// Appends the [`look_key`] of `text` to `key`.
pub(super) fn push_look_key(text: &str, key: &mut String) {
    static ASCII: LazyLock<Vec<String>> = LazyLock::new(|| {
        (0..128_u8).map(|byte| skeleton(char::from(byte).encode_utf8(&mut [0; 4])).collect()).collect()
    });
    if !text.is_ascii() {
        return key.extend(skeleton(text));
    }
    for byte in text.bytes() {
        key.push_str(ASCII.get(usize::from(byte)).map_or("", String::as_str));
    }
}
