//! A host has a wildcard only if a `*` is written in it (N7.5).

use portcullis::referer::naive::is_entry;
use portcullis::referer::{Entry, EntryError};

#[test]
fn a_star_that_is_not_written_as_a_star_is_rejected() {
    for (text, why) in [
        ("https://%2a.example/", "percent-encoded"),
        ("https://%2A.a.example/", "in upper case"),
        ("https://%2a.a.example", "without a path"),
        ("http:\\\\%2a.a.example:8080\\x", "with backslashes"),
        ("https://%EF%BC%8A.a.example/", "the fullwidth asterisk, percent-encoded"),
        ("https://\u{ff0a}.a.example/", "the fullwidth asterisk"),
        ("https://\u{fe61}.a.example/", "the small asterisk"),
        ("https://%ef%b9%a1.a.example/", "the small asterisk, percent-encoded"),
        ("https://\u{ad}%2a.a.example/", "after an ignored character"),
        ("https://%\t2a.a.example/", "with a tab, which parsing removes"),
        ("https://*.%2a.example/", "after a star"),
        ("https://a.%2a.example/", "inside the host"),
        ("https://%2a/", "alone"),
        ("https://*%2ea.example/", "the dot after it"),
        ("https://*\u{3002}a.example/", "the dot after it as an ideographic full stop"),
    ] {
        assert_eq!(Entry::parse(text), Err(EntryError::EncodedStar { found: text.into() }), "{text:?}: {why}");
        assert!(!is_entry(text), "{text:?}: {why}");
    }
    for (text, why) in [
        ("https://*.a.example/%2a", "the path may encode it"),
        ("https://a.example/\u{ff0a}*", "the path may have any star"),
        (" https://\t*.A.example", "white space around it"),
        ("https:*.a.example", "no slashes"),
        ("https://*.b\u{fc}cher.example/", "another character that is mapped"),
    ] {
        assert!(Entry::parse(text).is_ok() && is_entry(text), "{text:?}: {why}");
    }
}

/// Each character that parsing could turn into a `*`, as itself and percent-encoded.
#[test]
fn no_character_but_the_star_makes_a_wildcard() {
    for character in ('\0'..='\u{ffff}').filter(|character| *character != '*') {
        if !character.is_ascii() && character.is_alphanumeric() {
            continue;
        }
        let bytes = character.to_string().into_bytes();
        let encoded = bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
        for label in [character.to_string(), encoded] {
            let entry = Entry::parse(&format!("https://{label}.a.example/"));
            assert!(!entry.is_ok_and(|entry| entry.is_wildcard_host()), "{label:?}");
        }
    }
    assert!(!Entry::parse("https://%2a.a.example/").is_ok_and(|entry| entry.is_wildcard_host()));
}
