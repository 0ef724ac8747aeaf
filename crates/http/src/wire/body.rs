//! The JSON object of a request, key by key.

use std::fmt::Display;

use serde::de::{Error, MapAccess};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::access::{AccessSource, SourceKind};
use portcullis::base::{Timestamp, nearest, quoted};
use portcullis::model::Operation;
use portcullis_document::definition::{Element, Lenient, Name, Text};

pub(super) const KEYS: [&str; 11] =
    ["id", "token", "api", "operation", "connection", "resource", "query", "named_source", "sources", "referer", "now"];
pub(super) const SOURCE_KEYS: [&str; 3] =
    [SourceKind::Resource.as_str(), SourceKind::Query.as_str(), SourceKind::NamedSource.as_str()];

/// The maximum length of an instant, in bytes.
const LONGEST_INSTANT: usize = 64;

/// The values of the object.
#[derive(Default)]
pub(super) struct Body<'t> {
    pub(super) id: Option<&'t RawValue>,
    pub(super) token: Option<Text<'t>>,
    pub(super) api: Option<Text<'t>>,
    pub(super) operation: Option<Operation>,
    pub(super) connection: Option<Text<'t>>,
    pub(super) sources: SmallVec<[AccessSource<'t>; 2]>,
    pub(super) referer: Option<Text<'t>>,
    pub(super) now: Option<Timestamp>,
    /// The key that named the sources.
    source_key: Option<&'static str>,
}

impl<'t> Lenient<'t> for Body<'t> {
    const EXPECTED: &'static str = "an object";

    fn from_object<A: MapAccess<'t>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut body = Self::default();
        while let Some(Name(key)) = map.next_key()? {
            body.entry(&key, &mut map)?;
        }
        Ok(Some(body))
    }
}

impl<'t> Body<'t> {
    pub(super) fn entry<A: MapAccess<'t>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "id" => set(&mut self.id, key, map.next_value()?),
            "token" => set(&mut self.token, key, value(key, map)?),
            "api" => set(&mut self.api, key, value(key, map)?),
            "operation" => set(&mut self.operation, key, operation(key, map)?),
            "connection" => set(&mut self.connection, key, value(key, map)?),
            "referer" => set(&mut self.referer, key, value(key, map)?),
            "now" => set(&mut self.now, key, instant(key, map)?),
            "sources" => {
                self.source("sources")?;
                self.sources = sources(map.next_value()?)?.collect::<Result<_, _>>()?;
                Ok(())
            }
            _ => match SourceKind::from_name(key) {
                Some(kind) => {
                    self.source(kind.as_str())?;
                    self.sources.push((kind, value(key, map)?));
                    Ok(())
                }
                None => Err(A::Error::custom(unknown_key(key, &self.absent_keys()))),
            },
        }
    }

    /// Returns the keys that the object does not have so far.
    fn absent_keys(&self) -> Vec<&'static str> {
        let is_given = |key: &str| match key {
            "id" => self.id.is_some(),
            "token" => self.token.is_some(),
            "api" => self.api.is_some(),
            "operation" => self.operation.is_some(),
            "connection" => self.connection.is_some(),
            "referer" => self.referer.is_some(),
            "now" => self.now.is_some(),
            // The keys of sources.
            _ => self.source_key.is_some(),
        };
        KEYS.into_iter().filter(|key| !is_given(key)).collect()
    }

    /// Records the key of the sources: there may be only one.
    pub(super) fn source<E: Error>(&mut self, key: &'static str) -> Result<(), E> {
        match self.source_key.replace(key) {
            None => Ok(()),
            Some(before) if before == key => Err(twice(key)),
            Some(before) => Err(E::custom(format_args!(
                "`{before}` and `{key}` are both given: a request names one source, or several as a list in `sources`"
            ))),
        }
    }
}

/// The object of one source in a list, or why it is not one.
pub(super) struct Listed<S>(Result<S, Misread>);

/// An error inside an element of `sources`.
pub(super) struct Misread {
    /// The key of the wrong value; `None` if the object is wrong.
    key: Option<&'static str>,
    message: String,
}

/// The member of an object that names a source.
pub(super) trait SourceMember<'t>: Sized {
    /// The expected object, for messages.
    const EXPECTED: &'static str;

    /// Reads one member.
    fn read(key: &str, value: Element<Text<'t>>) -> Result<Self, Misread>;
}

impl<'t> SourceMember<'t> for AccessSource<'t> {
    const EXPECTED: &'static str = "an object with one of `resource`, `query` and `named_source`";

    fn read(key: &str, value: Element<Text<'t>>) -> Result<Self, Misread> {
        let kind = SourceKind::from_name(key).ok_or_else(|| Misread::object(unknown_key(key, &SOURCE_KEYS)))?;
        Ok((kind, Misread::text(kind.as_str(), value)?))
    }
}

impl<'t, S: SourceMember<'t>> Lenient<'t> for Listed<S> {
    const EXPECTED: &'static str = S::EXPECTED;

    fn from_object<A: MapAccess<'t>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut source = None;
        while let Some(Name(key)) = map.next_key()? {
            let value = map.next_value()?;
            source = Some(match source {
                None => S::read(&key, value),
                Some(Ok(_)) => Err(Misread::object(format!("expected {}, found several keys", S::EXPECTED))),
                Some(Err(error)) => Err(error),
            });
        }
        let empty = || Err(Misread::object(format!("expected {}, found an empty object", S::EXPECTED)));
        Ok(Some(Self(source.unwrap_or_else(empty))))
    }
}

impl Misread {
    fn object(message: String) -> Self {
        Self { key: None, message }
    }

    pub(super) fn value(key: &'static str, message: impl Display) -> Self {
        Self { key: Some(key), message: message.to_string() }
    }

    /// Returns the text of the member `key`.
    pub(super) fn text<'t>(key: &'static str, value: Element<Text<'t>>) -> Result<Text<'t>, Self> {
        match value {
            Element::Found(text) => Ok(text),
            Element::Wrong(found) => Err(Self::value(key, format_args!("expected {}, found {found}", Text::EXPECTED))),
            Element::Unread(_) | Element::Rest(_) => Err(Self::value(key, format_args!("expected {}", Text::EXPECTED))),
        }
    }

    fn at(self, index: usize) -> String {
        match self.key {
            Some(key) => format!("`sources[{index}].{key}`: {}", self.message),
            None => format!("`sources[{index}]`: {}", self.message),
        }
    }
}

/// Returns the sources of the list in `sources`.
pub(super) fn sources<'t, S: SourceMember<'t>, E: Error>(
    list: Element<Vec<Element<Listed<S>>>>,
) -> Result<impl Iterator<Item = Result<S, E>>, E> {
    let elements = found("sources", "a list of objects", list)?;
    Ok(elements.into_iter().enumerate().map(|(index, element)| {
        let Listed(source) = found(&format!("sources[{index}]"), S::EXPECTED, element)?;
        source.map_err(|misread| E::custom(misread.at(index)))
    }))
}

pub(super) fn set<T, E: Error>(slot: &mut Option<T>, key: &str, value: T) -> Result<(), E> {
    if slot.replace(value).is_some() { Err(twice(key)) } else { Ok(()) }
}

/// Reads the value of `key`.
pub(super) fn value<'t, A: MapAccess<'t>, T: Lenient<'t>>(key: &str, map: &mut A) -> Result<T, A::Error> {
    found(key, T::EXPECTED, map.next_value()?)
}

fn found<T, E: Error>(path: &str, expected: &str, value: Element<T>) -> Result<T, E> {
    match value {
        Element::Found(value) => Ok(value),
        Element::Wrong(found) => Err(E::custom(format_args!("`{path}`: expected {expected}, found {found}"))),
        Element::Unread(error) => Err(E::custom(error)),
        Element::Rest(_) => Err(E::custom("too many elements are malformed")),
    }
}

fn operation<'t, A: MapAccess<'t>>(key: &str, map: &mut A) -> Result<Operation, A::Error> {
    let name: Text<'t> = value(key, map)?;
    Operation::from_name(&name)
        .ok_or_else(|| A::Error::custom(format_args!("`{key}`: expected `query` or `model`, found {}", quoted(&name))))
}

/// Reads the instant of `key`.
pub(super) fn instant<'t, A: MapAccess<'t>>(key: &str, map: &mut A) -> Result<Timestamp, A::Error> {
    let text: Text<'t> = value(key, map)?;
    if text.len() > LONGEST_INSTANT {
        return Err(A::Error::custom(format_args!("`{key}`: too long for an instant such as `2026-11-22T12:00:00Z`")));
    }
    text.parse().map_err(|error| A::Error::custom(format_args!("`{key}`: {error}")))
}

fn twice<E: Error>(key: &str) -> E {
    E::custom(format_args!("`{key}` is given more than once"))
}

fn unknown_key(key: &str, known: &[&'static str]) -> String {
    let shown = quoted(key);
    match nearest(key, known.iter().copied()) {
        Some(nearest) => format!("unknown key {shown}, did you mean `{nearest}`?"),
        None => format!("unknown key {shown}, expected one of `{}`", known.join("`, `")),
    }
}
