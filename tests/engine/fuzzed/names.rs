//! Compares the reading of names and grant sources with the naive implementations.

use portcullis::model::{GrantKind, GrantSource, Limits, SourceType};
use portcullis::name::{CanonicalName, Dialect, Name, NameBuffer, naive};
use portcullis_testkit::reference::{kind, reads_as};

use super::Parts;
use crate::choices::Choices;
use crate::texts;

/// Reads an input: a text, and choices for a near miss. If the text is empty, the choices generate it too.
pub(crate) fn property(input: &[u8]) {
    let mut parts = Parts::of(input);
    let (text, edits) = (parts.text(), parts.bytes());
    for dialect in Dialect::ALL {
        let mut choices = Choices::of(edits);
        let text = if text.is_empty() {
            let (segments, stars) = (1 + choices.below(4), choices.one_in(2));
            texts::path(&mut choices, dialect, segments, stars)
        } else {
            text.clone().into_owned()
        };
        let near = texts::near_name(&mut choices, &text, dialect);
        for text in [&text, &near] {
            check(text, dialect);
            check_source(text, dialect);
        }
        if let (Ok(name), Ok(other)) = (Name::parse(&text, dialect), Name::parse(&near, dialect)) {
            let same = naive::segments(&text, dialect) == naive::segments(&near, dialect);
            assert_eq!(name == other, same, "{dialect} {text:?} {near:?}");
        }
    }
}

/// All parsers read `text` as the same name. Parsing the displayed name gives the name again.
pub(crate) fn check(text: &str, dialect: Dialect) {
    let expected = naive::segments(text, dialect);
    let found = Name::parse(text, dialect).ok();
    let segments = found.as_ref().map(|name| name.segments().collect::<Vec<_>>());
    assert_eq!(segments, expected, "{dialect} {text:?}");
    let mut buffer = NameBuffer::new();
    let count = CanonicalName::read(text, dialect, &mut buffer).ok().map(|name| name.segment_count());
    assert_eq!(count, expected.map(|segments| segments.len()), "{dialect} {text:?}");
    if let Some(name) = found {
        let written = name.display(dialect).to_string();
        let again = Name::parse(&written, dialect).ok();
        assert_eq!(again, Some(name), "{dialect} {text:?} is displayed as {written:?}");
    }
}

/// All parsers read `text` as the same grant source. Parsing the displayed source gives the source again.
pub(crate) fn check_source(text: &str, dialect: Dialect) {
    let guessed = GrantSource::guess(text, dialect, &Limits::default()).ok();
    let expected = kind(text, dialect).filter(|&kind| reads_as(text, kind, dialect));
    assert_eq!(guessed.as_ref().map(GrantSource::kind), expected, "{dialect} {text:?}");
    for kind in GrantKind::ALL {
        let source_type = SourceType::from_name(kind.as_str()).unwrap();
        let typed = GrantSource::typed(Some(text), source_type, dialect, &Limits::default());
        assert_eq!(typed.is_ok(), reads_as(text, kind, dialect), "{dialect} {text:?} as {kind}: {typed:?}");
        let Ok(typed) = typed else { continue };
        let written = typed.display(dialect);
        let again = GrantSource::typed(Some(&written), source_type, dialect, &Limits::default());
        assert_eq!(again, Ok(typed), "{dialect} {text:?} is displayed as {written:?}");
    }
}
