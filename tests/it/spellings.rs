//! Texts as they are written: what the engine reads in them, against the naive halves.

use portcullis::model::{GrantKind, GrantSource, Limits, SourceType};
use portcullis::name::{CanonicalName, Dialect, Name, NameBuffer, naive as name_naive};
use portcullis::pattern::{Pattern, naive as pattern_naive};
use portcullis::query::{MAX_QUERY_BYTES, NamedSource, Query, looks_like_query, naive as query_naive};
use portcullis::reference::{kind, reads_as};
use portcullis::referer::naive::Answer;
use portcullis::referer::{Entry, Referer, RefererSet, naive as referer_naive};
use proptest::prelude::*;

use crate::choices::{Choices, bytes, config};
use crate::texts;

/// Compares all readings of `text` as a name.
fn check_name(text: &str, dialect: Dialect) -> Result<(), TestCaseError> {
    let expected = name_naive::segments(text, dialect);
    let found = Name::parse(text, dialect).ok();
    prop_assert_eq!(
        found.as_ref().map(|name| name.segments().collect::<Vec<_>>()),
        expected.clone(),
        "{} {:?}",
        dialect,
        text
    );
    let mut buffer = NameBuffer::new();
    let count = CanonicalName::read(text, dialect, &mut buffer).ok().map(|name| name.segment_count());
    prop_assert_eq!(count, expected.map(|segments| segments.len()), "{} {:?}", dialect, text);
    if let Some(name) = found {
        let written = name.display(dialect).to_string();
        prop_assert_eq!(
            Name::parse(&written, dialect).ok(),
            Some(name),
            "{} {:?} is displayed as {:?}",
            dialect,
            text,
            written
        );
    }
    Ok(())
}

/// Compares all readings of `text` as the source of a grant.
fn check_source(text: &str, dialect: Dialect) -> Result<(), TestCaseError> {
    let guessed = GrantSource::guess(text, dialect, &Limits::default()).ok();
    let expected = kind(text, dialect).filter(|&kind| reads_as(text, kind, dialect));
    prop_assert_eq!(guessed.as_ref().map(GrantSource::kind), expected, "{} {:?}", dialect, text);
    for kind in GrantKind::ALL {
        let source_type = SourceType::from_name(kind.as_str()).unwrap();
        let typed = GrantSource::typed(Some(text), source_type, dialect, &Limits::default());
        prop_assert_eq!(
            typed.is_ok(),
            reads_as(text, kind, dialect),
            "{} {:?} as {}: {:?}",
            dialect,
            text,
            kind,
            typed
        );
        let Ok(typed) = typed else { continue };
        let written = typed.display(dialect);
        let again = GrantSource::typed(Some(&written), source_type, dialect, &Limits::default());
        prop_assert_eq!(again, Ok(typed), "{} {:?} is displayed as {:?}", dialect, text, written);
    }
    Ok(())
}

fn check_query(text: &str) -> Result<(), TestCaseError> {
    let found = Query::parse(text, MAX_QUERY_BYTES).ok().map(|query| query.as_str().to_owned());
    prop_assert_eq!(&found, &query_naive::normal(text), "{:?}", text);
    if let Some(normal) = found {
        prop_assert_eq!(query_naive::normal(&normal), Some(normal), "twice the normal form of {:?}", text);
    }
    prop_assert_eq!(looks_like_query(text), query_naive::looks_like_query(text), "{:?}", text);
    Ok(())
}

fn check_referer(entries: &[&str], referer: &str) -> Result<(), TestCaseError> {
    let parsed: Vec<Option<Entry>> = entries.iter().map(|entry| entry.parse().ok()).collect();
    for (entry, parsed) in entries.iter().zip(&parsed) {
        prop_assert_eq!(parsed.is_some(), referer_naive::is_entry(entry), "entry {:?}", entry);
        if let Some(parsed) = parsed {
            let again: Option<Entry> = parsed.as_str().parse().ok();
            prop_assert_eq!(again.as_ref(), Some(parsed), "entry {:?}", entry);
        }
    }
    let valid: Vec<&str> = entries.iter().copied().filter(|entry| referer_naive::is_entry(entry)).collect();
    if valid.is_empty() || referer.is_empty() {
        return Ok(());
    }
    let set = RefererSet::new(parsed.into_iter().flatten());
    let found = Referer::parse(referer).is_some_and(|referer| set.matches(&referer));
    let expected = referer_naive::accepts(&valid, Some(referer)) == Answer::Accepted;
    prop_assert_eq!(found, expected, "{:?} by {:?}", referer, entries);
    Ok(())
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn names_read_alike(bytes in bytes(40)) {
        let mut choices = Choices::of(&bytes);
        for dialect in Dialect::ALL {
            let stars = choices.one_in(2);
            let segments = 1 + choices.below(3);
            let text = texts::path(&mut choices, dialect, segments, stars);
            let text = if choices.one_in(3) { texts::filled(&mut choices, &text) } else { text };
            let near = texts::near_name(&mut choices, &text, dialect);
            for text in [&text, &near] {
                check_name(text, dialect)?;
                check_source(text, dialect)?;
            }
        }
    }

    #[test]
    fn names_of_any_characters_read_alike(text in "[aB*.:\"`\\\\ é\u{a0}\u{85}\n@$-]{0,9}", index in 0..7_usize) {
        check_name(&text, Dialect::ALL[index])?;
        check_source(&text, Dialect::ALL[index])?;
    }

    #[test]
    fn patterns_cover_alike(bytes in bytes(40)) {
        let mut choices = Choices::of(&bytes);
        for dialect in Dialect::ALL {
            let segments = 2 + choices.below(2);
            let text = texts::path(&mut choices, dialect, segments, true);
            let filled = texts::filled(&mut choices, &text);
            let name = texts::near_name(&mut choices, &filled, dialect);
            let pattern = Pattern::parse(&text, dialect).ok();
            let expected = pattern_naive::parse(&text, dialect);
            prop_assert_eq!(pattern.is_some(), expected.is_some(), "{} {:?}", dialect, text);
            let (Some(pattern), Some(expected)) = (pattern, expected) else { continue };
            let (Ok(read), Some(segments)) = (Name::parse(&name, dialect), name_naive::segments(&name, dialect)) else { continue };
            prop_assert_eq!(pattern.covers(&read), pattern_naive::covers(&expected, &segments), "{} {:?} {:?}", dialect, text, name);
        }
    }

    #[test]
    fn queries_read_alike(bytes in bytes(40)) {
        let mut choices = Choices::of(&bytes);
        let text = texts::query(&mut choices);
        check_query(&text)?;
        check_query(&texts::near_query(&mut choices, &text))?;
    }

    #[test]
    fn queries_of_any_characters_read_alike(text in "[a '\"`/*\\-\n\r\t;$_#\\\\(]{0,12}", word in "(select|-- x\nfrom|\\(TABLE|)") {
        check_query(&text)?;
        check_query(&format!("{word}{text}"))?;
        check_source(&format!("{word}{text}"), Dialect::Generic)?;
    }

    #[test]
    fn named_sources_read_alike(bytes in bytes(70)) {
        let mut choices = Choices::of(&bytes);
        let text = texts::named_source(&mut choices);
        let text = texts::near_named_source(&mut choices, &text);
        prop_assert_eq!(NamedSource::parse(&text).is_ok(), query_naive::is_named_source(&text), "{:?}", text);
        check_source(&text, Dialect::Generic)?;
    }

    #[test]
    fn referers_read_alike(bytes in bytes(40)) {
        let mut choices = Choices::of(&bytes);
        let entries: Vec<String> = (0..=choices.below(3)).map(|_| texts::entry(&mut choices)).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        let referer = texts::near_referer(&mut choices, entries[0]);
        check_referer(&entries, &referer)?;
    }

    #[test]
    fn long_lists_of_referers_read_alike(bytes in bytes(200)) {
        let mut choices = Choices::of(&bytes);
        let entries: Vec<String> = (0..=choices.below(40)).map(|_| texts::common_entry(&mut choices)).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        for _ in 0..4 {
            let near = choices.pick(&entries);
            let referer = texts::near_referer(&mut choices, near);
            check_referer(&entries, &referer)?;
        }
    }
}

#[test]
fn lengths_at_their_limits() {
    for length in [4095, 4096, 4097] {
        let text = format!("a.{}", "b".repeat(length - 2));
        let quoted = format!("a.\"{}\"", "B".repeat(length - 4));
        for dialect in Dialect::ALL {
            check_name(&text, dialect).unwrap();
            check_name(&quoted, dialect).unwrap();
            check_source(&text, dialect).unwrap();
        }
    }
    for segments in [15, 16, 17] {
        for dialect in Dialect::ALL {
            let text = vec!["a"; segments].join(".");
            check_name(&text, dialect).unwrap();
            check_name(&text.to_ascii_uppercase(), dialect).unwrap();
            check_name(&format!("`{text}`"), dialect).unwrap();
            check_name(&format!("x.y:z.{text}"), dialect).unwrap();
        }
    }
    for bytes in [MAX_QUERY_BYTES - 1, MAX_QUERY_BYTES, MAX_QUERY_BYTES + 1] {
        let text = format!("select {};", " ".repeat(bytes - 8));
        assert_eq!(text.len(), bytes);
        check_query(&text).unwrap();
    }
}
