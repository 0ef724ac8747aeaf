//! Queries in normal form, and named sources.

use portcullis::name::Dialect;
use portcullis::query::{MAX_QUERY_BYTES, NamedSource, NormalForm, Query, looks_like_query, naive};

use super::{Parts, names};
use crate::choices::Choices;
use crate::texts;

/// Reads an input: a text, and choices for a near miss. If the text is empty, the choices generate it too.
pub(crate) fn property(input: &[u8]) {
    let mut parts = Parts::of(input);
    let (text, mut choices) = (parts.text(), Choices::of(parts.bytes()));
    let text = if text.is_empty() { texts::query(&mut choices) } else { text.into_owned() };
    let near = texts::near_query(&mut choices, &text);
    for text in [&text, &near] {
        check(text);
        check_named_source(text);
    }
    check_same(&text, &near);
}

/// The normal form equals that of the naive parser, equals its own normal form, and is the concatenation of its pieces.
pub(crate) fn check(text: &str) {
    let found = Query::parse(text, MAX_QUERY_BYTES).ok().map(|query| query.as_str().to_owned());
    assert_eq!(found, naive::normal(text), "{text:?}");
    assert_eq!(looks_like_query(text), naive::looks_like_query(text), "{text:?}");
    let pieces = NormalForm::of(text, MAX_QUERY_BYTES).ok();
    assert_eq!(pieces.is_some(), found.is_some(), "{text:?}");
    let (Some(pieces), Some(normal)) = (pieces, found) else { return };
    assert!(pieces.is(&normal), "{text:?}");
    assert!(pieces.clone().all(|piece| !piece.is_empty()), "{text:?}");
    assert_eq!(pieces.collect::<String>(), normal, "{text:?}");
    let twice = Query::parse(&normal, MAX_QUERY_BYTES).ok().map(|query| query.as_str().to_owned());
    assert_eq!(twice, Some(normal), "twice the normal form of {text:?}");
}

/// Two texts are equal queries if and only if the naive parser gives them equal normal forms.
fn check_same(text: &str, other: &str) {
    let (Ok(granted), Ok(asked)) = (Query::parse(text, MAX_QUERY_BYTES), NormalForm::of(other, MAX_QUERY_BYTES)) else {
        return;
    };
    let same = naive::normal(text) == naive::normal(other);
    assert_eq!(asked.is(granted.as_str()), same, "{text:?} {other:?}");
}

pub(crate) fn check_named_source(text: &str) {
    assert_eq!(NamedSource::parse(text).is_ok(), naive::is_named_source(text), "{text:?}");
    names::check_source(text, Dialect::Generic);
}
