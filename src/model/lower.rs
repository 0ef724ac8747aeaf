//! From documents to a policy. The only part of the model that knows how a document is written.

mod declared;
mod explain;
mod problem;
mod token;
mod words;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

pub use problem::{Part, Problem};

use super::{ApiId, Apis, Connection, ConnectionId, Limits, Policy, Token};
use crate::base::{Place, Step};
use crate::definition::{Document, Element, ProblemKind};
use crate::name::Dialect;
use explain::Words;
use token::{Seen, TokenAt};
use words::quoted;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// How to lower.
#[derive(Debug, Clone, Default)]
pub struct LowerOptions {
    /// How large single texts may be.
    pub limits: Limits,
    /// Whether tokens with problems are left out instead of rejecting everything (N11.3). They are reported all the same.
    pub skip_invalid: bool,
}

/// A document, and what messages call it where they speak of another one.
#[derive(Debug, Clone, Copy)]
pub struct Named<'d, 't> {
    /// Usually its file.
    pub name: &'d str,
    /// The document.
    pub document: &'d Document<'t>,
}

/// What became of the documents.
#[derive(Debug, Clone)]
pub struct Lowered {
    /// The policy; `None` unless there are no problems, or all of them are of tokens that were to be skipped.
    pub policy: Option<Policy>,
    /// For each token of the policy, where it stands.
    pub origins: Vec<Origin>,
    /// Everything that is wrong, by document and token.
    pub problems: Vec<Problem>,
}

/// Where a token of a policy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Which of the documents.
    pub document: usize,
    /// Which of its tokens.
    pub token: usize,
}

/// Makes one policy of all `documents`, whose connections and APIs hold in every one of them.
///
/// Reports every problem. Linear in the size of the documents; the policy keeps nothing of them.
///
/// # Examples
///
/// ```
/// use portcullis::definition::read;
/// use portcullis::model::lower::{LowerOptions, Named, lower};
///
/// let document = read(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["map", "lds"]}]"#)?;
/// let lowered = lower(&[Named { name: "a.json", document: &document }], &LowerOptions::default());
/// assert!(lowered.policy.is_none());
/// assert_eq!(
///     lowered.problems[0].to_string(),
///     "tokens[0].allowed_apis[0]: unknown API `map`; did you mean `maps`?",
/// );
/// # Ok::<(), portcullis::definition::SyntaxError>(())
/// ```
pub fn lower(documents: &[Named<'_, '_>], options: &LowerOptions) -> Lowered {
    let mut lowering = Lowering::new(documents, options);
    lowering.shapes();
    for (at, named) in documents.iter().enumerate() {
        lowering.version(at, named.document);
        lowering.connections(at, named.document);
        lowering.apis(at, named.document);
    }
    lowering.tokens();
    lowering.finish()
}

/// What is known of a name that documents declare.
#[derive(Clone, Copy)]
struct Declared<T> {
    value: T,
    document: usize,
    index: usize,
}

struct Lowering<'d, 't> {
    documents: &'d [Named<'d, 't>],
    options: &'d LowerOptions,
    connections: Vec<Connection>,
    by_name: Map<&'d str, ConnectionId>,
    /// Where each connection is declared, and its dialect where that can be told.
    declared: Map<&'d str, Declared<Option<Dialect>>>,
    apis: Apis,
    /// APIs whose declaration is wrong elsewhere than in the name: tokens that list them are not to blame.
    broken_apis: Vec<&'d str>,
    /// Whether connections, and APIs, may be declared that could not be read.
    connections_unclear: bool,
    apis_unclear: bool,
    /// What the shape problems of a token leave to be said.
    troubled: Map<(usize, usize), Meant>,
    seen: Seen<'d>,
    tokens: Vec<Token>,
    origins: Vec<Origin>,
    problems: Vec<Problem>,
}

/// Fields that a token lacks because they are misspelt.
#[derive(Clone, Copy, Default)]
struct Meant {
    grants: bool,
    secret: bool,
}

impl<'d, 't> Lowering<'d, 't> {
    fn new(documents: &'d [Named<'d, 't>], options: &'d LowerOptions) -> Self {
        let count = documents.iter().filter_map(|named| named.document.tokens.found()).map(Vec::len).sum();
        Self {
            documents,
            options,
            connections: Vec::new(),
            by_name: Map::default(),
            declared: Map::default(),
            apis: Apis::default(),
            broken_apis: Vec::new(),
            connections_unclear: false,
            apis_unclear: false,
            troubled: Map::default(),
            seen: Seen::with_capacity(count),
            tokens: Vec::with_capacity(count),
            origins: Vec::with_capacity(count),
            problems: Vec::new(),
        }
    }

    /// Takes over what has the wrong shape.
    fn shapes(&mut self) {
        let nothing = Document::default();
        for (at, named) in self.documents.iter().enumerate() {
            if *named.document == nothing {
                // As good as unread: whatever the others refer to may have stood there.
                (self.connections_unclear, self.apis_unclear) = (true, true);
            }
            for problem in named.document.problems() {
                let nearest = match problem.kind {
                    ProblemKind::UnknownField { nearest, .. } => nearest,
                    _ => None,
                };
                if let Some(token) = problem.token() {
                    let meant = self.troubled.entry((at, token)).or_default();
                    if problem.place.steps().len() == 3 {
                        meant.grants |= nearest == Some("grants");
                        meant.secret |= matches!(nearest, Some("token" | "token_sha256"));
                    }
                } else if let Some(Step::Key(first)) = problem.place.steps().first() {
                    let is = |field| first == field || nearest == Some(field);
                    self.connections_unclear |= is("connections");
                    self.apis_unclear |= is("apis");
                }
                self.problems.push(Problem::of_shape(at, problem));
            }
        }
    }

    fn tokens(&mut self) {
        let documents = self.documents;
        for (at, named) in documents.iter().enumerate() {
            let list = named.document.tokens.found().map(Vec::as_slice).unwrap_or_default();
            for (index, token) in list.iter().enumerate() {
                let Element::Found(token) = token else { continue };
                let (problems, connections) = (self.problems.len(), self.connections.len());
                let at = TokenAt { document: at, index };
                let lowered = self.token(at, token);
                let troubled = !self.troubled.is_empty() && self.troubled.contains_key(&(at.document, at.index));
                match lowered {
                    Some(lowered) if self.problems.len() == problems && !troubled => {
                        self.tokens.push(lowered);
                        self.origins.push(Origin { document: at.document, token: at.index });
                    }
                    // Connections that only this token names go with it.
                    _ => {
                        for connection in self.connections.drain(connections..) {
                            self.by_name.remove(&*connection.name);
                        }
                    }
                }
            }
        }
    }

    fn finish(mut self) -> Lowered {
        let skipped = |problem: &Problem| self.options.skip_invalid && problem.token().is_some();
        let usable = self.problems.iter().all(skipped);
        // Stable: what is found of one token keeps its order.
        self.problems.sort_by_key(|problem| (problem.document, problem.token()));
        let limits = self.options.limits.clone();
        let policy = Policy { connections: self.connections, apis: self.apis, tokens: self.tokens, limits };
        Lowered {
            policy: usable.then_some(policy),
            origins: if usable { self.origins } else { Vec::new() },
            problems: self.problems,
        }
    }

    /// Where something stands, told in document `at`.
    fn elsewhere(&self, at: usize, document: usize, place: &str) -> String {
        match self.documents.get(document) {
            Some(named) if document != at => format!("by `{place}` of {}", quoted(named.name)),
            _ => format!("by `{place}`"),
        }
    }

    fn report(&mut self, document: usize, place: Place, part: Part, words: Words) {
        let (code, message, help): (_, Cow<'static, str>, Cow<'static, str>) = words;
        self.problems.push(Problem { document, place, part, offset: None, code, message, help });
    }

    /// The API of that name; `Err` where it is not known, with whether that is the token's fault.
    fn find_api(&self, name: &str) -> Result<ApiId, bool> {
        self.apis.find(name).ok_or_else(|| !self.apis_unclear && !self.broken_apis.contains(&name))
    }
}
