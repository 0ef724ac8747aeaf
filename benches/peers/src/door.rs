//! The hand-written checks that every peer does before its grants: token, expiry, API, referer, and whether the name is
//! well-formed. A policy engine that did these checks itself would be slower.

use std::collections::HashMap;

use crate::policy::{Document, Token};
use crate::requests::ParsedRequest;

/// A map from secrets to the rules of their tokens. It uses a fast keyed hash.
pub struct Door<R> {
    tokens: HashMap<Box<str>, Entry<R>, foldhash::fast::RandomState>,
    now: i64,
}

struct Entry<R> {
    expiry: Option<i64>,
    apis: Vec<Box<str>>,
    referers: Vec<Box<str>>,
    rules: R,
}

impl<R> Door<R> {
    pub fn new(document: &Document<'_>, now: i64, mut rules: impl FnMut(usize, &Token<'_>) -> R) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.into()).collect();
        let tokens = document.tokens.iter().enumerate().map(|(at, token)| {
            let (apis, referers) = (owned(&token.allowed_apis), owned(&token.referers));
            let entry = Entry { expiry: token.expiry(), apis, referers, rules: rules(at, token) };
            (token.secret.into(), entry)
        });
        Self { tokens: tokens.collect(), now }
    }

    /// Returns the rules of the token if all checks except those of its grants allow the request.
    pub fn enter(&self, asked: &ParsedRequest<'_>) -> Option<&R> {
        let entry = self.tokens.get(asked.secret)?;
        let passes = entry.expiry.is_none_or(|end| self.now < end)
            && entry.apis.iter().any(|api| **api == *asked.api)
            && (entry.referers.is_empty() || asked.referer.is_some_and(|referer| entry.accepts(referer)))
            && is_name(asked.resource);
        passes.then_some(&entry.rules)
    }
}

impl<R> Entry<R> {
    /// Whether the entries accept a referer. Every referer of the workload is an origin and a slash.
    fn accepts(&self, referer: &str) -> bool {
        self.referers.iter().any(|entry| referer.starts_with(&**entry))
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= 4096 && name.split('.').all(|segment| !segment.is_empty())
}
