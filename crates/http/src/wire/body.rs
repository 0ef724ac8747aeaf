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
            "token" => set(&mut self.token, key, text(key, map)?),
            "api" => set(&mut self.api, key, text(key, map)?),
            "operation" => set(&mut self.operation, key, operation(&text(key, map)?)?),
            "connection" => set(&mut self.connection, key, text(key, map)?),
            "referer" => set(&mut self.referer, key, text(key, map)?),
            "now" => set(&mut self.now, key, instant(&text(key, map)?)?),
            "sources" => {
                self.source("sources")?;
                self.sources = sources(map.next_value()?)?;
                Ok(())
            }
            _ => match SourceKind::from_name(key) {
                Some(kind) => {
                    self.source(kind.as_str())?;
                    self.sources.push((kind, text(key, map)?));
                    Ok(())
                }
                None => Err(unknown(key, &self.absent_keys())),
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

/// One source of a list.
struct ListedSource<'t>(AccessSource<'t>);

impl<'t> Lenient<'t> for ListedSource<'t> {
    const EXPECTED: &'static str = "an object with one of `resource`, `query` and `named_source`";

    fn from_object<A: MapAccess<'t>>(mut map: A) -> Result<Option<Self>, A::Error> {
        let mut source = None;
        while let Some(Name(key)) = map.next_key()? {
            let Some(kind) = SourceKind::from_name(&key) else {
                return Err(unknown(&key, &SOURCE_KEYS));
            };
            if source.is_some() {
                return Err(A::Error::custom(format_args!("`sources`: expected {}", Self::EXPECTED)));
            }
            source = Some((kind, text(&key, &mut map)?));
        }
        source.map(|source| Some(Self(source))).ok_or_else(|| {
            A::Error::custom(format_args!("`sources`: expected {}, found an empty object", Self::EXPECTED))
        })
    }
}

fn sources<E: Error>(list: Element<Vec<Element<ListedSource<'_>>>>) -> Result<SmallVec<[AccessSource<'_>; 2]>, E> {
    let elements = match list {
        Element::Found(elements) => elements,
        Element::Wrong(found) => return Err(wrong("sources", "a list of objects", &found)),
        Element::Unread(error) => return Err(E::custom(error)),
        Element::Rest(_) => return Err(E::custom("too many elements are malformed")),
    };
    let source = |element| match element {
        Element::Found(ListedSource(source)) => Ok(source),
        Element::Wrong(found) => Err(wrong("sources", ListedSource::EXPECTED, &found)),
        Element::Unread(error) => Err(E::custom(error)),
        Element::Rest(_) => Err(E::custom("too many elements are malformed")),
    };
    elements.into_iter().map(source).collect()
}

pub(super) fn set<T, E: Error>(slot: &mut Option<T>, key: &str, value: T) -> Result<(), E> {
    if slot.replace(value).is_some() { Err(twice(key)) } else { Ok(()) }
}

pub(super) fn text<'t, A: MapAccess<'t>>(key: &str, map: &mut A) -> Result<Text<'t>, A::Error> {
    match map.next_value()? {
        Element::Found(text) => Ok(text),
        Element::Wrong(found) => Err(wrong(key, Text::EXPECTED, &found)),
        Element::Unread(error) => Err(A::Error::custom(error)),
        Element::Rest(_) => Err(A::Error::custom("too many elements are malformed")),
    }
}

fn operation<E: Error>(name: &str) -> Result<Operation, E> {
    Operation::from_name(name)
        .ok_or_else(|| E::custom(format_args!("`operation`: expected `query` or `model`, found {}", quoted(name))))
}

pub(super) fn instant<E: Error>(text: &str) -> Result<Timestamp, E> {
    if text.len() > LONGEST_INSTANT {
        return Err(E::custom("`now`: too long for an instant such as `2026-11-22T12:00:00Z`"));
    }
    text.parse().map_err(|error| E::custom(format_args!("`now`: {error}")))
}

pub(super) fn wrong<E: Error>(key: &str, expected: &str, found: &dyn Display) -> E {
    E::custom(format_args!("`{key}`: expected {expected}, found {found}"))
}

fn twice<E: Error>(key: &str) -> E {
    E::custom(format_args!("`{key}` is given more than once"))
}

pub(super) fn unknown<E: Error>(key: &str, known: &[&'static str]) -> E {
    let shown = quoted(key);
    match nearest(key, known.iter().copied()) {
        Some(nearest) => E::custom(format_args!("unknown key {shown}, did you mean `{nearest}`?")),
        None => E::custom(format_args!("unknown key {shown}, expected one of `{}`", known.join("`, `"))),
    }
}
