//! Tokens of a policy whose secrets a scan cannot find: a scan knows a secret by its prefix and check digits only.

use std::io::{self, Write};

use portcullis_document::definition::{Element, Token, Tokens, read};
use portcullis_document::load::Input;
use portcullis_scan::Prefixes;
use serde::Serialize;

use crate::output::{Color, Painted, counted};
use portcullis::base::quoted;

/// Max tokens that are named in text.
const NAMED: usize = 3;

/// The tokens whose secrets are not searched for, or may not be.
#[derive(Debug, Default, Serialize)]
pub(super) struct Foreign {
    /// The ids of the tokens whose secrets have another form.
    pub(super) other_form: Vec<String>,
    /// The number of tokens of which the policy has only the digest: the form of their secrets is unknown.
    pub(super) digest_only: u64,
}

impl Foreign {
    /// Finds the tokens of documents without errors.
    pub(super) fn of(inputs: &[Input], prefixes: &Prefixes) -> Self {
        let mut foreign = Self::default();
        for input in inputs {
            let Ok(document) = read(input.text()) else { continue };
            let tokens = document.tokens.found().into_iter().flat_map(Tokens::iter);
            for token in tokens {
                if let Element::Found(token) = token {
                    foreign.add(&token, prefixes);
                }
            }
        }
        foreign
    }

    fn add(&mut self, token: &Token<'_>, prefixes: &Prefixes) {
        match (token.token.found(), token.id.found()) {
            (Some(secret), _) if prefixes.has_form(secret.expose()) => {}
            (Some(_), Some(id)) => self.other_form.push(id.to_string()),
            _ => self.digest_only += 1,
        }
    }

    /// Returns a sentence for each group of tokens that is not empty.
    pub(super) fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if !self.other_form.is_empty() {
            let count = self.other_form.len();
            let named: Vec<_> = self.other_form.iter().take(NAMED).map(|id| quoted(id)).collect();
            let more = if count > NAMED { ", …" } else { "" };
            let of = if count == 1 { "it has" } else { "they have" };
            notices.push(format!(
                "the secret of {} cannot be found, since {of} another form: {}{more}",
                counted(count as u64, "token"),
                named.join(", ")
            ));
        }
        if self.digest_only > 0 {
            notices.push(format!(
                "of {} the policy has only the digest: a secret of another form than `portcullis` writes is not found",
                counted(self.digest_only, "token")
            ));
        }
        notices
    }

    /// Prints the notices on standard error.
    pub(super) fn note(&self, color: Color) -> io::Result<()> {
        let mut stderr = io::stderr().lock();
        let note = Painted::bold(color.on(&stderr), "note:");
        self.notices().iter().try_for_each(|notice| writeln!(stderr, "{note} {notice}"))
    }
}
