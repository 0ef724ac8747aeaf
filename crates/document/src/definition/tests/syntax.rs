//! Positions of errors of JSON, and columns of offsets.

use crate::definition::{Element, LineIndex, Position, read};

#[test]
fn errors_have_a_message_and_a_position() {
    let forms = "expected an object with `tokens`, a list of tokens, or one token a line, found";
    for (text, offset, message) in [
        ("", 0, format!("{forms} nothing at line 1 column 1")),
        (" \n\n", 0, format!("{forms} nothing at line 1 column 1")),
        ("\u{feff}", 3, format!("{forms} nothing at line 1 column 1")),
        ("\n 7", 2, format!("{forms} a number at line 2 column 2")),
        ("\"s3cret\"", 0, format!("{forms} a string at line 1 column 1")),
        ("tokens: []", 1, "expected a JSON value at line 1 column 2".to_owned()),
        ("\u{feff}[,]", 4, "expected a JSON value at line 1 column 2".to_owned()),
        ("{\"tokens\": [\n {\"id\": \"é\" \"x\"}]}", 26, "expected `,` or `}` at line 2 column 13".to_owned()),
        ("{\"tokens\": [\n\n", 12, "the JSON is cut off in a list at line 1 column 13".to_owned()),
        ("[\"a\nb\"]", 3, "expected an escape, found a control character in a string at line 1 column 4".to_owned()),
        ("{\"tokens\": []}\n{\"tokens\": []}", 15, "expected nothing after the JSON at line 2 column 1".to_owned()),
        // One token on several lines, broken: one error, not one a line.
        ("{\n  \"id\": \"a\",\n  \"grants\": [,]\n}", 28, "expected a JSON value at line 3 column 14".to_owned()),
        ("{\"id\": \"a\",\n\"grants\": []}\n{}", 26, "expected nothing after the JSON at line 3 column 1".to_owned()),
    ] {
        let error = read(text).expect_err(text);
        assert_eq!((error.to_string(), error.offset()), (message, offset), "{text:?}");
        assert_eq!(LineIndex::new(text).position(error.offset()), error.position(), "{text:?}");
    }
}

/// Values that are JSON until they are parsed.
#[test]
fn unreadable_values_are_errors() {
    let half = "an escape is half of a surrogate pair at line 2 column 16";
    let huge = "the number is too large at line 2 column 12";
    for (token, message) in [(r#"{"id": "a\ud800"}"#, half), (r#"{"id": 1e999}"#, huge)] {
        for text in [format!("[{{}},\n{token}, {{}}]"), format!("{{\"tokens\": [{{}},\n{token}, {{}}]}}")] {
            let document = read(&text).unwrap();
            let tokens: Vec<_> = document.tokens.found().unwrap().iter().collect();
            let [Element::Found(_), Element::Unread(error)] = tokens.as_slice() else { panic!("{text}: {tokens:?}") };
            assert_eq!(error.to_string(), message, "{text}");
            assert_eq!(LineIndex::new(&text).position(error.offset()), error.position(), "{text}");
            assert_eq!(document.problems().last().unwrap().to_string(), format!("tokens[1]: {message}"));
        }
        assert!(read(token).is_err(), "a document of one token is read at once");
        assert!(read(&format!("{{\"tokens\": [], \"version\":\n{token}}}")).is_ok(), "no field of a document");
    }
    // Outside the tokens it is parsed at once.
    assert!(read(r#"{"version": 1e999, "tokens": []}"#).is_err());
}

#[test]
fn deep_values_do_not_overflow_the_stack() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert_eq!(read(&format!("{{\"tokens\": [], \"x\": {deep}}}")).unwrap().problems().len(), 1);
    assert_eq!(read(&deep).unwrap().problems().len(), 1);
    assert!(read(&"[".repeat(100_000)).is_err());
    assert!(read(&"{\"tokens\":".repeat(100_000)).is_err());
}

#[test]
fn columns_are_characters() {
    let long = "é".repeat(3000) + "\n" + &"x".repeat(2048);
    for (text, offset, line, column) in [
        ("", 0, 1, 1),
        ("", 9, 1, 1),
        ("a\nb", 1, 1, 2),
        ("a\nb", 2, 2, 1),
        ("a\r\nb\n", 5, 3, 1),
        ("\u{feff}ab", 0, 1, 1),
        ("\u{feff}ab", 3, 1, 1),
        ("\u{feff}ab", 4, 1, 2),
        (&long, 2 * 2999, 1, 3000),
        (&long, 6000, 1, 3001),
        (&long, 6001, 2, 1),
        (&long, long.len(), 2, 2049),
        (&long[..6000], 6000, 1, 3001),
    ] {
        assert_eq!(LineIndex::new(text).position(offset), Position { line, column }, "{offset}");
    }
    // A text of whole blocks.
    assert_eq!(LineIndex::new(&"x".repeat(2048)).position(2048), Position { line: 1, column: 2049 });
}
