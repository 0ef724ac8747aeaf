//! Users of the workspace, their roles, and how they sign in.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use super::error::{Result, invalid, refused};
use super::look_alikes::look_alike;
use super::page::TrailQuery;
use super::record::{Client, ClientKind, Role, TicketKind, User};
use super::storage::{Records, TicketFilter};
use super::words::quoted;
use super::{Actor, Change, Registry, Subject, check_text};

/// An edit of a user. `None` changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserEdit {
    /// The new role.
    pub role: Option<Role>,
    /// Whether the user may neither sign in nor call.
    pub is_disabled: Option<bool>,
    /// Whether the user may sign in whatever the rules of the workspace.
    pub is_invited: Option<bool>,
    /// The new e-mail address of the invitation; `Some(None)` removes it.
    pub email: Option<Option<String>>,
    /// Whether the next person with the e-mail address of the invitation becomes this user.
    pub forgets_sign_in: bool,
}

/// A person whom an OpenID provider has signed in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SignedIn {
    /// The provider.
    pub issuer: String,
    /// The identifier of the person at the provider, which never changes.
    pub subject: String,
    /// The e-mail address, only if the provider has verified it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

impl fmt::Display for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(email) = &self.email {
            write!(f, "{email}, ")?;
        }
        write!(f, "subject {} of {}", self.subject, self.issuer)
    }
}

/// A request to sign a person in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The person.
    pub person: SignedIn,
    /// Whether the rules of the workspace admit the person without an invitation.
    pub is_welcome: bool,
    /// The role that the provider assigns, if it assigns roles.
    pub role: Option<Role>,
}

impl Registry {
    /// Returns the users with a record, by name. Every other user is a developer.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn users(&mut self) -> Result<Vec<User>> {
        self.storage.read()?.users()
    }

    /// Returns the users with a record, and those without one who own a token or a client, by name.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn users_and_owners(&mut self) -> Result<Vec<User>> {
        let mut records = self.storage.read()?;
        let mut users = records.users()?;
        let known: HashSet<String> = users.iter().map(|user| user.name.clone()).collect();
        let unrecorded = records.owners()?.into_iter().filter(|owner| !known.contains(owner));
        users.extend(unrecorded.map(User::unrecorded));
        users.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(users)
    }

    /// Returns the record of the user `name`, if any.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn user(&mut self, name: &str) -> Result<Option<User>> {
        self.storage.read()?.user(name)
    }

    /// Returns the role of the user `name`.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn role(&mut self, name: &str) -> Result<Role> {
        Ok(self.user(name)?.map(|user| user.role).unwrap_or_default())
    }

    /// Sets the role of the user `name`. The last administrator keeps the role.
    ///
    /// # Errors
    ///
    /// If the name is invalid, or nobody would be an administrator.
    pub fn set_role(&mut self, actor: &Actor, name: &str, role: Role) -> Result<User> {
        self.changed(actor, |change| change.set_role(name, role))
    }

    /// Adds a user, whom nobody can sign in as before the provider names the e-mail address, or the name if it is one.
    ///
    /// # Errors
    ///
    /// If the name or the address is invalid, or one of them is taken.
    pub fn invite_user(&mut self, actor: &Actor, name: &str, role: Role, email: Option<&str>) -> Result<User> {
        self.changed(actor, |change| {
            if change.records.user(name)?.is_some() {
                let message = format!("the user {} exists already", quoted(name));
                return Err(refused(message, "change this user, or choose another name").because("name_taken"));
            }
            let email = email.map(|email| Some(email.to_owned()));
            change.edit_user(name, &UserEdit { role: Some(role), email, ..UserEdit::default() })
        })
    }

    /// Edits the user `name`, who gets a record if there is none. A disabled user loses sessions and access tokens at once.
    ///
    /// # Errors
    ///
    /// If the name or the address is invalid, or nobody would be an administrator.
    pub fn edit_user(&mut self, actor: &Actor, name: &str, edit: &UserEdit) -> Result<User> {
        self.changed(actor, |change| change.edit_user(name, edit))
    }

    /// Removes the record of the user `name`, whose sessions and access tokens end at once. Tokens stay.
    ///
    /// # Errors
    ///
    /// If there is no record, the user has clients, or nobody would be an administrator.
    pub fn remove_user(&mut self, actor: &Actor, name: &str) -> Result<()> {
        self.changed(actor, |change| {
            let Some(before) = change.records.user(name)? else {
                let message = format!("there is no user {}", quoted(name));
                return Err(refused(message, "list the users").because("not_found"));
            };
            change.check_last_administrator(&before, None)?;
            change.check_no_clients(name)?;
            change.end_sign_ins(name)?;
            change.records.remove_user(name)?;
            change.note("delete", &subject(name), Some(&before), None)
        })
    }

    /// Disables the users who have clients although their record was removed, as earlier versions allowed: without a record,
    /// nothing stops the clients. Returns their names. The actor is an administrator.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn disable_removed_owners(&mut self, actor: &Actor) -> Result<Vec<String>> {
        let mut removed = BTreeSet::new();
        {
            let mut records = self.storage.read()?;
            for kind in [ClientKind::M2m, ClientKind::Spa] {
                for Client { owner, .. } in records.clients(kind)? {
                    if !removed.contains(&owner)
                        && records.user(&owner)?.is_none()
                        && was_removed(&mut *records, &owner)?
                    {
                        removed.insert(owner);
                    }
                }
            }
        }
        if removed.is_empty() {
            return Ok(Vec::new());
        }
        self.changed(actor, |change| {
            let disabled = UserEdit { is_disabled: Some(true), is_invited: Some(false), ..UserEdit::default() };
            for name in &removed {
                // Another process may have added the user meanwhile.
                if change.records.user(name)?.is_none() {
                    change.edit_user(name, &disabled)?;
                }
            }
            Ok(removed.into_iter().collect())
        })
    }

    /// Returns the user whom a person is signed in as. The first sign-in of an invited user binds the user to the person; a
    /// person whom the rules admit gets a user. A person who is not admitted any more loses sessions and access tokens at once.
    ///
    /// # Errors
    ///
    /// If the person may not sign in, or the user is disabled.
    pub fn admit(&mut self, actor: &Actor, admission: &Admission) -> Result<User> {
        let admitted = self.changed(actor, |change| change.admit(admission));
        if admitted.as_ref().is_err_and(|error| error.reason() == NOT_INVITED) {
            self.changed(actor, |change| change.end_sign_ins_of(&admission.person))?;
        }
        admitted
    }
}

impl Change<'_> {
    /// Sets the role of the user `name`: see [`Registry::set_role`].
    ///
    /// # Errors
    ///
    /// If the name is invalid, or nobody would be an administrator.
    pub fn set_role(&mut self, name: &str, role: Role) -> Result<User> {
        self.edit_user(name, &UserEdit { role: Some(role), ..UserEdit::default() })
    }

    fn edit_user(&mut self, name: &str, edit: &UserEdit) -> Result<User> {
        check_text("user", name)?;
        let before = self.records.user(name)?;
        if before.is_none() {
            self.check_looks(name)?;
        }
        let mut after = before.clone().unwrap_or_else(|| User::new(name, Role::default()));
        after.role = edit.role.unwrap_or(after.role);
        after.is_disabled = edit.is_disabled.unwrap_or(after.is_disabled);
        after.is_invited = edit.is_invited.unwrap_or(after.is_invited);
        if let Some(email) = &edit.email {
            after.email = email.as_deref().map(|email| self.checked_address(name, email)).transpose()?;
        }
        if edit.forgets_sign_in {
            (after.issuer, after.subject) = (None, None);
        }
        if before.as_ref() == Some(&after) {
            return Ok(after);
        }
        if let Some(before) = &before {
            self.check_last_administrator(before, Some(&after))?;
        }
        if after.is_disabled || edit.forgets_sign_in {
            self.end_sign_ins(name)?;
        }
        self.records.put_user(&after)?;
        let as_before = before.clone().unwrap_or_else(|| User::new(name, Role::default()));
        let action = if (User { role: as_before.role, ..after.clone() }) == as_before { "set role" } else { "update" };
        self.note(action, &subject(name), before.as_ref(), Some(&after))?;
        Ok(after)
    }

    fn admit(&mut self, Admission { person, is_welcome, role }: &Admission) -> Result<User> {
        let users = self.records.users()?;
        let found = users
            .iter()
            .find(|user| is_bound(user, person))
            .or_else(|| person.email.as_deref().and_then(|it| invited(&users, it)));
        let after = match found {
            Some(user) if user.is_disabled => return Err(disabled(&user.name)),
            Some(user) if !user.is_invited && !is_welcome => return Err(not_admitted(person)),
            Some(user) => User {
                role: match role {
                    // The provider does not take the last administrator away.
                    Some(role) if !is_last_administrator(&users, user) => *role,
                    _ => user.role,
                },
                email: person.email.clone().or_else(|| user.email.clone()),
                issuer: Some(person.issuer.clone()),
                subject: Some(person.subject.clone()),
                ..user.clone()
            },
            None if !is_welcome => return Err(not_admitted(person)),
            None => {
                // A subject may be any text: with the prefix, it is never the name of a user of the command line.
                let email = person.email.as_ref().map(|email| email.to_ascii_lowercase());
                let name = email.unwrap_or_else(|| format!("oidc:{}", person.subject));
                check_text("user", &name)?;
                if users.iter().any(|user| user.name == name) {
                    let message = format!("the user {} is of another account of the OpenID provider", quoted(&name));
                    let help = "ask an administrator to forget the earlier sign-in, if the accounts are of one person";
                    return Err(refused(message, help).because("user_of_another_account"));
                }
                self.check_looks(&name)?;
                User {
                    is_invited: false,
                    email: person.email.clone(),
                    issuer: Some(person.issuer.clone()),
                    subject: Some(person.subject.clone()),
                    ..User::new(name, role.unwrap_or_default())
                }
            }
        };
        if found == Some(&after) {
            return Ok(after);
        }
        self.records.put_user(&after)?;
        let action = if found.is_some() { "update" } else { "create" };
        self.note(action, &subject(&after.name), found, Some(&after))?;
        Ok(after)
    }

    /// Checks that the user may call.
    pub(super) fn check_enabled(&mut self, name: &str) -> Result<()> {
        match self.records.user(name)? {
            Some(user) if user.is_disabled => Err(disabled(name)),
            _ => Ok(()),
        }
    }

    /// Checks that people do not take the name of a new user for that of another user. The names of owners are in use already:
    /// such a user gets a record, whatever the name is.
    fn check_looks(&mut self, name: &str) -> Result<()> {
        let owners = self.records.owners()?;
        if owners.iter().any(|owner| owner == name) {
            return Ok(());
        }
        let users = self.records.users()?;
        let mut known = users.iter().map(|user| &user.name).chain(&owners);
        match known.find(|known| *known != name && look_alike(known, name)) {
            None => Ok(()),
            Some(known) => {
                let message = format!("the user {} looks like the user {}", quoted(name), quoted(known));
                let help =
                    "choose a name that people do not confuse; an invitation may have the e-mail address beside it";
                Err(refused(message, help).because("user_looks_alike"))
            }
        }
    }

    /// Checks that no client acts for the user: without a record, nothing would say that it may not.
    fn check_no_clients(&mut self, name: &str) -> Result<()> {
        for kind in [ClientKind::M2m, ClientKind::Spa] {
            if let Some(client) = self.records.clients(kind)?.iter().find(|client| client.owner == name) {
                let message = format!("the user {} has the client {}", quoted(name), quoted(&client.id));
                let help = "disable the user instead, or delete the clients of the user first";
                return Err(refused(message, help).because("user_has_clients"));
            }
        }
        Ok(())
    }

    /// Checks that somebody remains an administrator who may sign in.
    fn check_last_administrator(&mut self, before: &User, after: Option<&User>) -> Result<()> {
        if after.is_some_and(is_able) || !is_last_administrator(&self.records.users()?, before) {
            return Ok(());
        }
        let message = format!("{} is the only administrator", quoted(&before.name));
        Err(refused(message, "make another user an administrator first").because("last_administrator"))
    }

    /// Ends the sessions of the user whom a person has signed in as, if any.
    fn end_sign_ins_of(&mut self, person: &SignedIn) -> Result<()> {
        let users = self.records.users()?;
        users.iter().filter(|user| is_bound(user, person)).try_for_each(|user| self.end_sign_ins(&user.name))
    }

    /// Ends the sessions of the user, and revokes what OAuth has issued for the user.
    fn end_sign_ins(&mut self, name: &str) -> Result<()> {
        const KINDS: [TicketKind; 5] = [
            TicketKind::Session,
            TicketKind::LoginLink,
            TicketKind::Code,
            TicketKind::RefreshToken,
            TicketKind::AccessToken,
        ];
        for kind in KINDS {
            for ticket in self.records.tickets(TicketFilter::User(kind, name))? {
                self.revoke("revoke", &ticket)?;
            }
        }
        Ok(())
    }

    /// Returns the e-mail address of an invitation, which no other user has.
    fn checked_address(&mut self, name: &str, email: &str) -> Result<String> {
        check_text("e-mail address", email)?;
        if !email.split_once('@').is_some_and(|(user, domain)| !user.is_empty() && is_domain(domain)) {
            let message = format!("{} is not an e-mail address", quoted(email));
            return Err(invalid(message, "write an address such as `ana@example.com`").because("invalid_email"));
        }
        let users = self.records.users()?;
        let is_taken = |user: &&User| user.name != name && has_address(user, email);
        match users.iter().find(is_taken) {
            None => Ok(email.to_owned()),
            Some(user) => {
                let message = format!("the user {} has the e-mail address {}", quoted(&user.name), quoted(email));
                Err(refused(message, "choose another address, or change that user").because("email_taken"))
            }
        }
    }
}

/// The kind of users in the trail.
const KIND: &str = "user";

fn subject(name: &str) -> Subject<'_> {
    Subject { kind: KIND, id: name, owner: None }
}

/// Whether the user may call. A user without a record may.
pub(super) fn is_enabled(records: &mut dyn Records, name: &str) -> Result<bool> {
    Ok(records.user(name)?.is_none_or(|user| !user.is_disabled))
}

/// Whether the last change of the user's record in the trail removed it.
fn was_removed(records: &mut dyn Records, name: &str) -> Result<bool> {
    /// Entries of other records with this id, such as a named source, may come before.
    const MAX: usize = 100;
    let mut before = None;
    loop {
        let page = records.trail_page(&TrailQuery { reader: None, id: Some(name), before, limit: MAX })?;
        if let Some(entry) = page.iter().find(|entry| entry.kind == KIND) {
            return Ok(entry.action == "delete");
        }
        match page.last() {
            Some(entry) if page.len() == MAX => before = Some(entry.number),
            _ => return Ok(false),
        }
    }
}

/// Whether the person has signed in as the user.
fn is_bound(user: &User, person: &SignedIn) -> bool {
    user.issuer.as_deref() == Some(&*person.issuer) && user.subject.as_deref() == Some(&*person.subject)
}

/// Whether the user is an administrator who may sign in.
fn is_able(user: &User) -> bool {
    user.role == Role::Administrator && !user.is_disabled
}

fn is_last_administrator(users: &[User], user: &User) -> bool {
    is_able(user) && !users.iter().any(|other| other.name != user.name && is_able(other))
}

fn is_domain(text: &str) -> bool {
    !text.is_empty() && !text.contains(['@', ' '])
}

/// Whether the user is invited by this e-mail address. Without an address, a name that is one counts.
fn has_address(user: &User, email: &str) -> bool {
    user.email.as_deref().unwrap_or(&user.name).eq_ignore_ascii_case(email)
}

/// Returns the user who is invited by this e-mail address, and who has not signed in yet.
fn invited<'u>(users: &'u [User], email: &str) -> Option<&'u User> {
    let mut found = users.iter().filter(|user| user.subject.is_none() && has_address(user, email));
    // An address that is the name of one user and the address of another is of neither.
    found.next().filter(|_| found.next().is_none())
}

fn disabled(name: &str) -> super::RegistryError {
    refused(format!("the user {} is disabled", quoted(name)), "ask an administrator to enable the user")
        .because("user_disabled")
}

/// The reason of a person whom neither an invitation nor a rule admits.
const NOT_INVITED: &str = "not_invited";

fn not_admitted(person: &SignedIn) -> super::RegistryError {
    let who = person.email.as_deref().unwrap_or(&person.subject);
    let help = "ask an administrator for an invitation of a verified e-mail address";
    refused(format!("{} may not use this workspace", quoted(who)), help).because(NOT_INVITED)
}
