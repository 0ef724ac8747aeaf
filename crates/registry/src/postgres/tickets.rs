//! Users and tickets.

use portcullis::base::Timestamp;
use portcullis::model::SecretDigest;

use super::{PostgresRecords, sought};
use crate::columns::{self, TicketRow, UserRow};
use crate::error::Result;
use crate::record::{Ticket, TicketKind, User};
use crate::storage::TicketFilter;

macro_rules! select {
    ($where:literal) => {
        concat!("SELECT kind, sha256, \"user\", client, family, token, expires, body FROM tickets WHERE ", $where)
    };
}

macro_rules! select_users {
    ($rest:literal) => {
        concat!("SELECT name, role, is_disabled, is_invited, email, issuer, subject FROM users ", $rest)
    };
}

impl PostgresRecords<'_> {
    pub(super) fn all_users(&mut self) -> Result<Vec<User>> {
        let rows: Vec<UserRow> = self.all(sqlx::query_as(select_users!("ORDER BY name")))?;
        rows.into_iter().map(columns::user).collect()
    }

    pub(super) fn all_owners(&mut self) -> Result<Vec<String>> {
        let query = sqlx::query_as("SELECT owner FROM tokens UNION SELECT owner FROM clients ORDER BY owner");
        let rows: Vec<(String,)> = self.all(query)?;
        Ok(rows.into_iter().map(|(owner,)| owner).collect())
    }

    pub(super) fn user_named(&mut self, name: &str) -> Result<Option<User>> {
        let query = sqlx::query_as(select_users!("WHERE name = $1")).bind(sought(name));
        self.few::<UserRow>(query)?.into_iter().next().map(columns::user).transpose()
    }

    pub(super) fn write_user(&mut self, user: &User) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO users (name, role, is_disabled, is_invited, email, issuer, subject) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET \
             role = $2, is_disabled = $3, is_invited = $4, email = $5, issuer = $6, subject = $7",
        );
        let query = query.bind(user.name.clone()).bind(user.role.as_str()).bind(user.is_disabled).bind(user.is_invited);
        self.run(query.bind(user.email.clone()).bind(user.issuer.clone()).bind(user.subject.clone()))?;
        self.check_additions_again()
    }

    pub(super) fn delete_user(&mut self, name: &str) -> Result<()> {
        self.run(sqlx::query("DELETE FROM users WHERE name = $1").bind(sought(name)))?;
        self.check_additions_again()
    }

    /// Changes the number of the declarations: a token whose addition has already checked its caller is not added, and checked
    /// again in a transaction.
    pub(super) fn check_additions_again(&mut self) -> Result<()> {
        self.run(sqlx::query("UPDATE registry SET declarations = declarations + 1"))
    }

    pub(super) fn ticket_with(&mut self, kind: TicketKind, digest: &SecretDigest) -> Result<Option<Ticket>> {
        let query = sqlx::query_as(select!("kind = $1 AND sha256 = $2"));
        let rows: Vec<TicketRow> = self.few(query.bind(kind.as_str()).bind(digest.as_bytes().to_vec()))?;
        rows.into_iter().next().map(columns::ticket).transpose()
    }

    pub(super) fn tickets_in(&mut self, which: TicketFilter<'_>) -> Result<Vec<Ticket>> {
        let query = match which {
            TicketFilter::Client(id) => sqlx::query_as(select!("client = $1 ORDER BY sha256")).bind(sought(id)),
            TicketFilter::Family(id) => sqlx::query_as(select!("family = $1 ORDER BY sha256")).bind(sought(id)),
            TicketFilter::Token(id) => sqlx::query_as(select!("token = $1")).bind(sought(id)),
            TicketFilter::User(kind, user) => {
                let query = sqlx::query_as(select!("kind = $1 AND \"user\" = $2 ORDER BY sha256"));
                query.bind(kind.as_str()).bind(sought(user))
            }
            TicketFilter::ExpiredWithToken(until, max) => {
                let query = sqlx::query_as(select!("token IS NOT NULL AND expires <= $1 ORDER BY expires LIMIT $2"));
                query.bind(until.seconds()).bind(i64::try_from(max).unwrap_or(i64::MAX))
            }
        };
        self.all::<TicketRow>(query)?.into_iter().map(columns::ticket).collect()
    }

    pub(super) fn write_ticket(&mut self, ticket: &Ticket) -> Result<()> {
        let query = sqlx::query(
            "INSERT INTO tickets (kind, sha256, \"user\", client, family, token, expires, body) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (kind, sha256) DO UPDATE SET \
             \"user\" = $3, client = $4, family = $5, token = $6, expires = $7, body = $8",
        );
        let query = query.bind(ticket.kind.as_str()).bind(ticket.digest.as_bytes().to_vec()).bind(ticket.user.clone());
        let query = query.bind(ticket.client.clone()).bind(ticket.family.clone()).bind(ticket.token.clone());
        self.run(query.bind(ticket.expires.seconds()).bind(ticket.body.clone()))
    }

    pub(super) fn delete_ticket(&mut self, kind: TicketKind, digest: &SecretDigest) -> Result<()> {
        let query = sqlx::query("DELETE FROM tickets WHERE kind = $1 AND sha256 = $2");
        self.run(query.bind(kind.as_str()).bind(digest.as_bytes().to_vec()))?;
        match kind {
            TicketKind::Session | TicketKind::AccessToken => self.check_additions_again(),
            _ => Ok(()),
        }
    }

    pub(super) fn delete_tickets_expired_until(&mut self, until: Timestamp) -> Result<()> {
        self.run(sqlx::query("DELETE FROM tickets WHERE expires <= $1 AND token IS NULL").bind(until.seconds()))
    }
}
