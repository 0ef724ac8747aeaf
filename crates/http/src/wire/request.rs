//! Requests as JSON.

use std::fmt;

use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::body::Body;
use crate::access::Access;
use portcullis::base::Timestamp;
use portcullis::decision::{Request, Source};
use portcullis_document::definition::{Element, Lenient};

/// The API whose requests name no source (N8.3).
const SOURCELESS: &str = "lds";

/// The only API with operations (N8.3).
const OPERATED: &str = "sql";

/// A request as JSON. Borrows strings without escapes from its text.
pub struct WireRequest<'t> {
    id: Option<&'t RawValue>,
    access: Access<'t>,
    now: Option<Timestamp>,
}

/// An error of a text that is not a request. Its message repeats no token and no source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireError {
    message: Box<str>,
    line: usize,
    // 0 for an error of the whole object.
    column: usize,
}

impl<'t> WireRequest<'t> {
    /// Reads one request. Linear in the length of `text`.
    ///
    /// # Errors
    ///
    /// If `text` is not JSON, or not the JSON object of a request.
    pub fn read(text: &'t [u8]) -> Result<Self, WireError> {
        Self::of(WireError::reading(text)?)
    }

    pub(super) fn of(body: Body<'t>) -> Result<Self, WireError> {
        let sourceless = body.api.as_deref() == Some(SOURCELESS);
        if body.operation.is_some() && body.api.as_deref().is_some_and(|api| api != OPERATED) {
            return Err(WireError::whole(format!("`operation` is for the api `{OPERATED}` only: leave it out")));
        }
        if body.api.is_some() && body.connection.is_none() && !sourceless {
            return Err(WireError::missing("connection"));
        }
        if body.api.is_some() && body.sources.is_empty() && !sourceless {
            return Err(WireError::whole(
                "the source is missing: expected one of `resource`, `query`, `named_source` and `sources`",
            ));
        }
        Self::of_any(body)
    }

    /// Converts a logged request, whatever it lacks.
    pub(super) fn of_any(body: Body<'t>) -> Result<Self, WireError> {
        let api = body.api.ok_or_else(|| WireError::missing("api"))?;
        Ok(Self {
            id: body.id,
            access: Access {
                token: body.token.filter(|token| !token.is_empty()),
                api,
                operation: body.operation.unwrap_or_default(),
                connection: body.connection.unwrap_or_default(),
                sources: body.sources,
                referer: body.referer,
            },
            now: body.now,
        })
    }

    /// Returns the id of the request, as written.
    pub fn id(&self) -> Option<&'t RawValue> {
        self.id
    }

    /// Returns the time to decide at, if the request has one.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// Returns the sources, for [`WireRequest::with`].
    pub fn sources(&self) -> SmallVec<[Source<'_>; 2]> {
        self.access.sources()
    }

    /// Returns the request for a decision, with the sources that [`WireRequest::sources`] returned.
    pub fn with<'a>(&'a self, sources: &'a [Source<'a>]) -> Request<'a> {
        self.access.request(sources)
    }
}

impl fmt::Debug for WireRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.access.fmt(f)
    }
}

impl WireError {
    /// Parses `text` as an object.
    pub(super) fn reading<'t, T: Lenient<'t>>(text: &'t [u8]) -> Result<T, Self> {
        match serde_json::from_slice(text) {
            Ok(Element::Found(object)) => Ok(object),
            Ok(Element::Wrong(found)) => Err(Self::whole(format!("expected {}, found {found}", T::EXPECTED))),
            Ok(Element::Unread(error)) => Err(Self::whole(error.message())),
            Ok(Element::Rest(_)) => Err(Self::whole("too many elements are malformed")),
            Err(error) => Err(Self::of(&error)),
        }
    }

    fn missing(key: &str) -> Self {
        Self::whole(format!("`{key}` is missing"))
    }

    pub(super) fn whole(message: impl Into<Box<str>>) -> Self {
        Self { message: message.into(), line: 1, column: 0 }
    }

    fn of(error: &serde_json::Error) -> Self {
        let message = error.to_string();
        let position = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&position).unwrap_or(&message).into();
        Self { message, line: error.line(), column: error.column() }
    }
}

impl std::error::Error for WireError {}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match (self.line, self.column) {
            (_, 0) => Ok(()),
            (0 | 1, column) => write!(f, " (column {column})"),
            (line, column) => write!(f, " (line {line} column {column})"),
        }
    }
}
