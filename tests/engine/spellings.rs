//! Compares the engine's reading of names, patterns, queries and referers with the naive implementations.

use portcullis::name::Dialect;
use portcullis::query::MAX_QUERY_BYTES;
use proptest::prelude::*;

use crate::choices::{Choices, bytes, config};
use crate::fuzzed::{names, patterns, queries, referers};
use crate::texts;

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn names_are_read_as_the_naive_parser_reads_them(bytes in bytes(40)) {
        let mut choices = Choices::of(&bytes);
        for dialect in Dialect::ALL {
            let stars = choices.one_in(2);
            let segments = 1 + choices.below(3);
            let text = texts::path(&mut choices, dialect, segments, stars);
            let text = if choices.one_in(3) { texts::filled(&mut choices, &text) } else { text };
            let near = texts::near_name(&mut choices, &text, dialect);
            for text in [&text, &near] {
                names::check(text, dialect);
                names::check_source(text, dialect);
            }
        }
    }

    #[test]
    fn names_of_random_characters_are_read_as_the_naive_parser_reads_them(text in "[aB*.:\"`\\\\ é\u{a0}\u{85}\n@$-]{0,9}", index in 0..7_usize) {
        names::check(&text, Dialect::ALL[index]);
        names::check_source(&text, Dialect::ALL[index]);
    }

    #[test]
    fn patterns_cover_the_names_that_the_naive_matcher_covers(bytes in bytes(40)) {
        let mut choices = Choices::of(&bytes);
        for dialect in Dialect::ALL {
            let segments = 2 + choices.below(2);
            let text = texts::path(&mut choices, dialect, segments, true);
            let filled = texts::filled(&mut choices, &text);
            let name = texts::near_name(&mut choices, &filled, dialect);
            patterns::check(&text, &name, dialect);
        }
    }

    #[test]
    fn queries_are_normalized_as_the_naive_parser_does(bytes in bytes(40)) {
        let mut choices = Choices::of(&bytes);
        let text = texts::query(&mut choices);
        queries::check(&text);
        queries::check(&texts::near_query(&mut choices, &text));
    }

    #[test]
    fn queries_of_random_characters_are_normalized_as_the_naive_parser_does(text in "[a '\"`/*\\-\n\r\t;$_#\\\\(]{0,12}", word in "(select|-- x\nfrom|\\(TABLE|)") {
        queries::check(&text);
        queries::check(&format!("{word}{text}"));
        names::check_source(&format!("{word}{text}"), Dialect::Generic);
    }

    #[test]
    fn named_sources_are_read_as_the_naive_parser_reads_them(bytes in bytes(70)) {
        let mut choices = Choices::of(&bytes);
        let text = texts::named_source(&mut choices);
        let text = texts::near_named_source(&mut choices, &text);
        queries::check_named_source(&text);
    }

    #[test]
    fn referers_match_as_the_naive_matcher_does(bytes in bytes(40)) {
        let mut choices = Choices::of(&bytes);
        let entries: Vec<String> = (0..=choices.below(3)).map(|_| texts::entry(&mut choices)).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        let referer = texts::near_referer(&mut choices, entries[0]);
        referers::check_header(&referer);
        referers::check(&entries, &referer);
    }

    #[test]
    fn long_lists_of_referers_match_as_the_naive_matcher_does(bytes in bytes(200)) {
        let mut choices = Choices::of(&bytes);
        let entries: Vec<String> = (0..=choices.below(40)).map(|_| texts::common_entry(&mut choices)).collect();
        let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
        for _ in 0..2 {
            let near = choices.pick(&entries);
            let referer = texts::near_referer(&mut choices, near);
            referers::check(&entries, &referer);
        }
    }
}

#[test]
fn texts_at_their_length_limits_are_read_as_the_naive_parsers_read_them() {
    for length in [4095, 4096, 4097] {
        let text = format!("a.{}", "b".repeat(length - 2));
        let quoted = format!("a.\"{}\"", "B".repeat(length - 4));
        for dialect in Dialect::ALL {
            names::check(&text, dialect);
            names::check(&quoted, dialect);
            names::check_source(&text, dialect);
        }
    }
    for segments in [15, 16, 17] {
        for dialect in Dialect::ALL {
            let text = vec!["a"; segments].join(".");
            names::check(&text, dialect);
            names::check(&text.to_ascii_uppercase(), dialect);
            names::check(&format!("`{text}`"), dialect);
            names::check(&format!("x.y:z.{text}"), dialect);
        }
    }
    for bytes in [MAX_QUERY_BYTES - 1, MAX_QUERY_BYTES, MAX_QUERY_BYTES + 1] {
        let text = format!("select {};", " ".repeat(bytes - 8));
        assert_eq!(text.len(), bytes);
        queries::check(&text);
    }
}
