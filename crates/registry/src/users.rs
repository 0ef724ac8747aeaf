//! Users of the workspace and their roles.

use super::error::{Result, refused};
use super::record::{Role, User};
use super::words::quoted;
use super::{Actor, Change, Registry, Subject, check_text};

impl Registry {
    /// Returns the users with a role that was set, by name. Every other user is a developer.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn users(&mut self) -> Result<Vec<User>> {
        self.storage.read()?.users()
    }

    /// Returns the role of the user `name`.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn role(&mut self, name: &str) -> Result<Role> {
        Ok(self.storage.read()?.user(name)?.map(|user| user.role).unwrap_or_default())
    }

    /// Sets the role of the user `name`. The last administrator keeps the role.
    ///
    /// # Errors
    ///
    /// If the name is invalid, or nobody would be an administrator.
    pub fn set_role(&mut self, actor: &Actor, name: &str, role: Role) -> Result<User> {
        self.changed(actor, |change| change.set_role(name, role))
    }
}

impl Change<'_> {
    /// Sets the role of the user `name`: see [`Registry::set_role`].
    ///
    /// # Errors
    ///
    /// If the name is invalid, or nobody would be an administrator.
    pub fn set_role(&mut self, name: &str, role: Role) -> Result<User> {
        check_text("user", name)?;
        let before = self.records.user(name)?;
        let user = User { name: name.to_owned(), role };
        if before.as_ref() == Some(&user) {
            return Ok(user);
        }
        let is_other = |other: &User| other.name != name && other.role == Role::Administrator;
        let was_administrator = before.as_ref().is_some_and(|before| before.role == Role::Administrator);
        if was_administrator && !self.records.users()?.iter().any(is_other) {
            let message = format!("{} is the only administrator", quoted(name));
            return Err(refused(message, "make another user an administrator first").because("last_administrator"));
        }
        self.records.put_user(&user)?;
        self.note("set role", &Subject { kind: "user", id: name, owner: None }, before.as_ref(), Some(&user))?;
        Ok(user)
    }
}
