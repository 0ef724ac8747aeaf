use std::collections::BTreeSet;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::name::Dialect;
use crate::pattern::{Pattern, covers};

fn canonical(patterns: impl IntoIterator<Item = String>) -> Vec<Pattern> {
    patterns.into_iter().filter_map(|text| Pattern::parse(&text, Dialect::Generic).ok()).collect()
}

/// Returns the indexes of the `wanted` patterns that are candidates for a name.
fn candidates(patterns: &[Pattern], name: &str, wanted: impl Fn(usize) -> bool) -> Vec<usize> {
    let texts: Vec<&[u8]> = patterns.iter().map(Pattern::as_bytes).collect();
    let Built { bytes, numbers, .. } = build(&texts).unwrap();
    let mut indexes = vec![0; numbers.len()];
    for (index, &number) in numbers.iter().enumerate() {
        indexes[number as usize] = index;
    }
    let index_of = |number: u32| indexes[number as usize];
    let sequences = Sequences::read(&bytes).unwrap();
    let mut wanted: Vec<u32> = numbers.iter().copied().filter(|&number| wanted(index_of(number))).collect();
    wanted.sort_unstable();
    let next = |from: u32| wanted.get(wanted.partition_point(|&number| number < from)).copied();
    let mut found = Vec::new();
    sequences.candidates(name.as_bytes(), next, |number| {
        let index = index_of(number);
        assert_eq!(usize::from(sequences.characters(number)), patterns[index].literal_characters());
        found.push(index);
    });
    found
}

#[test]
fn candidates_contain_all_literals_in_order() {
    let texts = ["*a1*b1*.t", "*a1*b2*.t", "*b1*a1*.t", "*a1*a1*.t", "*b2*.t", "*a1*b1*c1*.t", "x*a1*.t"];
    // A few candidates are returned without checking their literals, so this test adds more patterns with the same
    // rarest literal.
    let more = (0..10).map(|n| format!("*a1*b1*d{n}*.t"));
    let patterns = canonical(texts.into_iter().map(String::from).chain(more));
    let found = |name| candidates(&patterns, name, |_| true).into_iter().filter(|&at| at < 7).collect::<BTreeSet<_>>();
    assert_eq!(found("_a1_b1_d0d1d2d3d4d5d6d7d8d9.t"), BTreeSet::from([0]));
    assert_eq!(found("_b1_a1_d0d1d2d3d4d5d6d7d8d9.t"), BTreeSet::from([2]));
    assert_eq!(found("_a1_b2_a1_d0d1d2d3d4d5d6d7d8d9.t"), BTreeSet::from([1, 3, 4]));
    assert_eq!(found("c1_a1_b1_d0d1d2d3d4d5d6d7d8d9.t"), BTreeSet::from([0]));
    assert_eq!(found("d0d1d2d3d4d5d6d7d8d9.t"), BTreeSet::new());
}

#[test]
fn patterns_with_equal_prefixes_share_nodes() {
    let patterns = canonical((0..1000).map(|n| format!("db.*a{}*b{}*c{}*.t", n % 10, n / 10 % 10, n / 100)));
    let texts: Vec<&[u8]> = patterns.iter().map(Pattern::as_bytes).collect();
    let bytes = build(&texts).unwrap().bytes;
    assert_eq!(Sequences::read(&bytes).unwrap().nodes.len(), 10 + 100 + 1000);
}

#[test]
fn index_of_wrong_length_is_rejected() {
    let patterns = canonical((0..9).map(|n| format!("*a{n}*b*.t")));
    let texts: Vec<&[u8]> = patterns.iter().map(Pattern::as_bytes).collect();
    let bytes = build(&texts).unwrap().bytes;
    assert!(Sequences::read(&bytes).is_some());
    for length in 0..bytes.len() {
        assert!(Sequences::read(&bytes[..length]).is_none(), "{length} of {} bytes", bytes.len());
    }
    assert!(Sequences::read(&[bytes.as_slice(), &[0]].concat()).is_none());
    assert!(Sequences::read(&[0xff; 10_000]).is_none());
}

/// Generates a segment of few letters and many stars, with runs that may be longer than a literal.
fn segment() -> impl Strategy<Value = String> {
    vec(prop_oneof![4 => "[ab]", 4 => Just("*".to_owned()), 1 => Just("abaababaabaab".to_owned()), 1 => "c[0-9]"], 1..8)
        .prop_map(|parts| parts.concat().replace("**", "*").replace("**", "*"))
}

fn patterns() -> impl Strategy<Value = Vec<Pattern>> {
    vec(vec(segment(), 2..4), 1..80).prop_map(|all| {
        let mut patterns = canonical(all.into_iter().map(|segments| segments.join(".")));
        patterns.sort_unstable();
        patterns.dedup();
        patterns
    })
}

fn name() -> impl Strategy<Value = String> {
    let part = || prop_oneof![3 => "[ab]{1,3}", 1 => Just("abaababaabaab".to_owned()), 1 => "c[0-9]"];
    let segment = prop_oneof![4 => vec(part(), 1..6), 1 => vec(part(), 30..200)];
    vec(segment, 2..4)
        .prop_map(|segments| segments.into_iter().map(|parts| parts.concat()).collect::<Vec<_>>().join("."))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn every_covering_pattern_is_a_candidate_once(
        patterns in patterns(),
        names in vec(name(), 1..5),
        unwanted in btree_set(0..80_usize, 0..80),
    ) {
        for name in names {
            let found = candidates(&patterns, &name, |at| !unwanted.contains(&at));
            let distinct: BTreeSet<usize> = found.iter().copied().collect();
            prop_assert_eq!(distinct.len(), found.len());
            prop_assert!(distinct.is_disjoint(&unwanted));
            for (at, pattern) in patterns.iter().enumerate().filter(|(at, _)| !unwanted.contains(at)) {
                let covers = covers(pattern.as_bytes(), name.as_bytes());
                prop_assert!(!covers || distinct.contains(&at), "{:?} covers {}", pattern, name);
            }
        }
    }

    #[test]
    fn any_bytes_are_walked_within_bounds(
        patterns in patterns(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..50),
        name in name(),
    ) {
        let texts: Vec<&[u8]> = patterns.iter().map(Pattern::as_bytes).collect();
        let Some(Built { mut bytes, .. }) = build(&texts) else { return Ok(()) };
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(index) = Sequences::read(&bytes) {
            let mut candidates = 0_usize;
            index.candidates(name.as_bytes(), |from| Some(from).filter(|&from| (from as usize) < texts.len()), |_| candidates += 1);
            prop_assert!(candidates <= texts.len() * index.nodes.len() * name.len() * LONGEST);
        }
    }
}
