//! The message that carries an HTTP request.

use smallvec::SmallVec;

use super::Status;
use super::data::{Data, Input};
use crate::gateway::{Body, Headers};

/// The HTTP request of a client, as HAProxy forwards it.
#[derive(Debug, Clone)]
pub struct Check<'f> {
    /// The method.
    pub method: &'f str,
    /// The path and query.
    pub target: &'f str,
    /// All headers.
    pub headers: Received<'f>,
    /// The body.
    pub body: Body<'f>,
    /// Whether HAProxy has the whole request in its buffer.
    pub is_whole: bool,
}

/// All headers of a request, each as it arrived.
#[derive(Debug, Clone, Default)]
pub struct Received<'f>(SmallVec<[(&'f str, &'f [u8]); 32]>);

/// Why the messages of a frame are not a request to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotACheck {
    /// The bytes are malformed.
    Malformed(Status),
    /// HAProxy's configuration differs from the documented one, or a part of the request has no value.
    Incomplete(&'static str),
}

impl From<Status> for NotACheck {
    fn from(status: Status) -> Self {
        Self::Malformed(status)
    }
}

impl<'f> Check<'f> {
    /// Reads the messages of a frame: one message `check`.
    ///
    /// # Errors
    ///
    /// If the messages are malformed, or are not one `check` with all arguments.
    pub fn read(messages: &'f [u8]) -> Result<Self, NotACheck> {
        let mut input = Input(messages);
        let (name, count) = (input.string()?, input.byte()?);
        let (mut method, mut target, mut headers, mut body, mut whole) = (None, None, None, None, None);
        let mut is_repeated = false;
        for _ in 0..count {
            let (name, value) = (input.string()?, input.data()?);
            let slot = match name {
                b"method" => &mut method,
                b"target" => &mut target,
                b"headers" => &mut headers,
                b"body" => &mut body,
                b"whole" => &mut whole,
                _ => continue,
            };
            is_repeated |= slot.replace(value).is_some();
        }
        if name != b"check" || !input.is_empty() || is_repeated {
            return Err(NotACheck::Incomplete(
                "the gateway does not send one message `check`, with each argument once",
            ));
        }
        let text = |value: Option<Data<'f>>, why| match value {
            Some(Data::String(text)) => std::str::from_utf8(text).map_err(|_| NotACheck::Incomplete(why)),
            _ => Err(NotACheck::Incomplete(why)),
        };
        let Some(Data::Binary(headers)) = headers else {
            return Err(NotACheck::Incomplete("the gateway does not send `headers`"));
        };
        let headers = Received::read(headers)?;
        let body = match body {
            Some(Data::Binary(body)) if headers.announce(body.len()) => Body::Whole(body),
            _ => Body::NotPassedOn,
        };
        Ok(Self {
            method: text(method, "the gateway does not send `method`")?,
            target: text(target, "the gateway does not send `target`, the path and query")?,
            headers,
            body,
            is_whole: whole == Some(Data::Bool(true)),
        })
    }
}

impl<'f> Received<'f> {
    /// Reads the value of `req.hdrs_bin`: names and values, and an empty one of both at the end.
    fn read(bytes: &'f [u8]) -> Result<Self, NotACheck> {
        let (mut input, mut headers) = (Input(bytes), SmallVec::new());
        loop {
            let (name, value) = (input.string()?, input.string()?);
            if name.is_empty() && value.is_empty() && input.is_empty() {
                return Ok(Self(headers));
            }
            let name = std::str::from_utf8(name).ok().filter(|name| !name.is_empty());
            let Some(name) = name else {
                return Err(NotACheck::Incomplete("a header has an empty name, or one that is not ASCII"));
            };
            headers.push((name, value));
        }
    }

    /// Returns the number of headers.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Returns the size of all names and values, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Whether each `Content-Length` announces a body of this size.
    fn announce(&self, bytes: usize) -> bool {
        let length = |value: &[u8]| std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok();
        let mut lengths = self.0.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        lengths.all(|(_, value)| length(value) == Some(bytes))
    }
}

impl Headers for Received<'_> {
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8])) {
        self.0.iter().for_each(|(name, value)| visit(name, value));
    }
}
