use proptest::prelude::*;

use super::{Algebra, Budget, Names, Proof};
use portcullis::name::{Dialect, Name};
use portcullis::pattern::Pattern;

/// A pattern, or a name if there is no star.
enum NameOrPattern {
    Name(Name),
    Pattern(Pattern),
}

impl NameOrPattern {
    fn parse(text: &str, dialect: Dialect) -> Option<Self> {
        let pattern = Pattern::parse(text, dialect).ok().map(Self::Pattern);
        pattern.or_else(|| Name::parse(text, dialect).ok().filter(|_| !text.contains("**")).map(Self::Name))
    }

    fn names(&self) -> Names<'_> {
        match self {
            Self::Name(name) => name.into(),
            Self::Pattern(pattern) => pattern.into(),
        }
    }
}

fn read(texts: &[&str], dialect: Dialect) -> Vec<NameOrPattern> {
    texts.iter().map(|text| NameOrPattern::parse(text, dialect).unwrap_or_else(|| panic!("{text}"))).collect()
}

fn names(written: &[NameOrPattern]) -> Vec<Names<'_>> {
    written.iter().map(NameOrPattern::names).collect()
}

/// Dialect, part, whole, and the witness that `whole` does not cover `part`; `None` if it does.
const COVERED: &[(Dialect, &str, &[&str], Option<&str>)] = &[
    (Dialect::Generic, "a.b", &["a.*"], None),
    (Dialect::Generic, "a.*", &["a.b"], Some("a.a")),
    (Dialect::Generic, "a.*", &["a.a"], Some("a.b")),
    (Dialect::Generic, "db.*.raw_*", &["db.sales.raw_*"], Some("db.a.raw_")),
    (Dialect::Generic, "a.*", &["a.*.*"], Some("a.a")),
    (Dialect::Generic, "a.b*c", &["a.b*", "a.*x"], None),
    (Dialect::Generic, "*.b", &["a*.b", "*a.b"], Some("b.b")),
    // Only together.
    (Dialect::Generic, "a*.b*", &["a.b*", "aa*.b*", "a*b*.b*"], Some("ac.b")),
    (Dialect::Generic, "a.*b*", &["a.b*", "a.*b"], Some("a.aba")),
    (Dialect::Generic, "a.x*", &["a.x", "a.x*y*", "a.xa*"], Some("a.xb")),
    // A segment is never empty, so one star and a character is no narrower.
    (Dialect::Generic, "*.b", &["*.b", "a.c"], None),
    // Case folds where the dialect folds it.
    (Dialect::Snowflake, "a.*", &["A.b*"], Some("A.A")),
    (Dialect::Snowflake, "\"a\".*", &["A.*"], Some("\"a\".A")),
    (Dialect::Postgres, "A.b", &["a.*"], None),
    // Dots inside quotes are characters of a segment.
    (Dialect::Postgres, "a.\"b.c\"", &["a.b*"], None),
    (Dialect::Postgres, "a.\"*\"", &["a.b*"], Some("a.\"*\"")),
    // In BigQuery only a domain holds dots.
    (Dialect::BigQuery, "example.com:*.t", &["example.com:a.t"], Some("example.com:.t")),
    (Dialect::BigQuery, "*.t", &["*:*.t"], Some("a.t")),
    // The colon of a later segment needs one in the first: here `a.*` covers no `:`.
    (Dialect::BigQuery, "a.*", &["a.a*", "a.b*"], Some("a.c")),
    (Dialect::BigQuery, "a:a.*", &["a:a.a*", "a:a.b*"], Some("a:a.c")),
    (Dialect::BigQuery, "`a b.c:*`.t", &["*.t"], None),
    (Dialect::BigQuery, "*.t", &["*a.t", "*b.t"], Some("c.t")),
    (Dialect::Databricks, "a.Ü*", &["a.`ü*`", "a.ü*"], None),
    (Dialect::Oracle, "a.ü*", &["a.\"ü\"", "a.Ü*"], None),
    (Dialect::Oracle, "a.*", &["a.A*"], Some("A.B")),
    (Dialect::Generic, "a.é*", &["a.*"], None),
];

#[test]
fn covered_fails_with_a_shortest_name() {
    for (dialect, part, whole, witness) in COVERED {
        let (part, whole) = (read(&[part], *dialect), read(whole, *dialect));
        let proof = Algebra::new(*dialect).covered(part[0].names(), &names(&whole));
        let found = match &proof {
            Proof::Fails(name) => Some(name.display(*dialect).to_string()),
            Proof::Holds => None,
            Proof::Undecided => panic!("undecided"),
        };
        assert_eq!(found.as_deref(), *witness, "{} in {dialect}", part[0].names().display(*dialect));
    }
}

#[test]
fn overlaps_equivalence_and_differences() {
    let dialect = Dialect::Generic;
    let algebra = Algebra::new(dialect);
    let all = read(&["a.*x", "a.x*", "a.y*", "a.x", "a.*x*"], dialect);
    let all = names(&all);
    assert!(algebra.overlap(all[0], all[1]));
    assert_eq!(algebra.disjoint(all[1], all[2]), Proof::Holds);
    assert!(
        matches!(algebra.disjoint(all[0], all[2]), Proof::Fails(name) if name.display(dialect).to_string() == "a.yx")
    );
    assert!(algebra.equivalent(&[all[1], all[3]], &[all[1]]).holds());
    assert!(!algebra.equivalent(&[all[0], all[1]], &[all[4]]).holds());
    let shown = |proof| match proof {
        Proof::Fails(name) => name.display(dialect).to_string(),
        other => format!("{other:?}"),
    };
    // Unions also fail with the shortest name.
    assert_eq!(shown(algebra.all_covered(&[all[4], all[3]], &[])), "a.x");
    assert_eq!(shown(algebra.all_covered(&[all[0], all[2]], &[all[1]])), "a.y");
    assert_eq!(shown(algebra.equivalent(&[all[2]], &[all[2], all[3]])), "a.x");
    assert_eq!(shown(algebra.all_disjoint(&[all[2], all[0]], &[all[3], all[2]])), "a.y");
    assert_eq!(shown(algebra.all_disjoint(&[all[1], all[3]], &[all[2]])), "Holds");
    let rest = algebra.difference(&[all[4], all[3]], &[all[0], all[1], all[2]]);
    assert_eq!(rest.len(), 1);
    assert_eq!((rest[0].of, rest[0].without.as_slice()), (all[4], &all[..3]));
    assert_eq!(rest[0].witness.as_ref().unwrap().display(dialect).to_string(), "a.axa");
}

/// The union covers all names except those that avoid every pair; each pattern doubles the number of states.
#[test]
fn search_is_given_up_at_the_budget() {
    let dialect = Dialect::Generic;
    let whole: Vec<String> = (0..24).map(|at| format!("a.*{}*{}*", (b'a' + at) as char, (b'a' + at) as char)).collect();
    let whole: Vec<NameOrPattern> = whole.iter().map(|text| NameOrPattern::parse(text, dialect).unwrap()).collect();
    let part = read(&["a.*z*y*x*w*v*z*y*x*"], dialect);
    let algebra = Algebra::new(dialect).with_budget(Budget { steps: 1_000 });
    let with_end: Vec<Names<'_>> =
        names(&whole).into_iter().filter(|names| !names.display(dialect).contains('z')).collect();
    assert_eq!(algebra.covered(part[0].names(), &with_end[..20]), Proof::Undecided);
}

/// Returns all texts of up to `longest` of these characters.
fn texts(characters: &[char], longest: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..longest {
        last =
            last.iter().flat_map(|text| characters.iter().map(move |character| format!("{text}{character}"))).collect();
        all.extend_from_slice(&last);
    }
    all
}

/// Compares every pair of short patterns with an enumeration that is long enough to contain the shortest witnesses.
#[test]
fn pairs_of_small_patterns_agree_with_enumeration() {
    let dialect = Dialect::Generic;
    let segments: Vec<String> =
        texts(&['x', 'y', '*'], 3).into_iter().filter(|text| !text.is_empty() && !text.contains("**")).collect();
    let patterns: Vec<NameOrPattern> =
        segments.iter().map(|segment| NameOrPattern::parse(&format!("t.{segment}"), dialect).unwrap()).collect();
    let universe: Vec<Name> = texts(&['x', 'y', 'a'], 5)
        .iter()
        .filter(|text| !text.is_empty())
        .map(|text| Name::parse(&format!("t.{text}"), dialect).unwrap())
        .collect();
    let covered: Vec<Vec<bool>> =
        patterns.iter().map(|pattern| universe.iter().map(|name| pattern.names().contain(name)).collect()).collect();
    let algebra = Algebra::new(dialect);
    for (one, of_one) in patterns.iter().zip(&covered) {
        for (other, of_other) in patterns.iter().zip(&covered) {
            let label = || format!("{} in {}", one.names().display(dialect), other.names().display(dialect));
            let first = (0..universe.len()).find(|&at| of_one[at] && !of_other[at]);
            match (algebra.covered(one.names(), &[other.names()]), first) {
                (Proof::Holds, None) => {}
                (Proof::Fails(name), Some(at)) => {
                    assert!(one.names().contain(&name) && !other.names().contain(&name), "{}", label());
                    let length = |name: &Name| name.display(dialect).to_string().len();
                    assert_eq!(length(&name), length(&universe[at]), "{}: {name:?}", label());
                }
                (proof, first) => panic!("{}: {proof:?}, {first:?}", label()),
            }
            let common = (0..universe.len()).any(|at| of_one[at] && of_other[at]);
            assert_eq!(algebra.overlap(one.names(), other.names()), common, "{}", label());
        }
    }
}

fn small() -> impl Strategy<Value = String> {
    "[xy*]{1,4}\\.[xy*]{1,4}".prop_filter("stars stand apart", |text| !text.contains("**"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Compares unions with an enumeration of all short names.
    #[test]
    fn unions_agree_with_enumeration(part in small(), whole in prop::collection::vec(small(), 0..6)) {
        let dialect = Dialect::Generic;
        let part = NameOrPattern::parse(&part, dialect).unwrap();
        let whole: Vec<NameOrPattern> = whole.iter().map(|text| NameOrPattern::parse(text, dialect).unwrap()).collect();
        let whole = names(&whole);
        let segments: Vec<String> = texts(&['x', 'y', 'a'], 3).into_iter().filter(|text| !text.is_empty()).collect();
        let found = segments.iter().flat_map(|first| segments.iter().map(move |second| format!("{first}.{second}")))
            .map(|text| Name::parse(&text, dialect).unwrap())
            .filter(|name| part.names().contain(name) && !whole.iter().any(|names| names.contain(name)))
            .min_by_key(|name| name.display(dialect).to_string().len());
        match Algebra::new(dialect).covered(part.names(), &whole) {
            Proof::Holds => prop_assert_eq!(found, None),
            Proof::Fails(name) => {
                prop_assert!(part.names().contain(&name) && !whole.iter().any(|names| names.contain(&name)));
                let length = |name: &Name| name.display(dialect).to_string().len();
                prop_assert!(found.is_none_or(|found| length(&name) <= length(&found)));
            }
            Proof::Undecided => prop_assert!(false, "undecided"),
        }
    }

    /// In every dialect, each witness can be written and read back, and is in `part` but not in `whole`.
    #[test]
    fn witnesses_are_valid_names_of_the_dialect(
        at in 0..Dialect::ALL.len(),
        part in "[aB1:*_-]{1,4}\\.[aB1:*\u{e9}\u{c4}]{1,4}",
        whole in prop::collection::vec("([aB*]{1,3}\\.)?[aB1:*_-]{1,4}\\.[aB1*]{1,4}", 0..4),
    ) {
        let dialect = Dialect::ALL[at];
        let Some(part) = NameOrPattern::parse(&part, dialect) else { return Ok(()) };
        let whole: Vec<NameOrPattern> = whole.iter().filter_map(|text| NameOrPattern::parse(text, dialect)).collect();
        let whole = names(&whole);
        match Algebra::new(dialect).covered(part.names(), &whole) {
            Proof::Holds => {}
            Proof::Fails(name) => {
                prop_assert_eq!(&Name::parse(&name.display(dialect).to_string(), dialect).unwrap(), &name);
                prop_assert!(part.names().contain(&name) && !whole.iter().any(|names| names.contain(&name)));
            }
            Proof::Undecided => prop_assert!(false, "undecided"),
        }
    }
}
