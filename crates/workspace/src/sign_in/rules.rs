//! Which persons of an OpenID provider may sign in, and with which roles.

use std::collections::BTreeSet;

use portcullis_oidc::Person;
use portcullis_registry::record::Role;

/// Which persons may sign in without an invitation, and which roles the provider assigns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Persons with a verified e-mail address of one of these domains may sign in.
    pub domains: Vec<String>,
    /// Members of one of these groups may sign in.
    pub groups: Vec<String>,
    /// Members of one of these groups may sign in, as administrators.
    pub administrators: Vec<String>,
    /// Members of one of these groups may sign in, as auditors.
    pub auditors: Vec<String>,
    /// The claim with the groups of a person: a name, or a JSON Pointer.
    pub groups_claim: String,
}

impl Rules {
    /// Whether a rule needs the groups of persons.
    pub fn need_groups(&self) -> bool {
        [&self.groups, &self.administrators, &self.auditors].iter().any(|groups| !groups.is_empty())
    }

    /// Whether the person may sign in without an invitation.
    pub(crate) fn is_welcome(&self, person: &Person) -> bool {
        let domain = person.email.as_deref().and_then(|email| email.rsplit_once('@')).map(|(_, domain)| domain);
        let is_of_domain = domain.is_some_and(|domain| self.domains.iter().any(|own| own.eq_ignore_ascii_case(domain)));
        let groups = person.texts(&self.groups_claim);
        is_of_domain || [&self.groups, &self.administrators, &self.auditors].iter().any(|of| is_in(&groups, of))
    }

    /// Returns the role that the provider assigns; `None` if it assigns none, and the registry has the roles.
    pub(crate) fn role(&self, person: &Person) -> Option<Role> {
        if self.administrators.is_empty() && self.auditors.is_empty() {
            return None;
        }
        let groups = person.texts(&self.groups_claim);
        Some(if is_in(&groups, &self.administrators) {
            Role::Administrator
        } else if is_in(&groups, &self.auditors) {
            Role::Auditor
        } else {
            Role::Developer
        })
    }
}

fn is_in(groups: &BTreeSet<&str>, of: &[String]) -> bool {
    of.iter().any(|group| groups.contains(&**group))
}
