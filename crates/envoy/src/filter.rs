//! Reads the request of a stream, decides it, and changes its headers or answers it.

use std::borrow::Cow;

use http::HeaderValue;

use crate::Portcullis;
use crate::metadata::{self, TOO_LARGE};
use portcullis::authorizer::SystemClock;
use portcullis_envoy_abi::{Flow, Header, Map, Response, Stream, text};
use portcullis_http::answer::{
    GENERATION, HttpDecision, Outcome, TOKEN_ID, body_too_large, decide_borrowed, escaped_id, is_own,
};
use portcullis_http::gateway::{Body, Headers, HttpRequest, Reader};

type Call<'c> = portcullis_envoy_abi::Call<'c, Portcullis>;

/// How far the request of a stream is decided.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Its headers have not arrived.
    #[default]
    New,
    /// Its body may hold a source, and is not complete.
    Waiting,
    /// It goes to the next filter.
    Decided,
}

/// Decides, unless the body must be read first.
pub(crate) fn headers(call: &mut Call<'_>, is_end: bool) -> Flow {
    if call.route.is_some_and(|route| route.disabled) {
        *call.state = Progress::Decided;
        return passed(remove_own(call.stream));
    }
    let needs_body = !is_end && {
        let headers = call.stream.map(Map::Headers);
        let Some((method, target)) = request_line(&headers) else { return Flow::Respond(failed()) };
        reader(call).needs_body(method, target)
    };
    if needs_body {
        // As many bytes as the limit, and one more that exceeds it.
        call.stream.raise_buffer_limit((call.configuration.options.max_body as u64).saturating_add(1));
        *call.state = Progress::Waiting;
        return Flow::Wait;
    }
    let body = if is_end { Body::Whole(b"") } else { Body::NotPassedOn };
    decided(call, body)
}

/// Decides once the whole body has arrived.
pub(crate) fn body(call: &mut Call<'_>, is_end: bool) -> Flow {
    match *call.state {
        Progress::Decided => Flow::Continue,
        // Envoy passes headers first.
        Progress::New => Flow::Respond(failed()),
        Progress::Waiting if call.stream.body_length() > call.configuration.options.max_body => too_large(call),
        Progress::Waiting if is_end => whole_body(call),
        Progress::Waiting => Flow::Wait,
    }
}

/// Drops the trailers, which some servers read as headers, and decides a request whose body they end.
pub(crate) fn trailers(call: &mut Call<'_>) -> Flow {
    let flow = match *call.state {
        Progress::Decided => Flow::Continue,
        Progress::New => Flow::Respond(failed()),
        Progress::Waiting if call.stream.body_length() > call.configuration.options.max_body => too_large(call),
        Progress::Waiting => whole_body(call),
    };
    let Flow::Continue = flow else { return flow };
    let all = names(&call.stream.map(Map::Trailers), |_| true);
    passed(remove(call.stream, Map::Trailers, all))
}

/// Returns the response to a request that the module fails to decide.
pub(crate) fn failed() -> Response {
    let decision = HttpDecision::not_understood("the request could not be decided".into(), 0);
    response(portcullis_http::answer::Responses::default().response(&decision, None), "failed")
}

/// Passes a request on whose headers are changed. If they are not, the client's own may be among them.
fn passed(is_changed: bool) -> Flow {
    if is_changed { Flow::Continue } else { Flow::Respond(failed()) }
}

fn whole_body(call: &mut Call<'_>) -> Flow {
    let body = call.stream.body();
    decided(call, Body::Whole(&body))
}

fn decided(call: &mut Call<'_>, body: Body<'_>) -> Flow {
    let configuration = call.configuration;
    let (options, statistics) = (&configuration.options, &configuration.statistics);
    let shared = &configuration.live.shared;
    let received = call.stream.map(Map::Headers);
    let Some((method, target)) = request_line(&received) else { return Flow::Respond(failed()) };
    let request = HttpRequest { method, target, headers: &Received(&received), body };
    let cors = &options.responses.cors;
    let current = shared.authorizer.current();
    let decision = decide_borrowed(&current, reader(call), &request, cors, &SystemClock);
    // Only the response to a denial needs it.
    let origin = if decision.is_allow() { None } else { origin(&received) };
    let (own, is_shadow) = (names(&received, is_own), is_shadow(call));
    // It borrows the stream, which changes now.
    drop(received);

    statistics.count(call.stream, &decision.outcome);
    statistics.publish(call.stream, shared, decision.generation);
    metadata::write(call.stream, &options.metadata, &decision, is_shadow);
    *call.state = Progress::Decided;
    if !decision.is_allow() {
        if is_shadow {
            call.stream.add(statistics.shadowed, 1);
            return passed(remove(call.stream, Map::Headers, own));
        }
        let details = match decision.outcome {
            Outcome::Deny { reason, .. } => reason.code(),
            Outcome::Allow { .. } | Outcome::Pass | Outcome::Preflight => "preflight",
        };
        return Flow::Respond(response(options.responses.response(&decision, origin.as_ref()), details));
    }
    // A header that is not set must not come from the client.
    let mut is_changed = remove(call.stream, Map::Headers, own);
    let (id, mut number) = (escaped_id(decision.token_id.unwrap_or_default()), itoa::Buffer::new());
    for (name, value) in [(TOKEN_ID, &*id), (GENERATION, number.format(decision.generation))] {
        if !value.is_empty() {
            is_changed &= call.stream.set_header(Map::Headers, name.as_str(), Some(value.as_bytes()));
        }
    }
    passed(is_changed)
}

fn too_large(call: &mut Call<'_>) -> Flow {
    let (options, statistics) = (&call.configuration.options, &call.configuration.statistics);
    let is_shadow = is_shadow(call);
    statistics.count_too_large(call.stream);
    metadata::write_too_large(call.stream, &options.metadata, is_shadow);
    *call.state = Progress::Decided;
    if !is_shadow {
        return Flow::Respond(response(body_too_large(options.max_body), TOO_LARGE));
    }
    call.stream.add(statistics.shadowed, 1);
    passed(remove_own(call.stream))
}

/// Returns the reader of the route, or that of the filter.
fn reader<'c>(call: &Call<'c>) -> &'c Reader {
    let options = &call.configuration.options;
    call.route.and_then(|route| route.reader(options.reader_options)).unwrap_or(&options.reader)
}

fn is_shadow(call: &Call<'_>) -> bool {
    call.route.and_then(|route| route.shadow).unwrap_or(call.configuration.options.shadow)
}

/// Converts a response. A header without a value is left out: it only replaces a header of the client.
fn response(response: http::Response<String>, details: &str) -> Response {
    let headers = response.headers().iter().filter(|(_, value)| !value.is_empty());
    let headers = headers.map(|(name, value)| (name.as_str().to_owned().into(), value.as_bytes().to_vec())).collect();
    let status = response.status().as_u16();
    let details = Cow::Owned(format!("portcullis_{details}"));
    Response { status, headers, body: response.into_body().into(), details }
}

/// Returns method and target; `None` if one is missing or not text. Envoy keeps both in fields of HTTP/2.
fn request_line<'h>(headers: &[Header<'h>]) -> Option<(&'h str, &'h str)> {
    let field = |name: &[u8]| {
        let mut values = headers.iter().filter(|header| header.name() == name);
        let value = values.next().filter(|_| values.next().is_none())?;
        text(value.value())
    };
    Some((field(b":method")?, field(b":path")?))
}

/// Returns the origin of the page that sent the request.
fn origin(headers: &[Header<'_>]) -> Option<HeaderValue> {
    let origin = headers.iter().find(|header| header.name() == b"origin")?;
    HeaderValue::from_bytes(origin.value()).ok()
}

/// Removes the client's headers that only the gateway may set. Returns whether it is done.
fn remove_own(stream: &mut Stream<'_>) -> bool {
    let own = names(&stream.map(Map::Headers), is_own);
    remove(stream, Map::Headers, own)
}

/// Returns the names for which `is_wanted`; `None` if a name is not text.
fn names(headers: &[Header<'_>], is_wanted: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let mut wanted = Vec::new();
    for header in headers {
        let name = text(header.name())?;
        if is_wanted(name) {
            wanted.push(name.to_owned());
        }
    }
    Some(wanted)
}

/// Removes headers. Returns whether it is done.
fn remove(stream: &mut Stream<'_>, map: Map, names: Option<Vec<String>>) -> bool {
    names.is_some_and(|names| names.iter().all(|name| stream.set_header(map, name, None)))
}

/// The headers that a client sent. Envoy joins some that occur twice.
struct Received<'s>(&'s [Header<'s>]);

impl Headers for Received<'_> {
    fn for_each<'h>(&'h self, visit: &mut dyn FnMut(&'h str, &'h [u8])) {
        for header in self.0 {
            // A name that is not text is none that the reader understands.
            visit(text(header.name()).unwrap_or("\u{fffd}"), header.value());
        }
    }
}
