//! The policy document as the peers read it.

use serde::Deserialize;

use portcullis::base::Timestamp;

#[derive(Deserialize)]
pub struct Document<'d> {
    #[serde(borrow)]
    pub tokens: Vec<Token<'d>>,
}

#[derive(Deserialize)]
pub struct Token<'d> {
    #[serde(rename = "token")]
    pub secret: &'d str,
    pub allowed_apis: Vec<&'d str>,
    #[serde(default, borrow)]
    pub referers: Vec<&'d str>,
    pub expiration_date: Option<&'d str>,
    pub grants: Vec<Grant<'d>>,
}

#[derive(Deserialize)]
pub struct Grant<'d> {
    #[serde(rename = "connection_name")]
    pub connection: &'d str,
    pub source: &'d str,
}

impl<'d> Document<'d> {
    pub fn read(text: &'d str) -> Self {
        serde_json::from_str(text).expect("the workload writes JSON without escapes")
    }

    pub fn grants(&self) -> usize {
        self.tokens.iter().map(|token| token.grants.len()).sum()
    }
}

impl Token<'_> {
    /// Returns the expiry in seconds. A date means midnight UTC.
    pub fn expiry(&self) -> Option<i64> {
        let date = self.expiration_date?;
        let instant: Timestamp = date.parse().expect("the workload writes instants and dates");
        Some(instant.seconds())
    }

    /// Returns each connection of the token once, with the sources that it may read there.
    pub fn by_connection(&self) -> Vec<(&str, Vec<&str>)> {
        let mut connections: Vec<(&str, Vec<&str>)> = Vec::new();
        for grant in &self.grants {
            match connections.iter_mut().find(|(name, _)| *name == grant.connection) {
                Some((_, sources)) => sources.push(grant.source),
                None => connections.push((grant.connection, vec![grant.source])),
            }
        }
        connections
    }
}
