//! The person who has signed in.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A person, as the provider describes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The issuer: the provider.
    pub issuer: String,
    /// The subject: the person's identifier at the provider, which never changes.
    pub subject: String,
    /// The e-mail address, only if the provider has verified it.
    pub email: Option<String>,
    /// The claims without a field here.
    pub(crate) claims: Map<String, Value>,
}

impl Person {
    /// Returns the texts of a claim: of a list, or one text. A name that starts with `/` is a JSON Pointer, such as
    /// `/realm_access/roles`.
    pub fn texts(&self, claim: &str) -> BTreeSet<&str> {
        match find(&self.claims, claim) {
            Some(Value::String(text)) => BTreeSet::from([text.as_str()]),
            Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Whether the provider has sent the claim.
    pub(crate) fn has(&self, claim: &str) -> bool {
        find(&self.claims, claim).is_some()
    }
}

fn find<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    let Some(path) = name.strip_prefix('/') else { return claims.get(name) };
    let mut steps = path.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
    let first = claims.get(&steps.next()?)?;
    steps.try_fold(first, |value, step| value.as_object()?.get(&step))
}

#[cfg(test)]
mod tests {
    use super::Person;

    #[test]
    fn texts_of_a_claim_are_found_by_name_and_by_pointer() {
        let claims = r#"{"groups": ["a", "b", 1, null], "role": "admin", "https://example.com/groups": ["c"],
            "realm_access": {"roles": ["d"]}, "a/b": {"~": ["e"]}, "number": 1, "object": {}}"#;
        let person = Person {
            issuer: String::new(),
            subject: String::new(),
            email: None,
            claims: serde_json::from_str(claims).unwrap(),
        };
        for (claim, want) in [
            ("groups", &["a", "b"][..]),
            ("role", &["admin"]),
            ("https://example.com/groups", &["c"]),
            ("/realm_access/roles", &["d"]),
            ("/groups", &["a", "b"]),
            ("/a~1b/~0", &["e"]),
            ("number", &[]),
            ("object", &[]),
            ("missing", &[]),
            ("/realm_access/missing", &[]),
            ("/role/0", &[]),
            ("/", &[]),
            ("", &[]),
        ] {
            assert_eq!(person.texts(claim).into_iter().collect::<Vec<_>>(), want, "{claim}");
        }
    }
}
