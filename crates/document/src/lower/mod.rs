//! Lowers documents into a policy. The model depends on no other knowledge of the format.

mod bare;
mod connections;
mod declared;
mod explain;
mod expression;
mod meant;
mod problem;
mod sources;
mod token;
mod words;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;

pub(crate) use bare::bare;
pub(crate) use explain::{expression, write_meant};
pub(crate) use expression::is_expression;
pub use problem::{MAX_PROBLEMS, Part, Problem};
pub(crate) use token::repeats;
pub(crate) use words::list;

use crate::definition::{self, Document, Element, SyntaxError, Tokens};
use connections::Connections;
use explain::Words;
use portcullis::base::{JsonPath, quoted};
use portcullis::model::{ApiId, Apis, Connection, Grant, Limits, Policy, Token};
use problem::Problems;
use sources::Sources;
use token::{TokenAt, Unique};

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Options of [`lower`].
#[derive(Debug, Clone)]
pub struct LowerOptions {
    /// The size limits of single texts.
    pub limits: Limits,
    /// Whether tokens with problems are left out, instead of rejecting the whole policy (N11.3). The problems are
    /// reported either way.
    pub skip_invalid: bool,
    /// The maximum number of problems to keep. All of them are counted.
    pub max_problems: usize,
    /// The number of problems in a document after which its further tokens are not read, and there is no policy.
    pub max_counted: usize,
}

impl Default for LowerOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), skip_invalid: false, max_problems: MAX_PROBLEMS, max_counted: usize::MAX }
    }
}

/// A document with its name in messages about other documents.
#[derive(Debug, Clone, Copy)]
pub struct Named<'d, 't> {
    /// The name, usually a file.
    pub name: &'d str,
    /// The document.
    pub document: &'d Document<'t>,
}

/// The result of [`lower`].
#[derive(Debug, Clone)]
pub struct Lowered {
    /// The policy; `None` if there are problems, unless all of them belong to tokens that may be left out.
    pub policy: Option<Policy>,
    /// The origin of each token of the policy.
    pub origins: Vec<Origin>,
    /// The first [`LowerOptions::max_problems`] problems, by document and token.
    pub problems: Vec<Problem>,
    /// The number of all problems of each document.
    pub counts: Vec<usize>,
    /// Documents that are not JSON after all, with their errors (see [`Element::Unread`]). There is no policy then, and
    /// the problems are those of the other documents. What these refer to may be in an unread document.
    pub unread: Vec<(usize, SyntaxError)>,
}

/// A token without problems, while its definition is in memory.
#[derive(Debug)]
pub struct LoweredToken<'l, 't> {
    /// The position of the token.
    pub origin: Origin,
    /// The token. The policy may still be rejected for other problems.
    pub token: &'l Token,
    /// The token as its document writes it.
    pub written: &'l definition::Token<'t>,
    /// The APIs of the policy.
    pub apis: &'l Apis,
    connections: &'l Connections,
}

impl<'l> LoweredToken<'l, '_> {
    /// Returns the connection of a grant of the token.
    pub fn connection(&self, grant: &Grant) -> Option<&'l Connection> {
        self.connections.get(grant.connection())
    }

    /// Returns the declared connections.
    pub fn declared_connections(&self) -> &'l [Connection] {
        self.connections.declared()
    }
}

/// The origin of a token of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// The index of the document.
    pub document: usize,
    /// The index of the token in the document.
    pub token: usize,
}

/// Lowers all `documents` into one policy. Connections and APIs of each document hold in all of them.
///
/// Counts every problem and reports the first [`LowerOptions::max_problems`]. Linear in the size of the documents, of
/// which the policy keeps nothing. Tokens are parsed one by one. Besides the policy it takes about 250 bytes a token,
/// whatever the grants, and 25 MB for sources that repeat.
///
/// # Examples
///
/// ```
/// use portcullis_document::definition::read;
/// use portcullis_document::lower::{LowerOptions, Named, lower};
///
/// let document = read(r#"[{"id": "a", "token": "s3cret", "allowed_apis": ["map", "lds"]}]"#)?;
/// let lowered = lower(&[Named { name: "a.json", document: &document }], &LowerOptions::default());
/// assert!(lowered.policy.is_none());
/// assert_eq!(
///     lowered.problems[0].to_string(),
///     "tokens[0].allowed_apis[0]: unknown API `map`; did you mean `maps`?",
/// );
/// # Ok::<(), portcullis_document::definition::SyntaxError>(())
/// ```
pub fn lower(documents: &[Named<'_, '_>], options: &LowerOptions) -> Lowered {
    lower_each(documents, options, |_| {})
}

/// Lowers like [`lower`], and calls `visit` with each token that has no problem, in the order of the documents.
///
/// A later problem, or an [unread](Lowered::unread) document, may still reject the token.
pub fn lower_each<'t>(
    documents: &[Named<'_, 't>],
    options: &LowerOptions,
    mut visit: impl FnMut(&LoweredToken<'_, 't>),
) -> Lowered {
    Lowering::new(documents, options).run(&mut visit)
}

/// Lowers tokens that will be added to the policy `known`. Its connections and APIs are the first ones of the new
/// policy, with the same ids. What the documents declare must be declared by `known` in the same way.
///
/// Reports the problems that [`lower`] reports, except an id, a secret or an owner's name that a token of `known` has.
/// The tokens of `known` are ignored and add nothing to the cost.
pub fn lower_beside(documents: &[Named<'_, '_>], known: &Policy) -> Lowered {
    let options = LowerOptions { limits: known.limits().clone(), ..LowerOptions::default() };
    let mut lowering = Lowering::new(documents, &options);
    lowering.connections = Connections::of(known.connections());
    lowering.redeclared = Some(std::mem::replace(&mut lowering.apis, known.apis().clone()));
    lowering.run(&mut |_| {})
}

/// The position of a declaration.
#[derive(Clone, Copy)]
struct Declared {
    document: usize,
    index: usize,
}

struct Lowering<'d, 't> {
    documents: &'d [Named<'d, 't>],
    options: &'d LowerOptions,
    connections: Connections,
    /// The declaration of each connection.
    declared: Map<&'d str, Declared>,
    apis: Apis,
    /// The APIs that the documents declare, if they must be among `connections` and `apis` already.
    redeclared: Option<Apis>,
    /// APIs whose declaration has an error outside the name: tokens that list them get no error.
    broken_apis: Vec<Box<str>>,
    /// Whether there may be declarations of connections, and of APIs, that could not be read.
    connections_unclear: bool,
    apis_unclear: bool,
    unique: Unique<'t>,
    sources: Sources<'t>,
    tokens: Vec<Token>,
    origins: Vec<Origin>,
    problems: Problems,
    unread: Vec<(usize, SyntaxError)>,
}

/// Fields that are missing in a token because they are misspelt.
#[derive(Clone, Copy, Default)]
struct Meant {
    grants: bool,
    secret: bool,
}

impl<'d, 't> Lowering<'d, 't> {
    fn new(documents: &'d [Named<'d, 't>], options: &'d LowerOptions) -> Self {
        let count = documents.iter().filter_map(|named| named.document.tokens.found()).map(Tokens::max_valid).sum();
        Self {
            documents,
            options,
            connections: Connections::default(),
            declared: Map::default(),
            apis: Apis::default(),
            redeclared: None,
            broken_apis: Vec::new(),
            connections_unclear: false,
            apis_unclear: false,
            unique: Unique::with_capacity(count),
            sources: Sources::new(),
            tokens: Vec::with_capacity(count),
            origins: Vec::with_capacity(count),
            problems: Problems::new(documents.len(), options.max_problems),
            unread: Vec::new(),
        }
    }

    fn run(mut self, visit: &mut impl FnMut(&LoweredToken<'_, 't>)) -> Lowered {
        self.shapes();
        for (at, named) in self.documents.iter().enumerate() {
            self.version(at, named.document);
            self.connections(at, named.document);
            self.apis(at, named.document);
        }
        self.connections.end_declarations();
        self.problems.set_connection(self.connections.example());
        self.tokens(visit);
        self.finish()
    }

    /// Collects problems of shape outside the tokens.
    fn shapes(&mut self) {
        let nothing = Document::default();
        for (at, named) in self.documents.iter().enumerate() {
            if *named.document == nothing {
                // Equivalent to a document that was not read: it may have declared what other documents refer to.
                (self.connections_unclear, self.apis_unclear) = (true, true);
            }
            let problems = named.document.own_problems(self.problems.room());
            if problems.count() > 0 {
                self.problems.set_fatal();
            }
            let is = |field| problems.is_within(field) || problems.is_meant(field);
            self.connections_unclear |= is("connections");
            self.apis_unclear |= is("apis");
            self.problems.take(at, problems);
        }
    }

    fn tokens(&mut self, visit: &mut impl FnMut(&LoweredToken<'_, 't>)) {
        for (document, named) in self.documents.iter().enumerate() {
            let Some(tokens) = named.document.tokens.found() else { continue };
            for (index, token) in tokens.iter().enumerate() {
                if self.problems.count(document) >= self.options.max_counted {
                    self.problems.set_fatal();
                    break;
                }
                match token {
                    Element::Unread(error) if !tokens.are_lines() => {
                        self.problems.forget(document);
                        self.unread.push((document, error));
                    }
                    token => self.element(TokenAt { document, index }, &token, visit),
                }
            }
        }
    }

    fn element(
        &mut self,
        at: TokenAt,
        token: &Element<definition::Token<'t>>,
        visit: &mut impl FnMut(&LoweredToken<'_, 't>),
    ) {
        let (problems, connections) = (self.problems.count(at.document), self.connections.len());
        let meant = self.shape(at, token);
        let Element::Found(written) = token else { return };
        match self.token(at, written, meant) {
            Some(token) if self.problems.count(at.document) == problems => {
                let origin = Origin { document: at.document, token: at.index };
                visit(&LoweredToken {
                    origin,
                    token: &token,
                    written,
                    apis: &self.apis,
                    connections: &self.connections,
                });
                self.tokens.push(token);
                self.origins.push(origin);
            }
            // Removes the connections that only this token names.
            _ => self.connections.truncate(connections),
        }
    }

    /// Collects the problems of shape of a token.
    fn shape(&mut self, at: TokenAt, token: &Element<definition::Token<'t>>) -> Meant {
        let problems = token.problems(at.index, self.problems.room());
        let meant = Meant {
            grants: problems.is_meant("grants"),
            secret: problems.is_meant("token") || problems.is_meant("token_sha256"),
        };
        self.problems.take(at.document, problems);
        meant
    }

    fn finish(mut self) -> Lowered {
        let is_valid = self.problems.is_empty() || (self.options.skip_invalid && !self.problems.is_fatal());
        let usable = self.unread.is_empty() && is_valid;
        let limits = self.options.limits.clone();
        let connections = self.connections.finish();
        let policy = usable.then(|| Policy::new(connections, self.apis, self.tokens, limits)).transpose();
        let policy = policy.unwrap_or_else(|error| {
            self.problems.push(Problem::of_policy(&error));
            None
        });
        let (problems, counts) = self.problems.finish();
        Lowered {
            policy,
            origins: if usable { self.origins } else { Vec::new() },
            problems,
            counts,
            unread: self.unread,
        }
    }

    /// Describes the position of another declaration for a message about document `at`.
    fn elsewhere(&self, at: usize, document: usize, path: &str) -> String {
        match self.documents.get(document) {
            Some(named) if document != at => format!("by `{path}` of {}", quoted(named.name)),
            _ => format!("by `{path}`"),
        }
    }

    fn report(&mut self, document: usize, path: JsonPath, part: Part, words: Words) {
        let (code, message, help): (_, Cow<'static, str>, Cow<'static, str>) = words;
        self.problems.push(Problem { document, path, part, offset: None, code, message, help });
    }

    /// Returns the API of that name. If it is unknown, returns `Err` with whether the token is to blame.
    fn find_api(&self, name: &str) -> Result<ApiId, bool> {
        self.apis
            .find(name)
            .ok_or_else(|| !self.apis_unclear && !self.broken_apis.iter().any(|broken| **broken == *name))
    }
}
