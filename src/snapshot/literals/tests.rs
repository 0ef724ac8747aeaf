use super::*;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

fn index(literals: &[&[u8]]) -> Vec<u8> {
    build(literals).unwrap()
}

/// The first `most` occurrences, all if there are fewer.
fn occurrences(bytes: &[u8], text: &[u8], most: usize) -> Vec<u32> {
    let mut found = Vec::new();
    Literals::read(bytes).unwrap().each_in(text, |ordinal| {
        if found.len() < most {
            found.push(ordinal);
        }
        if found.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    found
}

/// Each literal asked at each place.
fn slowly(literals: &[&[u8]], text: &[u8]) -> Vec<u32> {
    let mut longest_first: Vec<(usize, u32)> = literals.iter().map(|literal| literal.len()).zip(0..).collect();
    longest_first.sort_unstable_by(|a, b| b.cmp(a));
    let ending = |end: usize| {
        let ends = move |&(_, ordinal): &(usize, u32)| text[..end].ends_with(literals[ordinal as usize]);
        longest_first.iter().copied().filter(ends).map(|(_, ordinal)| ordinal)
    };
    (1..=text.len()).flat_map(ending).collect()
}

#[test]
fn finds_each_occurrence_where_it_ends_and_the_longest_first() {
    type Case<'t> = (&'t [&'t str], &'t str, &'t [u32]);
    let cases: &[Case<'_>] = &[
        (&[], "road", &[]),
        (&["road"], "", &[]),
        (&["road"], "roa", &[]),
        (&["road"], "road", &[0]),
        (&["road"], "railroads.roads", &[0, 0]),
        (&["road", "rail"], "railroad", &[1, 0]),
        // One begins with the other.
        (&["road", "roads"], "roads", &[0, 1]),
        // One ends with the other.
        (&["road", "railroad", "d"], "railroad", &[1, 0, 2]),
        // One lies within the other.
        (&["ailroa", "il"], "railroad", &[1, 0]),
        // They overlap.
        (&["he", "she", "his", "hers"], "ushers", &[1, 0, 3]),
        (&["abab"], "ababab", &[0, 0]),
        (&["aaa", "a", "aa"], "aaaa", &[1, 2, 1, 0, 2, 1, 0, 2, 1]),
        // A beginning fails after a long way, and a shorter one goes on.
        (&["aaaab", "aac"], "aaaac", &[1]),
        (&["abcabcabd", "cabd", "bca"], "abcabcabcabd", &[2, 2, 2, 0, 1]),
        // A byte that no literal holds.
        (&["ab"], "a\u{1}b-ab", &[0]),
    ];
    for (literals, text, expected) in cases {
        let literals: Vec<&[u8]> = literals.iter().map(|literal| literal.as_bytes()).collect();
        assert_eq!(occurrences(&index(&literals), text.as_bytes(), usize::MAX), *expected, "{literals:?} in {text}");
    }
}

#[test]
fn any_byte_may_stand_in_a_literal() {
    let singles: Vec<[u8; 1]> = (0..=u8::MAX).map(|byte| [byte]).collect();
    let text: Vec<u8> = (0..=u8::MAX).rev().collect();
    for count in [1, 2, 127, 128, 254, 255, 256] {
        let literals: Vec<&[u8]> = singles[..count].iter().map(<[u8; 1]>::as_slice).collect();
        assert_eq!(occurrences(&index(&literals), &text, usize::MAX), slowly(&literals, &text), "{count} bytes");
    }
}

#[test]
fn a_state_with_no_row_may_have_any_number_of_children() {
    let literals: Vec<Vec<u8>> = (0..40)
        .flat_map(|at| (0..=u8::MAX).map(move |last| [format!("{at:02}_table_").as_bytes(), &[last]].concat()))
        .collect();
    let literals: Vec<&[u8]> = literals.iter().map(Vec::as_slice).collect();
    let bytes = index(&literals);
    let search = Literals::read(&bytes).unwrap();
    assert!(search.with_row as usize * 2 < search.states.len(), "{} rows", search.with_row);
    for (literal, ordinal) in literals.iter().zip(0..) {
        assert_eq!(occurrences(&bytes, literal, usize::MAX), [ordinal]);
    }
}

#[test]
fn an_empty_literal_is_not_found_and_of_equal_ones_the_first() {
    assert_eq!(occurrences(&index(&[b"", b"a", b"a", b"ba"]), b"ba", usize::MAX), [3, 1]);
}

#[test]
fn an_index_takes_a_few_bytes_for_each_state() {
    for distinct in [1, 7, 300, 20_000] {
        let literals: Vec<String> = (0..20_000_u32).map(|at| format!("{}.table{at}", at % distinct)).collect();
        let literals: Vec<&[u8]> = literals.iter().map(String::as_bytes).collect();
        let bytes = index(&literals);
        let states = Literals::read(&bytes).unwrap().states.len();
        assert!(states <= 1 + literals.concat().len());
        assert!(bytes.len() <= 272 + (4 << 10) + 4 * literals.len() + 23 * states, "{} for {states}", bytes.len());
    }
}

#[test]
fn an_index_past_its_ceiling_is_not_built() {
    let literals: [&[u8]; 3] = [b"road", b"rail", b"customer_orders"];
    let length = index(&literals).len();
    assert_eq!(build_within(length, &literals), build(&literals));
    for most_bytes in 0..length {
        assert_eq!(build_within(most_bytes, &literals), None, "{most_bytes} of {length} bytes");
    }
}

#[test]
fn an_index_of_another_length_is_refused() {
    let bytes = index(&[b"road", b"rail", b"a"]);
    for length in 0..bytes.len() {
        assert!(Literals::read(&bytes[..length]).is_none(), "{length} of {} bytes", bytes.len());
    }
    assert!(Literals::read(&[bytes.as_slice(), &[0]].concat()).is_none());
    assert!(Literals::read(&[0; 10_000]).is_none());
    assert!(Literals::read(&[0xff; 10_000]).is_none());
}

/// Searches bytes that may not have been written by [`build`], and sees that it stays within what is promised.
fn search_stays_within_bounds(bytes: &[u8], text: &[u8]) {
    let Some(search) = Literals::read(bytes) else { return };
    let mut visits = 0;
    search.each_in(text, |ordinal| {
        visits += 1;
        assert!((ordinal as usize) < search.shorter.len(), "{ordinal} of {}", search.shorter.len());
        ControlFlow::Continue(())
    });
    assert!(visits <= text.len() * (text.len() + 1) / 2, "{visits} visits in {} bytes", text.len());
}

fn head([states, literals, with_row, class_bits]: [u32; HEAD]) -> Vec<u8> {
    [states, literals, with_row, class_bits].map(u32::to_le_bytes).concat()
}

/// The length of an index with that head.
fn length([states, literals, with_row, class_bits]: [u32; HEAD]) -> usize {
    (16 + 256 + 4 * literals + 17 * states + ((4 * with_row) << class_bits)) as usize
}

#[test]
fn a_search_ends_though_all_links_run_in_circles() {
    for (byte, class_bits) in (0..=u8::MAX).flat_map(|byte| (0..=8).map(move |bits| (byte, bits))) {
        let counts = [0x0202, 0x0202, 2, class_bits];
        let mut bytes = head(counts);
        bytes.resize(length(counts), 0);
        // All links lead to the same state or literal, past the rows.
        for link in bytes[16 + 256..].chunks_mut(4) {
            link.copy_from_slice(&[byte, 1, 0, 0][..link.len()]);
        }
        assert!(Literals::read(&bytes).is_some());
        search_stays_within_bounds(&bytes, &[byte, 0, 1, 2, byte, 255].repeat(20));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn finds_what_asking_each_literal_at_each_place_finds(
        literals in btree_set(vec(b'a'..b'd', 1..8), 0..60),
        tail in 0..4_usize,
        text in vec(b'a'..=b'd', 0..60),
        most in 0..40_usize,
    ) {
        // A tail of other bytes makes more states than there are rows.
        let filler: Vec<Vec<u8>> = (0..tail * 40).map(|at| format!("aab{at}xyzxyzxyz").into_bytes()).collect();
        let literals: Vec<&[u8]> = literals.iter().chain(&filler).map(Vec::as_slice).rev().collect();
        let bytes = index(&literals);
        let expected = slowly(&literals, &text);
        prop_assert_eq!(&occurrences(&bytes, &text, usize::MAX), &expected);
        // The walk can be broken off at each occurrence.
        prop_assert_eq!(&occurrences(&bytes, &text, most + 1), &expected[..expected.len().min(most + 1)]);
        prop_assert_eq!(index(&literals), bytes);
    }

    #[test]
    fn any_bytes_are_searched_within_bounds(bytes in vec(any::<u8>(), 0..2000), text in vec(any::<u8>(), 0..100)) {
        search_stays_within_bounds(&bytes, &text);
    }

    #[test]
    fn any_contents_behind_a_good_head_are_searched_within_bounds(
        (states, with_row) in (1..40_u32).prop_flat_map(|states| (Just(states), 1..=states)),
        (literals, class_bits) in (0..40_u32, 0..=8_u32),
        // Small numbers are the ones that lead somewhere.
        contents in vec(prop_oneof![Just(0), Just(0), 0..40_u8, any::<u8>()], 1..3000),
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
    fn a_damaged_index_is_searched_within_bounds(
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Long literals have most of their states behind those with a row.
    #[test]
    fn finds_them_through_fallbacks(
        literals in btree_set(vec(b'a'..b'd', 100..300), 2..6),
        pieces in vec((any::<prop::sample::Index>(), 0..300_usize, 0..300_usize), 1..8),
    ) {
        // Tails of literals are what fallbacks lead to.
        let mut all: Vec<&[u8]> = literals.iter().map(Vec::as_slice).collect();
        let whole = all.clone();
        for (at, start, _) in &pieces {
            let literal = whole[at.index(whole.len())];
            all.push(&literal[(*start).min(literal.len() - 1)..]);
        }
        all.sort_unstable();
        all.dedup();
        let bytes = index(&all);
        let mut text = Vec::new();
        for (at, start, end) in &pieces {
            let literal = whole[at.index(whole.len())];
            text.extend_from_slice(literal.get(*start..*end).unwrap_or(literal));
        }
        prop_assert_eq!(occurrences(&bytes, &text, usize::MAX), slowly(&all, &text));
    }
}
