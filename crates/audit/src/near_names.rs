//! Explains why no grant names a resource: what its name means, and which granted names are near it.
//!
//! ```
//! use portcullis_audit::near_names::{Hint, hints};
//! use portcullis_audit::reads::Followed;
//! use portcullis::name::Name;
//!
//! let policy = portcullis_document::read_policy(
//!     r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["maps"],
//!          "grants": [{"connection_name": "dw", "source": "acme.public.stores"}]}]"#,
//! )?;
//! let connection = &policy.connections()[0];
//! let name = Name::parse("stores", connection.dialect()).unwrap();
//! let found = hints(&policy, connection, &name, &Followed::default());
//! assert_eq!(found, [Hint::OneSegment, Hint::Near(vec!["acme.public.stores".to_owned()])]);
//! # Ok::<(), portcullis_document::load::LoadError>(())
//! ```

use std::collections::BTreeSet;

use crate::reads::{Followed, Table};
use portcullis::base::nearest;
use portcullis::model::{Connection, Grant, GrantKind, GrantSource, Policy, Token};
use portcullis::name::Name;
use portcullis::pattern::{Pattern, covers};
use portcullis_diff::algebra::{Algebra, Proof};

/// Max near names of a hint.
const NEAR: usize = 3;

/// A reason why no grant names a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The `*` in the name is a character, not a wildcard. Has a name that the text covers as a pattern, if it is one.
    LiteralStar(Option<String>),
    /// The name has one segment, which no pattern covers.
    OneSegment,
    /// No token has a grant on the connection.
    NoGrants,
    /// The granted or read names that the name may mean, at least one.
    Near(Vec<String>),
    /// No token has a grant of this kind on the connection.
    NoneOfKind(GrantKind),
    /// A grant covers the text as a source of this kind. A resource also stands for patterns.
    OtherKind(GrantKind),
    /// A granted query, in normal form, and how the query differs from it.
    NearQuery {
        /// The granted query.
        granted: String,
        /// The difference.
        differs: Differs,
    },
    /// The named source exists, but no token has a grant of it.
    Ungranted,
    /// The named source exists on this connection only.
    OnOtherConnection(String),
}

/// How a query differs from a granted one, the smallest difference first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Differs {
    /// In letter case only.
    LetterCase,
    /// In white space only.
    WhiteSpace,
    /// In white space and letter case only.
    WhiteSpaceAndLetterCase,
    /// In a few characters.
    Text,
}

/// Returns the reasons why no grant of `connection` names the resource `name`.
///
/// Considers the granted resources and patterns, and the tables that queries read according to `followed`. Linear in
/// them.
pub fn hints(policy: &Policy, connection: &Connection, name: &Name, followed: &Followed<'_>) -> Vec<Hint> {
    let dialect = connection.dialect();
    let on_connection = |grant: &&Grant| policy.connection(grant.connection()) == Some(connection);
    let mut grants = policy.tokens().iter().flat_map(Token::grants).filter(on_connection).peekable();
    if grants.peek().is_none() {
        return vec![Hint::NoGrants];
    }
    let mut hints = Vec::new();
    if name.as_bytes().contains(&b'*') {
        let text = String::from_utf8_lossy(name.as_bytes());
        let pattern = Pattern::parse(&text, dialect).ok();
        let example = pattern.and_then(|pattern| match Algebra::new(dialect).covered(&pattern, &[]) {
            Proof::Fails(covered) => Some(covered.display(dialect).to_string()),
            Proof::Holds | Proof::Undecided => None,
        });
        hints.push(Hint::LiteralStar(example));
    }
    if !name.as_bytes().contains(&b'.') {
        hints.push(Hint::OneSegment);
    }
    let read = followed.all().filter(|(id, ..)| policy.connection(*id) == Some(connection));
    let read = read.flat_map(|(.., reads)| reads.tables.iter().filter_map(|table| table.sources().first()));
    let near: BTreeSet<Vec<u8>> =
        grants.map(Grant::source).chain(read).filter_map(|source| near(name.as_bytes(), source)).collect();
    let mut near: Vec<String> = near.iter().map(|near| Name::of_canonical(near).display(dialect).to_string()).collect();
    let shown = name.display(dialect).to_string();
    if let Some(nearest) = nearest(&shown, near.iter().map(String::as_str)).map(str::to_owned) {
        near.retain(|other| *other != nearest);
        near.insert(0, nearest);
    }
    near.truncate(NEAR);
    if !near.is_empty() {
        hints.push(Hint::Near(near));
    }
    hints
}

/// A name that has another number of segments than the granted and read names of its connection.
///
/// Nobody can tell whether the connection completes it to one of them: only the session of the connection has a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherSegments {
    /// The number of segments of the name.
    pub segments: usize,
    /// The numbers of segments of the granted and read names, ascending.
    pub granted: Vec<usize>,
    /// If segments are missing, the name after the leading segments of a granted or read name.
    pub example: Option<String>,
}

/// Returns the segments of `name` if grants of `connection`, or tables that queries read, may mean it with further or fewer
/// leading segments. `None` if no grant covers the name in any database, or the connection has only grants of other kinds.
///
/// Linear in the grants of the connection.
pub fn other_segments(
    policy: &Policy,
    connection: &Connection,
    name: &Name,
    followed: &Followed<'_>,
) -> Option<OtherSegments> {
    let on_connection = |grant: &&Grant| policy.connection(grant.connection()) == Some(connection);
    let grants = policy.tokens().iter().flat_map(Token::grants).filter(on_connection).map(Grant::source);
    let read = followed.all().filter(|(id, ..)| policy.connection(*id) == Some(connection));
    let read = read.flat_map(|(.., reads)| reads.tables.iter().flat_map(Table::sources));
    let wanted: Vec<&[u8]> = segments(name.as_bytes()).collect();
    let (mut granted, mut may_mean, mut example) = (BTreeSet::new(), false, None);
    for source in grants.chain(read) {
        let canonical = match source {
            GrantSource::Resource(name) => name.as_bytes(),
            GrantSource::Pattern(pattern) => pattern.as_bytes(),
            GrantSource::Query(_) | GrantSource::NamedSource(_) | GrantSource::All => continue,
        };
        let known: Vec<&[u8]> = segments(canonical).collect();
        granted.insert(known.len());
        let ends = known.iter().rev().zip(wanted.iter().rev()).all(|(known, wanted)| covers(known, wanted));
        may_mean |= known.len() != wanted.len() && ends;
        let leading = known.get(..known.len().saturating_sub(wanted.len())).unwrap_or_default();
        if example.is_none() && !leading.is_empty() && leading.iter().all(|segment| is_literal(segment)) {
            example = Some([leading, &*wanted].concat().join(&b'.'));
        }
    }
    let shown = |name: Vec<u8>| Name::of_canonical(&name).display(connection.dialect()).to_string();
    // A name without its database may be any table, although no grant ends with it.
    let is_short = granted.first().is_some_and(|&fewest| wanted.len() < fewest);
    (may_mean || is_short).then(|| OtherSegments {
        segments: wanted.len(),
        granted: granted.into_iter().collect(),
        example: example.map(shown),
    })
}

/// Returns a name that `source` covers and that `name` may mean, in canonical form.
fn near(name: &[u8], source: &GrantSource) -> Option<Vec<u8>> {
    let granted = match source {
        GrantSource::Resource(granted) => granted.as_bytes(),
        GrantSource::Pattern(pattern) => pattern.as_bytes(),
        _ => return None,
    };
    let (mut known, mut wanted): (Vec<_>, Vec<_>) = (segments(granted).collect(), segments(name).collect());
    if known.len() == wanted.len() {
        let mut same = true;
        let meant = known.iter().zip(&wanted).map(|(known, wanted)| {
            if covers(known, wanted) {
                return Some(*wanted);
            }
            same = false;
            is_near(known, wanted).then_some(*known)
        });
        let meant: Vec<&[u8]> = meant.collect::<Option<_>>()?;
        return (!same).then(|| meant.join(&b'.'));
    }
    // The leading segments are missing, or too many.
    let missing = known.len().saturating_sub(wanted.len());
    let leading: Vec<&[u8]> = known.drain(..missing).collect();
    wanted.drain(..wanted.len().saturating_sub(known.len()));
    let is_covered = known.iter().zip(&wanted).all(|(known, wanted)| covers(known, wanted));
    let has_literals = leading.iter().all(|segment| is_literal(segment));
    (is_covered && has_literals).then(|| leading.into_iter().chain(wanted).collect::<Vec<_>>().join(&b'.'))
}

/// Whether the segment of a name was probably meant to be the one of a grant, which has no star.
fn is_near(known: &[u8], wanted: &[u8]) -> bool {
    let (Ok(known_text), Ok(wanted)) = (std::str::from_utf8(known), std::str::from_utf8(wanted)) else { return false };
    is_literal(known) && nearest(wanted, [known_text]).is_some()
}

fn is_literal(segment: &[u8]) -> bool {
    !segment.contains(&portcullis::name::STAR)
}

fn segments(canonical: &[u8]) -> impl Iterator<Item = &[u8]> {
    canonical.split(|&byte| byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_other_segments_are_undecided_unless_no_database_makes_them_granted() {
        let policy = portcullis_document::load::policy(
            r#"{"version": 1, "connections": [{"name": "dw", "dialect": "postgres"}, {"name": "two", "dialect": "postgres"},
                {"name": "mixed", "dialect": "postgres"}, {"name": "all", "dialect": "postgres"}, {"name": "idle"}],
                "tokens": [{"id": "a", "token": "s3cret-1", "allowed_apis": ["maps", "sql"], "grants": [
                    {"connection_name": "dw", "source": "acme.public.stores"},
                    {"connection_name": "dw", "source": "acme.tiles.map_*"},
                    {"connection_name": "two", "source": "public.*"},
                    {"connection_name": "mixed", "source": "acme.public.stores"},
                    {"connection_name": "mixed", "source": "hr.pay"},
                    {"connection_name": "all", "source": "*"},
                    {"connection_name": "all", "source": "select 1"}]}]}"#,
        )
        .unwrap();
        for (connection, name, expected) in [
            // Every grant has more segments: the table may be in the database of any of them.
            (0, "public.stores", Some((2, vec![3]))),
            (0, "hr.people", Some((2, vec![3]))),
            (0, "stores", Some((1, vec![3]))),
            // The name has more: some database may be that of the connection.
            (0, "prod.acme.public.stores", Some((4, vec![3]))),
            (1, "prod.public.stores", Some((3, vec![2]))),
            (1, "s.prod.public.stores", Some((4, vec![2]))),
            // No database leads to a granted name.
            (0, "prod.acme.hr.people", None),
            (1, "prod.sales.stores", None),
            (0, "acme.hr.people", None),
            // Grants of both kinds: the name may mean one with a database.
            (2, "public.stores", Some((2, vec![2, 3]))),
            (2, "hr.people", None),
            (2, "acme.hr.pay", Some((3, vec![2, 3]))),
            (2, "pay", Some((1, vec![2, 3]))),
            // All sources have no segments.
            (3, "a.b", None),
            (4, "a.b", None),
        ] {
            let connection = &policy.connections()[connection];
            let parsed = Name::parse(name, connection.dialect()).unwrap();
            let found = other_segments(&policy, connection, &parsed, &Followed::default());
            let found = found.map(|OtherSegments { segments, granted, .. }| (segments, granted));
            assert_eq!(found, expected, "{name} on {}", connection.name());
        }
    }

    #[test]
    fn names_with_missing_segments_get_an_example() {
        for (source, name, expected) in [
            ("acme.public.stores", "hr.pay", Some("acme.hr.pay")),
            ("acme.public.*", "hr.pay", Some("acme.hr.pay")),
            ("acme.public.stores", "pay", Some("acme.public.pay")),
            ("acme.public.stores", "\"Odd.Pay\"", Some("acme.public.\"Odd.Pay\"")),
            ("acme.*.stores", "stores", None),
            ("*.public.stores", "hr.pay", None),
            ("public.stores", "prod.public.stores", None),
        ] {
            let document = serde_json::json!([{"id": "a", "token": "s3cret-1", "allowed_apis": ["maps"], "grants": [
                {"connection_name": "dw", "source": source}]}]);
            let policy = portcullis_document::load::policy(document.to_string()).unwrap();
            let connection = &policy.connections()[0];
            let parsed = Name::parse(name, connection.dialect()).unwrap();
            let found = other_segments(&policy, connection, &parsed, &Followed::default()).unwrap();
            assert_eq!(found.example.as_deref(), expected, "{name} with {source}");
        }
    }

    #[test]
    fn names_that_no_grant_has_get_hints() {
        let policy = portcullis_document::load::policy(
            r#"{"version": 1, "connections": [{"name": "dw", "dialect": "postgres"}, {"name": "idle"}], "tokens": [
                {"id": "a", "token": "s3cret-1", "allowed_apis": ["maps"], "grants": [
                    {"connection_name": "dw", "source": "acme.public.stores"},
                    {"connection_name": "dw", "source": "acme.tiles.map_*"},
                    {"connection_name": "dw", "source": "*.hr.pay"},
                    {"connection_name": "dw", "source": "acme.public.\"Odd.Name\""},
                    {"connection_name": "dw", "source": "open-orders"}]}]}"#,
        )
        .unwrap();
        let connection = &policy.connections()[0];
        let found = |name: &str| {
            let name = Name::parse(name, connection.dialect()).unwrap();
            hints(&policy, connection, &name, &Followed::default())
        };
        let near = |names: &[&str]| Hint::Near(names.iter().map(|&name| name.to_owned()).collect());
        let star = |example: &str| Hint::LiteralStar(Some(example.to_owned()));
        for (name, expected) in [
            // A pattern is taken for a name.
            ("acme.public.*", vec![star("acme.public.a")]),
            ("acme.tiles.map_*_eu", vec![star("acme.tiles.map__eu")]),
            ("\"a*\"", vec![Hint::LiteralStar(None), Hint::OneSegment]),
            // The leading segments are missing, or too many.
            ("stores", vec![Hint::OneSegment, near(&["acme.public.stores"])]),
            ("public.stores", vec![near(&["acme.public.stores"])]),
            ("map_eu", vec![Hint::OneSegment, near(&["acme.tiles.map_eu"])]),
            ("pay", vec![Hint::OneSegment]),
            ("prod.acme.public.stores", vec![near(&["acme.public.stores"])]),
            // A segment is misspelt, or has other letter case.
            ("acme.public.storse", vec![near(&["acme.public.stores"])]),
            ("acme.pubilc.stores", vec![near(&["acme.public.stores"])]),
            ("acme.pubilc.storse", vec![near(&["acme.public.stores"])]),
            ("acme.tile.map_eu", vec![near(&["acme.tiles.map_eu"])]),
            ("acme.public.\"Stores\"", vec![near(&["acme.public.stores"])]),
            ("acme.public.\"Odd.Nam\"", vec![near(&["acme.public.\"Odd.Name\""])]),
            ("acme.public.regions", vec![]),
            ("other.place.entirely", vec![]),
        ] {
            assert_eq!(found(name), expected, "{name}");
        }
        let (idle, name) = (&policy.connections()[1], Name::parse("a.b", connection.dialect()).unwrap());
        assert_eq!(hints(&policy, idle, &name, &Followed::default()), [Hint::NoGrants]);
    }
}
