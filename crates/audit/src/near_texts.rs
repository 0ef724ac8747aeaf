//! Explains why no grant covers a query or a named source, and which granted one is near.

use portcullis::base::nearest;
use portcullis::model::{Connection, Grant, GrantKind, GrantSource, Policy, Token};
use portcullis::name::Name;
use portcullis::query::{NamedSource, NormalForm};

use crate::near_names::{Differs, Hint};
use crate::reads::NamedSources;

/// Returns the reasons why no grant of `connection` is of the query `text`.
pub fn query_hints(policy: &Policy, connection: &Connection, text: &str) -> Vec<Hint> {
    let Some(granted) = granted(policy, connection) else { return vec![Hint::NoGrants] };
    let mut hints = as_other_kind(&granted, connection, text, GrantKind::Query);
    let Ok(normal) = NormalForm::of(text, policy.limits().query_bytes) else { return hints };
    let wanted: String = normal.collect();
    let queries = granted.iter().filter_map(|source| match source {
        GrantSource::Query(query) => Some(query.as_str()),
        _ => None,
    });
    if queries.clone().next().is_none() {
        hints.extend(hints.is_empty().then_some(Hint::NoneOfKind(GrantKind::Query)));
        return hints;
    }
    let differing = queries.clone().filter_map(|known| Some((differs(&wanted, known)?, known)));
    if let Some((differs, known)) = differing.min_by_key(|(differs, _)| *differs) {
        hints.push(Hint::NearQuery { granted: known.to_owned(), differs });
    } else if let Some(near) = nearest(&wanted, queries) {
        hints.push(Hint::NearQuery { granted: near.to_owned(), differs: Differs::Text });
    }
    hints
}

/// Returns the reasons why no grant of `connection` is of the named source `name`. `known` are the named sources that
/// exist.
pub fn named_source_hints(policy: &Policy, connection: &Connection, name: &str, known: &NamedSources) -> Vec<Hint> {
    let Some(granted) = granted(policy, connection) else { return vec![Hint::NoGrants] };
    let mut hints = as_other_kind(&granted, connection, name, GrantKind::NamedSource);
    let names = granted.iter().filter_map(|source| match source {
        GrantSource::NamedSource(known) => Some(known.as_str()),
        _ => None,
    });
    let definitions = known.definitions();
    let is_here = |on: Option<&str>| on.is_none_or(|on| on == connection.name());
    let defined = definitions.iter().filter(|(known, _)| *known == name);
    if defined.clone().any(|(_, on)| is_here(*on)) {
        hints.push(Hint::Ungranted);
    } else if let Some(elsewhere) = defined.clone().find_map(|(_, on)| *on) {
        hints.push(Hint::OnOtherConnection(elsewhere.to_owned()));
    }
    let others = definitions.iter().filter(|(_, on)| is_here(*on)).map(|(name, _)| *name);
    match nearest(name, names.clone().chain(others).filter(|known| *known != name)) {
        Some(near) => hints.push(Hint::Near(vec![near.to_owned()])),
        None if hints.is_empty() && names.clone().next().is_none() => {
            hints.push(Hint::NoneOfKind(GrantKind::NamedSource));
        }
        None => {}
    }
    hints
}

/// Returns a hint if grants of `connection` cover `text` as a query or a named source, not as a resource.
pub fn resource_as_other_kind(policy: &Policy, connection: &Connection, text: &str) -> Vec<Hint> {
    let granted = granted(policy, connection).unwrap_or_default();
    as_other_kind(&granted, connection, text, GrantKind::Resource)
}

/// Compares two normal forms. Returns `None` if they differ in other characters, or not at all.
fn differs(wanted: &str, known: &str) -> Option<Differs> {
    if wanted == known {
        return None;
    }
    if wanted.eq_ignore_ascii_case(known) {
        return Some(Differs::LetterCase);
    }
    let solid = |text: &str| text.chars().filter(|character| !character.is_whitespace()).collect::<String>();
    let (wanted, known) = (solid(wanted), solid(known));
    if wanted == known {
        Some(Differs::WhiteSpace)
    } else if wanted.eq_ignore_ascii_case(&known) {
        Some(Differs::WhiteSpaceAndLetterCase)
    } else {
        None
    }
}

/// The granted sources on `connection`; `None` if there are none.
fn granted<'p>(policy: &'p Policy, connection: &Connection) -> Option<Vec<&'p GrantSource>> {
    let grants = policy.tokens().iter().flat_map(Token::grants);
    let here = grants.filter(|grant| policy.connection(grant.connection()) == Some(connection));
    let sources: Vec<_> = here.map(Grant::source).collect();
    (!sources.is_empty()).then_some(sources)
}

/// Returns a hint if one of `granted` covers `text` as another kind of source than `kind`.
fn as_other_kind(granted: &[&GrantSource], connection: &Connection, text: &str, kind: GrantKind) -> Vec<Hint> {
    let name = Name::parse(text, connection.dialect()).ok();
    let is_name = NamedSource::is_named_source(text);
    let other = granted.iter().find_map(|source| match (source, &name) {
        (GrantSource::Resource(known), Some(name)) if known == name => Some(GrantKind::Resource),
        (GrantSource::Pattern(pattern), Some(name)) if pattern.covers(name) => Some(GrantKind::Resource),
        (GrantSource::NamedSource(known), _) if is_name && known.as_str() == text => Some(GrantKind::NamedSource),
        (GrantSource::Query(known), _) if known.as_str() == text => Some(GrantKind::Query),
        _ => None,
    });
    other.filter(|other| *other != kind).map(Hint::OtherKind).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_no_grant_has_get_hints() {
        let policy = portcullis_document::load::policy(
            r#"{"version": 1, "connections": [{"name": "dw", "dialect": "postgres"}, {"name": "idle"}, {"name": "names"}],
                "tokens": [{"id": "a", "token": "s3cret-1", "allowed_apis": ["maps"], "grants": [
                    {"connection_name": "dw", "source": "acme.public.stores"},
                    {"connection_name": "dw", "source": "SELECT id FROM stores WHERE a = 'X y'"},
                    {"connection_name": "dw", "source": "SELECT 1"},
                    {"connection_name": "names", "source": "a.*"},
                    {"connection_name": "dw", "source": "open-orders"}]}]}"#,
        )
        .unwrap();
        let connection = |name: &str| policy.connections().iter().find(|connection| connection.name() == name).unwrap();
        let near = |granted: &str, differs| vec![Hint::NearQuery { granted: granted.to_owned(), differs }];
        let stores = "SELECT id FROM stores WHERE a = 'X y'";
        for (on, text, expected) in [
            ("dw", "select id from stores where a = 'X y'", near(stores, Differs::LetterCase)),
            ("dw", "SELECT id FROM stores WHERE a='X y'", near(stores, Differs::WhiteSpace)),
            ("dw", "SELECT id FROM stores WHERE a = 'X  y'", near(stores, Differs::WhiteSpace)),
            ("dw", "SELECT\u{a0}1", near("SELECT 1", Differs::WhiteSpace)),
            ("dw", "select id from stores where a='X y'", near(stores, Differs::WhiteSpaceAndLetterCase)),
            ("dw", "SELECT id FROM stores WHERE a = 'X z'", near(stores, Differs::Text)),
            ("dw", "SELECT * FROM elsewhere JOIN another ON TRUE", vec![]),
            ("dw", "acme.public.stores", vec![Hint::OtherKind(GrantKind::Resource)]),
            ("dw", "open-orders", vec![Hint::OtherKind(GrantKind::NamedSource)]),
            ("names", "SELECT 1", vec![Hint::NoneOfKind(GrantKind::Query)]),
            ("names", "a.b", vec![Hint::OtherKind(GrantKind::Resource)]),
            ("idle", "SELECT 1", vec![Hint::NoGrants]),
        ] {
            assert_eq!(query_hints(&policy, connection(on), text), expected, "{text}");
        }
        let mut known = NamedSources::default();
        known.add("weekly".to_owned(), None, "SELECT 1".to_owned());
        known.add("monthly".to_owned(), Some("names".to_owned()), "SELECT 1".to_owned());
        for (on, name, expected) in [
            ("dw", "open-order", vec![Hint::Near(vec!["open-orders".to_owned()])]),
            ("dw", "weekly", vec![Hint::Ungranted]),
            ("dw", "weeekly", vec![Hint::Near(vec!["weekly".to_owned()])]),
            ("dw", "monthly", vec![Hint::OnOtherConnection("names".to_owned())]),
            ("names", "monthly", vec![Hint::Ungranted]),
            ("names", "open-orders", vec![Hint::NoneOfKind(GrantKind::NamedSource)]),
            ("dw", "nothing-alike", vec![]),
            ("idle", "weekly", vec![Hint::NoGrants]),
        ] {
            assert_eq!(named_source_hints(&policy, connection(on), name, &known), expected, "{name} on {on}");
        }
        for (text, expected) in [
            ("open-orders", vec![Hint::OtherKind(GrantKind::NamedSource)]),
            ("acme.public.stores", vec![]),
            ("hr.pay", vec![]),
        ] {
            assert_eq!(resource_as_other_kind(&policy, connection("dw"), text), expected, "{text}");
        }
    }
}
