use std::collections::BTreeSet;

use super::*;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

fn index(literals: &[&[u8]]) -> Vec<u8> {
    build(literals, 0).unwrap()
}

/// Returns each literal that occurs, with the offset of each end.
fn occurrences(bytes: &[u8], which: Which, text: &[u8]) -> BTreeSet<(u32, usize)> {
    let mut found = BTreeSet::new();
    Literals::read(bytes).unwrap().each_in(which, text, 0, |ordinal, end| {
        found.insert((ordinal, end));
        ControlFlow::Continue(())
    });
    found
}

/// Finds the literals naively: compares each literal at each offset.
fn naive_occurrences(literals: &[&[u8]], text: &[u8]) -> BTreeSet<(u32, usize)> {
    let ending = |end: usize| {
        let ends = move |&(_, literal): &(u32, &&[u8])| text[..=end].ends_with(literal);
        (0..).zip(literals).filter(ends).map(move |(ordinal, _)| (ordinal, end))
    };
    (0..text.len()).flat_map(ending).collect()
}

#[test]
fn literals_are_found_at_every_end() {
    type Case<'t> = (&'t [&'t str], &'t str, &'t [(u32, usize)]);
    let cases: &[Case<'_>] = &[
        (&[], "road", &[]),
        (&["road"], "", &[]),
        (&["road"], "roa", &[]),
        (&["road"], "road", &[(0, 3)]),
        (&["road"], "railroads.roads", &[(0, 7), (0, 13)]),
        (&["road", "rail"], "railroad", &[(1, 3), (0, 7)]),
        // One is a prefix of the other.
        (&["road", "roads"], "roads", &[(0, 3), (1, 4)]),
        // One is a suffix of the other.
        (&["road", "railroad", "d"], "railroad", &[(0, 7), (1, 7), (2, 7)]),
        // One is inside the other.
        (&["ailroa", "il"], "railroad", &[(1, 3), (0, 6)]),
        // They overlap.
        (&["he", "she", "his", "hers"], "ushers", &[(1, 3), (0, 3), (3, 5)]),
        (&["abab"], "ababab", &[(0, 3), (0, 5)]),
        (&["aaa", "a", "aa"], "aaa", &[(1, 0), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2)]),
        // A long prefix fails, and a shorter one continues.
        (&["aaaab", "aac"], "aaaac", &[(1, 4)]),
        (&["abcabcab", "cabd", "bca"], "abcabcabcabd", &[(2, 3), (2, 6), (0, 7), (2, 9), (0, 10), (1, 11)]),
        // A byte that occurs in no literal.
        (&["ab"], "a\u{1}b-ab", &[(0, 5)]),
    ];
    for (literals, text, expected) in cases {
        let literals: Vec<&[u8]> = literals.iter().map(|literal| literal.as_bytes()).collect();
        let expected = expected.iter().copied().collect();
        assert_eq!(occurrences(&index(&literals), Which::All, text.as_bytes()), expected, "{literals:?} in {text}");
    }
}

#[test]
fn longest_literal_at_an_offset_comes_first_and_can_stop_the_rest() {
    let bytes = index(&[b"d", b"railroad", b"ad"]);
    let (mut all, mut longest) = (Vec::new(), Vec::new());
    let search = Literals::read(&bytes).unwrap();
    search.each_in(Which::All, b"railroad", 0, |ordinal, _| {
        all.push(ordinal);
        ControlFlow::Continue(())
    });
    search.each_in(Which::All, b"railroad", 0, |ordinal, _| {
        longest.push(ordinal);
        ControlFlow::Break(())
    });
    assert_eq!((all, longest), (vec![1, 2, 0], vec![1]));
}

#[test]
fn literals_may_contain_any_byte() {
    let singles: Vec<[u8; 1]> = (0..=u8::MAX).map(|byte| [byte]).collect();
    let text: Vec<u8> = (0..=u8::MAX).rev().collect();
    for count in [1, 2, 127, 128, 254, 255, 256] {
        let literals: Vec<&[u8]> = singles[..count].iter().map(<[u8; 1]>::as_slice).collect();
        assert_eq!(
            occurrences(&index(&literals), Which::All, &text),
            naive_occurrences(&literals, &text),
            "{count} bytes"
        );
    }
}

#[test]
fn states_without_a_row_may_have_any_number_of_children() {
    let literals: Vec<Vec<u8>> = (0..40)
        .flat_map(|at| (0..=u8::MAX).map(move |last| [format!("{at:02}_tab_").as_bytes(), &[last]].concat()))
        .collect();
    let literals: Vec<&[u8]> = literals.iter().map(Vec::as_slice).collect();
    let bytes = index(&literals);
    let search = Literals::read(&bytes).unwrap();
    assert!(
        (search.rows.len() >> search.class_bits) * 2 < search.states.len(),
        "{} positions in rows",
        search.rows.len()
    );
    for (literal, ordinal) in literals.iter().zip(0..) {
        assert_eq!(occurrences(&bytes, Which::All, literal), BTreeSet::from([(ordinal, literal.len() - 1)]));
    }
}

#[test]
fn empty_literals_are_not_found_and_the_first_of_equal_ones_is() {
    let bytes = index(&[b"", b"a", b"a", b"ba"]);
    assert_eq!(occurrences(&bytes, Which::All, b"ba"), BTreeSet::from([(3, 1), (1, 1)]));
}

#[test]
fn index_takes_a_few_bytes_for_each_state() {
    for distinct in [1, 7, 300, 20_000] {
        let literals: Vec<String> = (0..20_000_u32).map(|at| format!("{}.{at}", at % distinct)).collect();
        let literals: Vec<&[u8]> = literals.iter().map(String::as_bytes).collect();
        let bytes = index(&literals);
        let states = Literals::read(&bytes).unwrap().states.len();
        assert!(states <= 1 + literals.concat().len());
        assert!(bytes.len() <= 276 + (4 << 10) + 4 * literals.len() + 23 * states, "{} for {states}", bytes.len());
    }
}

#[test]
fn index_above_the_size_limit_is_not_built() {
    let literals: [&[u8]; 3] = [b"road", b"rail", b"customer"];
    let length = index(&literals).len();
    assert_eq!(build_within(length, &literals, 1), build(&literals, 1));
    for most_bytes in 0..length {
        assert_eq!(build_within(most_bytes, &literals, 1), None, "{most_bytes} of {length} bytes");
    }
}

#[test]
fn index_of_wrong_length_is_rejected() {
    let bytes = index(&[b"road", b"rail", b"a"]);
    for length in 0..bytes.len() {
        assert!(Literals::read(&bytes[..length]).is_none(), "{length} of {} bytes", bytes.len());
    }
    assert!(Literals::read(&[bytes.as_slice(), &[0]].concat()).is_none());
    assert!(Literals::read(&[0; 10_000]).is_none());
    assert!(Literals::read(&[0xff; 10_000]).is_none());
}

/// Searches bytes that [`build`] may not have written, and asserts the bounds of the search.
fn search_stays_within_bounds(bytes: &[u8], text: &[u8]) {
    let Some(search) = Literals::read(bytes) else { return };
    for which in [Which::Leading, Which::All] {
        let mut visits = 0;
        search.each_in(which, text, 0, |ordinal, end| {
            visits += 1;
            assert!((ordinal as usize) < search.shorter.len(), "{ordinal} of {}", search.shorter.len());
            assert!(end < text.len());
            ControlFlow::Continue(())
        });
        assert!(visits <= 2 * LONGEST * (text.len() + 8 * LONGEST), "{visits} visits in {} bytes", text.len());
    }
}

fn head([states, literals, with_row, class_bits]: [u32; 4]) -> Vec<u8> {
    [states, literals, literals / 2, with_row, class_bits].map(u32::to_le_bytes).concat()
}

/// Returns the length of an index with this head.
fn length([states, literals, with_row, class_bits]: [u32; 4]) -> usize {
    (20 + 256 + 4 * literals + 17 * states + ((4 * with_row) << class_bits)) as usize
}

#[test]
fn search_ends_if_all_links_form_cycles() {
    for (byte, class_bits) in (0..=u8::MAX).flat_map(|byte| (0..=8).map(move |bits| (byte, bits))) {
        let counts = [0x0202, 0x0202, 2, class_bits];
        let mut bytes = head(counts);
        bytes.resize(length(counts), 0);
        // All links lead to one state or literal, after the rows.
        for link in bytes[20 + 256..].chunks_mut(4) {
            link.copy_from_slice(&[byte, 1, 0, 0][..link.len()]);
        }
        assert!(Literals::read(&bytes).is_some());
        search_stays_within_bounds(&bytes, &[byte, 0, 1, 2, byte, 255].repeat(20));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn search_and_naive_comparison_agree(
        literals in btree_set(vec(b'a'..b'd', 1..=LONGEST), 0..60),
        tail in 0..4_usize,
        leading in 0..100_u32,
        // Long texts are read in several pieces.
        text in prop_oneof![vec(b'a'..=b'd', 0..60), vec(b'a'..=b'd', 120..300)],
        stretch in 0..4_u32,
    ) {
        // A suffix of other bytes creates more states than there are rows.
        let filler: Vec<Vec<u8>> = (0..tail * 100).map(|at| format!("aab{at}xyz").into_bytes()).collect();
        let filler = filler.iter().map(|literal| &literal[..literal.len().min(LONGEST)]);
        let literals: BTreeSet<&[u8]> = literals.iter().map(Vec::as_slice).chain(filler).collect();
        let literals: Vec<&[u8]> = literals.into_iter().rev().collect();
        let bytes = build(&literals, leading).unwrap();
        let expected = naive_occurrences(&literals, &text);
        prop_assert_eq!(&occurrences(&bytes, Which::All, &text), &expected);
        let leads = |&&(ordinal, _): &&(u32, usize)| ordinal < leading;
        let expected: BTreeSet<_> = expected.iter().filter(leads).copied().collect();
        prop_assert_eq!(&occurrences(&bytes, Which::Leading, &text), &expected);
        // By stretches, stopped at ends that were already recorded.
        let mut found = BTreeSet::new();
        Literals::read(&bytes).unwrap().each_in(Which::All, &text, stretch, |ordinal, stretch| {
            if found.insert((ordinal, stretch)) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let expected: BTreeSet<_> = naive_occurrences(&literals, &text).iter().map(|&(ordinal, end)| (ordinal, end >> stretch)).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(build(&literals, leading).unwrap(), bytes);
    }

    #[test]
    fn any_bytes_are_searched_within_bounds(bytes in vec(any::<u8>(), 0..2000), text in vec(any::<u8>(), 0..100)) {
        search_stays_within_bounds(&bytes, &text);
    }

    #[test]
    fn any_contents_after_a_valid_head_are_searched_within_bounds(
        (states, with_row) in (1..40_u32).prop_flat_map(|states| (Just(states), 1..=states)),
        (literals, class_bits) in (0..40_u32, 0..=8_u32),
        // Only small numbers lead to other states. The contents repeat up to the length of the index.
        contents in vec(prop_oneof![Just(0), Just(0), 0..40_u8, any::<u8>()], 1..300),
        text in vec(0..40_u8, 0..100),
    ) {
        let counts = [states, literals, with_row, class_bits];
        let mut bytes = head(counts);
        let rest = length(counts) - bytes.len();
        bytes.extend(contents.iter().cycle().take(rest));
        prop_assert!(Literals::read(&bytes).is_some());
        search_stays_within_bounds(&bytes, &text);
    }

    #[test]
    fn damaged_index_is_searched_within_bounds(
        literals in btree_set(vec(b'a'..b'd', 1..12), 1..60),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..50),
        text in vec(b'a'..=b'd', 0..100),
    ) {
        let literals: Vec<&[u8]> = literals.iter().map(Vec::as_slice).collect();
        let mut bytes = index(&literals);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        search_stays_within_bounds(&bytes, &text);
    }
}
