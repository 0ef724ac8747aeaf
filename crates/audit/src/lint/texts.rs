//! Finds text that looks like other text.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;
use unicode_security::{MixedScript, skeleton};

use super::Collector;
use super::finding::{Fix, Raw};
use super::rule::{BIDI_CHARACTER, INVISIBLE_CHARACTER, LOOK_ALIKE_NAMES, MIXED_SCRIPTS, NAMES_DIFFER_BY_CASE, Rule};
use super::subject::Subject;
use portcullis::base::{JsonPath, is_bidi, is_invisible, quoted};
use portcullis::model::{Connection, GrantSource, Policy};
use portcullis_document::definition::{Field, Text};

pub(super) fn look(subject: &Subject<'_>, found: &mut Collector<'_>) {
    let written = subject.written;
    let here = subject.place();
    let mut look = |place: &dyn Fn() -> JsonPath, text: Option<&str>| {
        if let Some(text) = text.filter(|text| !text.is_ascii()) {
            hidden(subject, place(), text, found);
        }
    };
    look(&|| here.key("id"), plain(&written.id));
    look(&|| here.key("name"), nullable(&written.name));
    look(&|| here.key("owner"), nullable(&written.owner));
    for index in 0..subject.token.grants().len() {
        let Some(grant) = subject.written_grant(index) else { continue };
        look(&|| subject.grant_place(index).key("connection_name"), plain(&grant.connection_name));
        look(&|| subject.grant_place(index).key("source"), plain(&grant.source));
    }
    let referers = written.referers.found().map(Vec::as_slice).unwrap_or_default();
    for (index, text) in referers.iter().enumerate() {
        look(&|| here.key("referers").index(index), text.found().map(|text| &**text));
    }
    scripts(subject, found);
}

fn plain<'a>(field: &'a Field<Text<'_>>) -> Option<&'a str> {
    field.found().map(|text| &**text)
}

fn nullable<'a>(field: &'a Field<Option<Text<'_>>>) -> Option<&'a str> {
    field.found()?.as_deref()
}

fn hidden(subject: &Subject<'_>, place: JsonPath, text: &str, found: &mut Collector<'_>) {
    let Some(worst) = text.chars().find(|&c| is_bidi(c)).or_else(|| text.chars().find(|&c| is_invisible(c))) else {
        return;
    };
    let (rule, what): (&'static Rule, _) = if is_bidi(worst) {
        (&BIDI_CHARACTER, "changes the direction in which text is shown")
    } else {
        (&INVISIBLE_CHARACTER, "cannot be seen")
    };
    let message = format!("{} holds U+{:04X}, which {what}", quoted(text), u32::from(worst));
    let without: String = text.chars().filter(|&character| !is_bidi(character) && !is_invisible(character)).collect();
    let fix = if without.is_empty() {
        Fix::say("write another text")
    } else {
        Fix::replace(format!("write {}", quoted(&without)), &without)
    };
    let (document, token) = (subject.origin.document, Some(subject.index));
    found.add(Raw { rule, document, token, place, message, fix, witness: None });
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
        let (document, token, place) = (subject.origin.document, Some(subject.index), subject.source_place(index));
        found.add(Raw { rule: &MIXED_SCRIPTS, document, token, place, message, fix, witness: None });
    }
}

/// The names so far by look key, to find names that look alike.
pub(super) struct Looks<'p> {
    policy: &'p Policy,
    names: HashMap<(Group, String), Vec<FirstUse>, RandomState>,
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
        Self { policy, names: HashMap::default() }
    }

    pub(super) fn look(&mut self, subject: &Subject<'_>, found: &mut Collector<'_>) {
        let token = subject.token;
        if let Some(name) = token.name() {
            let group = Group::Tokens(token.owner().map(Into::into));
            self.compare(&group, name, &|| name.to_owned(), subject, &|| subject.place().key("name"), found);
        }
        for (index, grant) in token.grants().iter().enumerate() {
            if let Some(connection) = self.policy.connection(grant.connection()).map(Connection::name) {
                let place = || subject.grant_place(index).key("connection_name");
                self.compare(&Group::Connections, connection, &|| connection.to_owned(), subject, &place, found);
            }
            let canonical = match grant.source() {
                GrantSource::Resource(name) => String::from_utf8_lossy(name.as_bytes()),
                GrantSource::Pattern(pattern) => String::from_utf8_lossy(pattern.as_bytes()),
                GrantSource::NamedSource(name) => name.as_str().into(),
                GrantSource::Query(_) | GrantSource::All => continue,
            };
            let group = Group::Sources(grant.connection().index());
            let place = || subject.source_place(index);
            self.compare(&group, &canonical, &|| subject.display(grant), subject, &place, found);
        }
    }

    fn compare(
        &mut self,
        group: &Group,
        text: &str,
        shown: &dyn Fn() -> String,
        subject: &Subject<'_>,
        place: &dyn Fn() -> JsonPath,
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
        found.add(Raw { rule, document, token, place: place(), message, fix, witness: None });
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
