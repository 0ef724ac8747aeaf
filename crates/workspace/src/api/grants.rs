//! Grants in bodies.

use portcullis::model::GrantKind;
use portcullis_document::load::Diagnostic;
use portcullis_registry::record::Token;
use portcullis_registry::{Advice, RegistryError, TypedGrant};

use crate::json::Object;
use crate::problem::{Detail, Problem, pointer};

/// The maximum number of grants of a token that the workspace accepts, in bodies of the API and in forms of the console.
const MAX_GRANTS: usize = 1_000;

/// The code of the problem with too many grants.
const TOO_MANY: &str = "too_many_grants";

const USE_PATTERNS: &str = "grant a pattern such as `carto.shared.*` instead of many names";

/// Checks that a token whose grants were written has no more of them than the workspace accepts.
pub(crate) fn within_limit(token: &Token) -> Result<(), RegistryError> {
    if token.grants.len() <= MAX_GRANTS {
        return Ok(());
    }
    let message = format!("the token would have {} grants, more than {MAX_GRANTS}", token.grants.len());
    Err(RegistryError::Invalid(Advice { reason: TOO_MANY, ..Advice::new(message, USE_PATTERNS) }))
}

/// Reads the grants of the field `name`.
pub(super) fn grants(body: &Object, name: &str, problems: &mut Vec<Detail>) -> Option<Vec<TypedGrant>> {
    let grants = body.objects(name)?;
    if grants.len() > MAX_GRANTS {
        let message = format!("`{name}` has {} grants, more than {MAX_GRANTS}", grants.len());
        problems.push(Detail::new(format!("/{name}"), TOO_MANY, message, USE_PATTERNS));
        return None;
    }
    let read = (0..).zip(&grants).filter_map(|(index, grant)| {
        let read = read(grant, &format!("/{name}/{index}"));
        read.map_err(|problem| problems.push(problem)).ok()
    });
    Some(read.collect())
}

fn read(grant: &Object, pointer: &str) -> Result<TypedGrant, Detail> {
    let connection = grant.text("connection_name").unwrap_or_default().to_owned();
    let kind = grant.text("type").map(ToOwned::to_owned);
    match (grant.text("source"), grant.text("resource")) {
        (Some(source), None) => Ok(TypedGrant { connection, source: source.to_owned(), kind }),
        (None, Some(resource)) if kind.is_none() => {
            Ok(TypedGrant { connection, source: resource.to_owned(), kind: Some(resource_kind(resource).to_owned()) })
        }
        (None, Some(_)) => {
            let message = "`type` is given with `resource`";
            Err(Detail::new(pointer, "resource_with_type", message, "write the name in `source`, or leave `type` out"))
        }
        (Some(_), Some(_)) => {
            let message = "the grant has both `source` and `resource`";
            Err(Detail::new(pointer, "two_sources", message, "write one of them, or two grants"))
        }
        // A grant of all sources may leave its source out.
        (None, None) if kind.as_deref() == Some(GrantKind::All.as_str()) => {
            Ok(TypedGrant { connection, source: "*".to_owned(), kind })
        }
        (None, None) => {
            let message = "the grant has neither `source` nor `resource`";
            Err(Detail::new(pointer, "missing_field", message, "add `source`: a name, SQL, a named source, or `*`"))
        }
    }
}

/// Returns the kind of a `resource`, which takes wildcards: a star outside quotes makes a pattern.
pub(crate) fn resource_kind(text: &str) -> &'static str {
    let mut quote = None;
    for character in text.chars() {
        match quote {
            None if character == '*' => return GrantKind::Pattern.as_str(),
            None if matches!(character, '`' | '"' | '[') => {
                quote = Some(if character == '[' { ']' } else { character });
            }
            Some(end) if character == end => quote = None,
            _ => {}
        }
    }
    GrantKind::Resource.as_str()
}

/// Returns warnings of the registry as details of a body.
pub(super) fn warnings(diagnostics: &[Diagnostic]) -> Vec<Detail> {
    let warning = |it: &Diagnostic| Detail::new(pointer(&it.path), it.code, &*it.message, &*it.help);
    diagnostics.iter().map(warning).collect()
}

/// Returns the problems that were collected, if any.
pub(super) fn no_problem(problems: Vec<Detail>) -> Result<(), Problem> {
    Problem::of_details(problems).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::resource_kind;

    #[test]
    fn a_star_outside_quotes_makes_a_pattern() {
        for (text, want) in [
            ("a.b.c", "resource"),
            ("a.b.*", "pattern"),
            ("a.b.c_*_d", "pattern"),
            ("a.`b*`.c", "resource"),
            ("a.\"b*\".c*", "pattern"),
            ("[a*].b", "resource"),
        ] {
            assert_eq!(resource_kind(text), want, "{text}");
        }
    }
}
